"""Heads of requests as RFC 9110 and RFC 9112 allow them, and those that they forbid: each a row, sent as it stands on a
socket. What is allowed means the same as the plain form; what is not gets one answer, and the connection ends."""
import base64
import json

import pytest
from rawhttp import statuses, talk
from starvirt import BASE, form_body, unique

pytestmark = pytest.mark.race

MODELS = BASE + "cloudvm/model"
CREATE = BASE + "cloudnetwork/vpc/create"
FORM = "application/x-www-form-urlencoded"
CLOSE = "Connection: close\r\n"


def body_of(answer):
    return json.loads(base64.b64decode(answer.split(b"\r\n\r\n", 1)[1]))


def sent(cloud, text, body=b""):
    answer = talk(cloud, text.encode("latin-1") + body)
    return statuses(answer), answer


# ------------------------------------------------------------------------------------------------ request lines
@pytest.mark.parametrize("line", [
    "GET /healthz HTTP/1.1", "\r\nGET /healthz HTTP/1.1", "\r\n\r\n\r\nGET /healthz HTTP/1.1",
    "GET /healthz HTTP/1.2", "GET /healthz? HTTP/1.1", "GET /healthz?a=%41&b HTTP/1.1",
    "GET /%68ealth%7A HTTP/1.1", "GET /%68%65%61%6c%74%68%7a HTTP/1.1",
    "GET http://x/healthz HTTP/1.1", "GET HTTP://other.example:8080/healthz?x HTTP/1.1",
    "GET https://[::1]:1/%68ealthz HTTP/1.1", "HEAD /healthz HTTP/1.1",
], ids=repr)
def test_request_lines_that_are_allowed(cloud, line):
    status, answer = sent(cloud, f"{line}\r\nHost: x\r\n{CLOSE}\r\n")
    assert status == [200] and answer.endswith(b"\r\n\r\n" if "HEAD" in line else b"\r\n\r\nok"), answer


@pytest.mark.parametrize("line,code", [
    ("GET healthz HTTP/1.1", 400), ("GET x:1 HTTP/1.1", 400), ("GET * HTTP/1.1", 400), ("CONNECT x:1 HTTP/1.1", 400),
    ("GET http:///healthz HTTP/1.1", 400), ("GET http://u@x/healthz HTTP/1.1", 400), ("GET ftp://x/healthz HTTP/1.1", 400),
    ("GET /healthz x HTTP/1.1", 400), ("GET /healthz\tx HTTP/1.1", 400), ("GET /healthz#x HTTP/1.1", 400),
    ("GET /health%7 HTTP/1.1", 400), ("GET /%zz HTTP/1.1", 400), ("GET /healthz%00 HTTP/1.1", 400),
    ("GET /healthz HTTP/2.0", 505), ("GET /healthz HTTP/0.9", 505), ("GET /healthz", 400),
    ("GET /healthz http/1.1", 400), ("GET /healthz HTTP/1.10", 400),
    ("GET /starvcenter%2Fservices HTTP/1.1", 404), ("GET /x/../healthz HTTP/1.1", 404), ("get /healthz HTTP/1.1", 404),
], ids=repr)
def test_request_lines_that_are_not(cloud, line, code):
    status, answer = sent(cloud, f"{line}\r\nHost: x\r\n{CLOSE}\r\n")
    assert status == [code], answer


def test_options_of_the_whole_server(cloud):
    for target in ("*", "http://x"):
        status, answer = sent(cloud, f"OPTIONS {target} HTTP/1.1\r\nHost: x\r\n{CLOSE}\r\n")
        assert status == [204] if target == "*" else [404], answer
        assert b"\r\nAllow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS\r\n" in answer or target != "*"


# ------------------------------------------------------------------------------------------------------- fields
@pytest.mark.parametrize("field", [
    "KEY_TOKEN: {}", "KEY_TOKEN:{}", "key_token: {}", "Key_Token:\t{}", "KEY_TOKEN:   {}", "KEY_TOKEN: {} ",
    "KEY_TOKEN: {}\t", "KEY_TOKEN: \t {}\t \t", "KEY_TOKEN: {}\r\nKEY_TOKEN: {}", "KEY_TOKEN: {}\r\nKEY_TOKEN:{} ",
    "X-Empty:\r\nKEY_TOKEN: {}", "X-Tab: a\tb\r\nKEY_TOKEN: {}", "X-Text: caf\xe9\r\nKEY_TOKEN: {}",
    "KEY_TOKEN: {}\r\nAccept: */*;q=0, text/html\r\nAccept-Encoding: gzip;q=0, identity;q=0, *",
    "KEY_TOKEN: {}\r\nIf-None-Match: \"x\", *\r\nIf-Modified-Since: yesterday\r\nRange: bytes=0-0",
    "KEY_TOKEN: {}\r\nUpgrade: h2c, websocket\r\nHTTP2-Settings: x", "KEY_TOKEN: {}\r\nTE: trailers, deflate;q=0.5",
], ids=repr)
def test_a_token_is_found_in_each_form_of_a_field(cloud, tenant, field):
    status, answer = sent(cloud, f"GET {MODELS} HTTP/1.1\r\nHost: x\r\n{field.replace('{}', tenant.token)}\r\n{CLOSE}\r\n")
    assert status == [200] and body_of(answer)["result"] == "0", answer


