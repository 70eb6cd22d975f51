"""HTTP as an attacker sends it (threats 18, 33): smuggling shapes, oversize, slowness, pipelines. Each test
shows the attack on a raw socket and that it was refused, and that the server answers others as before."""
import base64
import contextlib
import json
import re
import threading
import time

import pytest
from rawhttp import statuses, talk
from starvirt import BASE, form_body, unique

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
BODY_LIMIT = 1 << 20


def head(method="POST", path=BASE + "cloudvm/search", host="Host: x\r\n", version="HTTP/1.1"):
    return f"{method} {path} {version}\r\n{host}".encode()


def envelope(answer):
    return json.loads(base64.b64decode(answer.split(b"\r\n\r\n", 1)[1]))


def read_reply(stream):
    """The next reply of a connection (a file of it, so that what follows is not lost): status, envelope."""
    status = int(stream.readline().split()[1])
    length = 0
    while (line := stream.readline()) != b"\r\n":
        assert line, "the connection ended in a head"
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return status, json.loads(base64.b64decode(stream.read(length)))


pytestmark = pytest.mark.race


@pytest.fixture(autouse=True)
def still_well(cloud):
    yield
    assert talk(cloud, HEALTH).endswith(b"ok")


# ------------------------------------------------------------------------------------------------ smuggling
@pytest.mark.parametrize("fields", [
    b"Content-Length: 0\r\nContent-Length: 5\r\n",
    b"Content-Length: 5\r\nContent-Length: 5\r\n",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: identity, chunked\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: \x0bchunked\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Content-Length: +5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 5x\r\n", b"Content-Length: 5, 5\r\n",
    b"Content-Length: 0x5\r\n", b"Content-Length: 5 5\r\n", b"Content-Length: 5.0\r\n",
    b"Content-Length: 18446744073709551617\r\n", b"Content-Length: 9223372036854775808\r\n",
    b"Content-Length : 5\r\n", b"Transfer-Encoding : chunked\r\n",
    b"Host: y\r\n", b"Content-Type: text/plain\r\nContent-Type: text/html\r\n",
    b"KEY_TOKEN: a\r\nKEY_TOKEN: b\r\n",
    b"Content-Length: 0\r\n 5\r\n", b"X-N\x00ul: a\r\n", b"X(y): z\r\n",
    b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n",
], ids=repr)
def test_ambiguous_heads_are_refused_and_nothing_after_them_is_heard(cloud, fields):
    answer = talk(cloud, head() + fields + b"\r\n" + HEALTH)
    assert statuses(answer)[:1] in ([], [400], [413], [501]), answer
    assert len(statuses(answer)) <= 1 and b"\r\n\r\nok" not in answer, answer


def test_a_missing_host_is_refused(cloud):
    assert statuses(talk(cloud, head(host="") + b"\r\n" + HEALTH)) == [400]
    assert talk(cloud, b"GET /healthz HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\nok")


@pytest.mark.parametrize("line", [
    b"GET /healthz%00.html HTTP/1.1", b"GET /healthz HTTP/9.9", b"GET /healthz HTTP/1.1x",
    b"GET /healthz HTTP/2.0", b"GET", b"GET /healthz", b"\x16\x03\x01\x02\x00\x01\x00", b"/healthz GET HTTP/1.1",
    b"PRI * HTTP/2.0", b"GET \thealthz HTTP/1.1", b"get /healthz HTTP/1.1", b"GET /../healthz HTTP/1.1", b" ",
], ids=repr)
def test_bad_request_lines_reach_no_page(cloud, line):
    answer = talk(cloud, line + b"\r\nHost: x\r\n\r\n" + HEALTH)
    assert statuses(answer)[:1] != [200], answer


@pytest.mark.parametrize("first", [b"GET /healthz\x00/../x HTTP/1.1\r\nHost: x\r\n\r\n",
                                   b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Nul: a\x00b\r\n\r\n"], ids=repr)
def test_a_nul_cuts_what_it_stands_in_and_moves_nothing_else(cloud, first):
    """The HTTP library hides it from us: all that can be shown is that we agree on where the request ends."""
    answer = talk(cloud, first + head("GET", "/nothing") + b"Connection: close\r\n\r\n")
    assert statuses(answer) in ([200, 404], [400]), answer


@pytest.mark.parametrize("chunks", [
    b"-1\r\n", b"zz\r\n", b"ffffffffffffffff1\r\n", b"5\r\nhello", b"5\r\nhelloXX0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n", b"\r\n", b" \r\n", b"5 5\r\nhello\r\n0\r\n\r\n",
], ids=repr)
def test_bad_chunks_are_refused_and_nothing_after_them_is_heard(cloud, chunks):
    answer = talk(cloud, head() + FORM + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + HEALTH)
    assert b"200 OK" not in answer and len(statuses(answer)) <= 1, answer


def test_a_chunked_body_is_read(tenant, cloud):
    body = form_body({"vpc.name": "in two parts"})[1]
    sent = head(path=BASE + "cloudnetwork/vpc/create") + FORM + f"KEY_TOKEN: {tenant.token}\r\n".encode()
    sent += b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    sent += b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:], b""))
    answer = talk(cloud, sent)
    assert statuses(answer) == [200] and envelope(answer)["data"]["vpc.name"] == "in two parts"