@pytest.mark.parametrize("host,code", [
    ("Host: x", 200), ("host:x:80", 200), ("HOST: [::1]:18081 ", 200), ("Host:", 200), ("Host: \t", 200), ("Host: a.b-c_d:", 200),
    ("X: y", 400), ("Host: a b", 400), ("Host: a/b", 400), ("Host: u@x", 400), ("Host: x:y", 400), ("Host: x, y", 400),
    ("Host: x\r\nHost: x", 400), ("Host : x", 400), (" Host: x", 400), ("Host: [x", 400), ("Host", 400),
], ids=repr)
def test_hosts(cloud, host, code):
    status, answer = sent(cloud, f"GET /healthz HTTP/1.1\r\n{host}\r\n{CLOSE}\r\n")
    assert status == [code], answer


@pytest.mark.parametrize("fields", [
    "X: a\r\n b", "X: a\r\n\tb", "X:\r\n b", "Idempotency-Key: a\r\n b", "KEY_TOKEN: a\r\n b", "Origin: x\r\n y\r\n z",
    "X: a\rb", "X: a\x01b", "X: a\x7fb", "X Y: z", "X\t: y", "X", ": y", "X: y\r\n: z", "X: y\r\n:", "X(y): z", "\xe4: x",
], ids=repr)
def test_fields_that_are_no_fields(cloud, fields):
    follows = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    status, answer = sent(cloud, f"GET /healthz HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n{follows}")
    assert status == [400] and b"onnection: close" in answer, answer


# -------------------------------------------------------------------------------------------------- connections
@pytest.mark.parametrize("version,field,stays", [
    ("1.1", "", True), ("1.1", "Connection: keep-alive", True), ("1.1", "Connection: close", False),
    ("1.1", "Connection: foo,\tClose ", False), ("1.1", "Connection: foo\r\nConnection: close", False),
    ("1.1", "Connection: closed", True), ("1.0", "", False), ("1.0", "Connection: Keep-Alive", True),
    ("1.0", "Connection: foo , keep-alive", True), ("1.0", "Connection: keep-alive, close", False),
], ids=repr)
def test_whether_a_connection_stays(cloud, version, field, stays):
    first = f"GET /healthz HTTP/{version}\r\nHost: x\r\n{field}\r\n".replace("\r\n\r\n", "\r\n") + "\r\n"
    status, answer = sent(cloud, first + f"GET /healthz HTTP/1.1\r\nHost: x\r\n{CLOSE}\r\n")
    assert status == ([200, 200] if stays else [200]), answer


# ------------------------------------------------------------------------------------------------------- bodies
def create(tenant, name, fields, version="1.1", type=FORM):
    return (f"POST {CREATE} HTTP/{version}\r\nHost: x\r\nKEY_TOKEN: {tenant.token}\r\nContent-Type: {type}\r\n{CLOSE}"
            f"{fields}\r\n\r\n"), form_body({"vpc.name": name})[1]


def made(answer, name):
    return statuses(answer)[-1:] == [200] and body_of(answer[answer.index(b"HTTP/1.1 200"):])["data"]["vpc.name"] == name


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("field", ["Content-Length: %d", "content-length:%d", "CONTENT-LENGTH: \t%d", "Content-Length: %d ",
                                   "Content-Length: %d\t", "Content-Length: 000%d"], ids=repr)
def test_lengths(cloud, tenant, field, version):
    name = unique("length")
    body = form_body({"vpc.name": name})[1]
    head, body = create(tenant, name, field % len(body), version)
    assert made(talk(cloud, head.encode() + body), name)


@pytest.mark.parametrize("field", ["Transfer-Encoding: chunked", "transfer-encoding:CHUNKED", "Transfer-Encoding: Chunked ",
                                   "Transfer-Encoding:\tchunked\t"], ids=repr)
@pytest.mark.parametrize("chunks", [
    "%x\r\n%s\r\n0\r\n\r\n", "%X;a\r\n%s\r\n0;b\r\n\r\n", "000%x;a=b;c=\"d;e\"\r\n%s\r\n0000\r\n\r\n",
    "%x\r\n%s\r\n0\r\nX-Sum: y\r\nKEY_TOKEN: wrong\r\nContent-Length: 5\r\n\r\n",
], ids=["plain", "extension", "quoted", "trailers"])
def test_chunks(cloud, tenant, field, chunks):
    name = unique("chunks")
    head, body = create(tenant, name, field)
    assert made(talk(cloud, (head + chunks % (len(body), body.decode())).encode()), name)


def test_nothing_is_heard_after_trailers(cloud, tenant):
    """Where they end is seen in more than one way: a line that begins with a colon ends them for the library."""
    head, body = create(tenant, unique("trailers"), "Transfer-Encoding: chunked")
    head = head.replace(CLOSE, "")
    sent_ = f"{head}{len(body):x}\r\n{body.decode()}\r\n0\r\nX: y\r\n: z\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert statuses(talk(cloud, sent_.encode())) == [200]