# ------------------------------------------------------------------------------------------------- oversize
@pytest.mark.parametrize("fields", [
    b"X-Long: " + b"x" * 100000 + b"\r\n", b"X" * 100000 + b": y\r\n", b"X-Many: y\r\n" * 20000,
    b"KEY_TOKEN: " + b"a" * 60000 + b"\r\n", b"Cookie: " + b"a=b; " * 20000 + b"\r\n",
], ids=["value", "name", "many", "token", "cookie"])
def test_oversized_heads(cloud, fields):
    answer = talk(cloud, head() + fields + b"\r\n" + HEALTH)
    assert statuses(answer)[:1] in ([], [400], [413], [431]) and b"\r\n\r\nok" not in answer


def test_oversized_paths(cloud):
    for n, allowed in ((1500, [400]), (100000, [414, 431, 400])):
        answer = talk(cloud, head(path=BASE + "x" * n) + b"\r\n" + HEALTH)
        assert statuses(answer)[0] in allowed and b"\r\n\r\nok" not in answer
    answer = talk(cloud, head("GET", "/healthz?" + "x" * 100000) + b"\r\n")
    assert statuses(answer)[0] in (414, 431, 400)


def test_a_body_that_says_it_is_too_large_is_not_read(cloud):
    sent = head() + FORM + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % (BODY_LIMIT + 1)
    answer = talk(cloud, sent)
    assert statuses(answer) == [413] and envelope(answer)["error"]["code"] == "BODY_TOO_LARGE"
    assert b"connection: close" in answer.lower()


def test_a_chunked_body_that_grows_too_large_is_refused(cloud, tenant):
    chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    sent = head() + FORM + f"KEY_TOKEN: {tenant.token}\r\n".encode()
    sent += b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = talk(cloud, sent + chunk * 20 + b"0\r\n\r\n")
    assert statuses(answer) == [413]