@pytest.mark.parametrize("field", [
    "Content-Length: x", "Content-Length:", "Content-Length: -1", "Content-Length: +%d", "Content-Length: %d, %d",
    "Content-Length: %d\r\nContent-Length: %d", "Content-Length: 99999999999999999999", "Content-Length: 0x%d",
    "Content-Length: 1 2", "Content-Length: %d\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding:", "Transfer-Encoding: chunked;a", "Transfer-Encoding: chunked, chunked",
], ids=repr)
def test_bodies_that_end_nowhere(cloud, tenant, field):
    head, body = create(tenant, unique("nowhere"), field.replace("%d", "40"))
    answer = talk(cloud, head.replace(CLOSE, "").encode() + body + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert statuses(answer) == [400] and body_of(answer)["error"]["code"] == "BAD_REQUEST", answer
    assert b"onnection: close" in answer


def test_chunks_are_not_for_1_0(cloud, tenant):
    head, body = create(tenant, unique("old"), "Transfer-Encoding: chunked", "1.0")
    answer = talk(cloud, head.encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    assert statuses(answer) == [400] and body_of(answer)["error"]["code"] == "BAD_REQUEST", answer


@pytest.mark.parametrize("version,expect,interim", [
    ("1.1", "100-continue", [100]), ("1.1", "100-Continue \t", [100]), ("1.1", "foo, 100-CONTINUE", [100]),
    ("1.1", "foo", []), ("1.0", "100-continue", []),
], ids=repr)
def test_expectations(cloud, tenant, version, expect, interim):
    name = unique("expect")
    body = form_body({"vpc.name": name})[1]
    head, body = create(tenant, name, f"Content-Length: {len(body)}\r\nExpect: {expect}", version)
    answer = talk(cloud, head.encode() + body)
    assert statuses(answer) == interim + [200] and made(answer, name), answer


@pytest.mark.parametrize("type", [
    FORM, FORM.upper(), FORM + ";charset=UTF-8", FORM + " ; charset=\"utf-8\"", FORM + "; Charset=UTF-8; x=y ",
], ids=repr)
def test_types(cloud, tenant, type):
    name = unique("type")
    head, body = create(tenant, name, f"Content-Length: {len(form_body({'vpc.name': name})[1])}", type=type)
    assert made(talk(cloud, head.encode() + body), name)


@pytest.mark.parametrize("form", ["multipart/form-data; boundary=%s", "Multipart/Form-Data;Boundary=\"%s\"",
                                  "multipart/form-data; charset=utf-8 ; boundary=%s"], ids=repr)
def test_types_with_a_boundary(cloud, tenant, form):
    name = unique("boundary")
    type, body = form_body({"vpc.name": name}, "multipart")
    head, _ = create(tenant, name, f"Content-Length: {len(body)}", type=form % type.split("boundary=")[1])
    assert made(talk(cloud, head.encode() + body), name)


@pytest.mark.parametrize("lines,english", [
    ("Accept-Language: en", True), ("accept-language: EN-gb ", True), ("Accept-Language: fr, en;q=0.1", True),
    ("Accept-Language: en;q=0.2, zh;q=0.9", False), ("Accept-Language: zh;q=0\r\nAccept-Language: *;q=0.1", True),
    ("Accept-Language: *", False), ("X: y", False),
], ids=repr)
def test_languages(cloud, lines, english):
    status, answer = sent(cloud, f"GET {MODELS} HTTP/1.1\r\nHost: x\r\n{lines}\r\n{CLOSE}\r\n")
    assert status == [200] and body_of(answer)["resultinfo"].isascii() == english, answer


# ------------------------------------------------------------------------------------ the library's own answers
@pytest.mark.parametrize("data,code", [
    ("GET /" + "x" * 100000 + " HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    ("GET / HTTP/1.1\r\nHost: x\r\n" + "X: y\r\n" * 20000 + "\r\n", 431),
    ("GET / HTTP/1.1\r\nHost: x\r\nX: " + "y" * 100000 + "\r\n\r\n", 431),
    ("GET / HTTP/1.1\r\nHost: x\r\nX: y\r\n " + "y" * 30000 + "\r\n\r\n", 431),
    ("GET / HTTP/1.1\r\nHost: x\r\nX\r\n\r\n", 400), ("GET / HTTP/1.1\r\nX\r\nHost: x\r\n\r\n", 400),
    ("GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505), ("GET / FTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 413),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naXX", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n", 400),
], ids=lambda v: repr(v)[-40:] if isinstance(v, str) else v)
def test_what_cannot_be_read_at_all_is_answered_once(cloud, data, code):
    answer = talk(cloud, data.encode() + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert statuses(answer) == [code] and answer.lower().count(b"content-length:") == 1, answer


def test_a_cookie_is_nobodys_business(cloud):
    status, answer = sent(cloud, f"GET /healthz HTTP/1.1\r\nHost: x\r\n{CLOSE}Cookie: {'a=b; ' * 4000}\r\n\r\n")
    assert status == [200], answer