def test_the_largest_body_is_read(tenant):
    body = form_body({"vpc.name": "x"})[1] + b"&KEY_TOKEN="
    body += b"x" * (BODY_LIMIT - len(body))
    assert tenant.ok("POST cloudnetwork/vpc/create", body=body, type="application/x-www-form-urlencoded")
    reply = tenant.call("POST cloudnetwork/vpc/create", body=body + b"x", type="application/x-www-form-urlencoded")
    assert (reply.status, reply.code) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("body", [
    b"&" * (BODY_LIMIT - 1), b"a=1&" * (BODY_LIMIT // 5), b"%41=" * (BODY_LIMIT // 5), b"KEY_PARAM=" + b"%41" * 340000,
    b"KEY_PARAM=" + base64.b64encode(b'{"a":' * 150000), b"KEY_PARAM=" + base64.b64encode(b"[" * 700000),
    b"KEY_PARAM=" + base64.b64encode(b'{"x":"' + b"\\u0041" * 110000 + b'"}'),
    b"KEY_PARAM=" + base64.b64encode(b'{"page.startnum":' + b"1" * 700000 + b"}"),
    b"KEY_PARAM=" + base64.b64encode(b'{"x":[' + b"[]," * 200000 + b"[]]}"),
    b"KEY_PARAM=" + base64.b64encode(b"{" + b",".join(b'"%06x":1' % i for i in range(60000)) + b"}"),
], ids=["ampersands", "fields", "names", "percents", "objects", "arrays", "escapes", "digits", "values", "keys"])
def test_bombs_are_defused_quickly(tenant, body):
    begin = time.monotonic()
    reply = tenant.call("POST cloudvm/search", body=body, type="application/x-www-form-urlencoded")
    assert time.monotonic() - begin < 5
    assert reply.status in (200, 400) and reply.body is not None


def test_a_multipart_bomb(tenant):
    body = b"--B\r\n" * 150000
    assert tenant.call("POST cloudvm/search", body=body, type="multipart/form-data; boundary=B").status == 400
    body = b"--B\r\n" + b"X-A: b\r\n" * 100000 + b"\r\n\r\n--B--"
    assert tenant.call("POST cloudvm/search", body=body, type="multipart/form-data; boundary=B").status in (200, 400)


# ------------------------------------------------------------------------------------------------ pipelines
def request(path, token, params=None, method="POST"):
    body = form_body(params)[1] if params else b""
    found = head(method, BASE + path)
    found += f"KEY_TOKEN: {token}\r\n".encode() if token else b""
    return found + (FORM if params else b"") + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_each_pipelined_request_is_its_own_tokens(cloud, admin):
    """Nothing of who asked is left over for the next request on the connection."""
    tenants = [admin.tenant() for _ in range(3)]
    sent, wanted = b"", []
    for turn in range(20):
        who = tenants[turn % 3]
        name = unique(who.name)
        sent += request("cloudnetwork/vpc/create", who.token, {"vpc.name": name})
        wanted.append(("0", name))
        sent += request("cloudvm/search", None if turn % 2 else "wrong" + who.token)
        wanted.append(("1003", None))
        sent += request("cloudTenant/search", who.token)
        wanted.append(("1", "ADMIN_ONLY"))
        sent += request("cloudvm/model", admin.token, method="GET")
        wanted.append(("0", None))
    with cloud.socket() as s:
        threading.Thread(target=s.sendall, args=(sent,)).start()
        stream = s.makefile("rb")
        for result, detail in wanted:
            status, body = read_reply(stream)
            assert status == 200 and body["result"] == result, body
            if result == "0" and detail:
                assert body["data"]["vpc.name"] == detail
            if result == "1":
                assert body["error"]["code"] == detail
    for who in tenants:
        names = [row["vpc.name"] for row in who.ok("POST cloudnetwork/vpc/search").data]
        assert names == [name for result, name in wanted if result == "0" and name and name.startswith(who.name + "-")]


def test_a_long_poll_does_not_lend_its_token(cloud, tenant):
    sent = request("events?since=999999999&wait=1", tenant.token, method="GET") + request("cloudvm/search", None)
    with cloud.socket() as s:
        s.sendall(sent)
        stream = s.makefile("rb")
        assert read_reply(stream)[1]["data"] == []
        assert read_reply(stream)[1]["error"]["code"] == "TOKEN_MISSING"


def test_a_refused_body_leaves_the_connection_in_step(cloud, tenant):
    """What follows a refusal on a kept connection is a request and never the refused one's body."""
    evil = HEALTH * 10
    first = head() + b"Content-Length: %d\r\n\r\n" % len(evil) + evil
    with cloud.socket() as s:
        s.sendall(first + request("cloudvm/search", tenant.token))
        stream = s.makefile("rb")
        assert read_reply(stream)[1]["error"]["code"] == "TOKEN_MISSING"
        assert read_reply(stream)[1]["result"] == "0"


def test_a_client_that_leaves_does_no_harm(cloud, tenant):
    before = cloud.metrics()["starvirt_long_polls"]
    for _ in range(20):
        s = cloud.socket()
        s.sendall(request("events?since=999999999&wait=60", tenant.token, method="GET"))
        s.close()
    for _ in range(20):
        s = cloud.socket()
        s.sendall(request("cloudnetwork/vpc/create", tenant.token, {"vpc.name": "gone"})[:-3])
        s.close()
    tenant.vpc()  # an event: whoever waits is answered, or found to be gone
    assert cloud.metrics()["starvirt_long_polls"] <= before + 20


# ------------------------------------------------------------------------------------------------- slowness
def test_half_a_request_does_not_hold_up_the_stop(server):
    one = server()
    half = request("cloudvm/search", one.admin.token, {"vm.name": "x"})[:-3]
    for begun in (half, half[:20], half[:-10]):
        one.socket().sendall(begun)  # its client leaves at once
    waiting = [one.socket() for _ in range(6)]
    for s, begun in zip(waiting, (half, half[:20], b"", half[:-10], HEALTH[:-2], b"P")):
        s.sendall(begun)
    one.admin.ok("POST cloudvm/search")
    begin = time.monotonic()
    one.stop()
    assert time.monotonic() - begin < 5


def test_slow_clients_do_not_keep_others_waiting(slow_clients, tenant):
    """What becomes of them is in test_slow.py."""
    begin = time.monotonic()
    for _ in range(20):
        tenant.ok("POST cloudvm/search")
    assert time.monotonic() - begin < 10
