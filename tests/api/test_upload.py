"""Uploads and other bodies on their way in: what is refused is told while the client still sends, and an upload ends
with its token."""
import base64
import concurrent.futures
import datetime
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess

import pytest
from images import DELETE, MIB, SEARCH, UPLOAD, no_uploads, row_of, uploads
from smalldisk import SmallDisk
from starvirt import BASE, wait_until


def head(path, token, *lines, method="POST"):
    return "".join(f"{line}\r\n" for line in (f"{method} {BASE}{path} HTTP/1.1", "Host: x", f"KEY_TOKEN: {token}",
                                              *lines, "")).encode()


def upload_head(token, *lines, name="up"):
    return head(f"cloudtemplate/upload?name={name}", token, *lines)


def answer(s):
    """What comes until the end, which must be no reset."""
    said = b""
    while part := s.recv(65536):
        said += part
    return said


def body_of(said):
    return json.loads(base64.b64decode(said.split(b"\r\n\r\n", 1)[1]))


def told(said, code):
    assert said.startswith(b"HTTP/1.1 ") and said.count(b"HTTP/1.1 ") == 1, said[:200]
    body = body_of(said)
    assert body["error"]["code"] == code, body
    return int(said[9:12])


def begun(server, token, *lines, name="up"):
    """An upload under way: its connection."""
    s = server.socket()
    s.sendall(upload_head(token, *(lines or ("Content-Length: 100000000",)), name=name))
    wait_until(lambda: uploads(server), "the upload began")
    return s


# ------------------------------------------------------------------------------------------------- refused early
TOO_LARGE = [("PUT", "cloudvm/start", "BODY_TOO_LARGE", 413), ("DELETE", "cloudvm/x", "BODY_TOO_LARGE", 413),
             ("POST", "cloudvm/search", "BODY_TOO_LARGE", 413), ("POST", "nothing", "NOT_FOUND", 404),
             ("POST", "cloudtemplate/upload?name=x", "TOKEN_INVALID", 200),
             ("POST", "cloudtemplate/upload?nam=x", "PARAM_UNKNOWN", 200)]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("method,path,code,status", TOO_LARGE)
def test_who_sends_too_much_hears_why(cloud, tenant, method, path, code, status, chunked):
    """All of it is sent before anything is read: nothing breaks, and the answer is there."""
    token = "0" * 64 if code == "TOKEN_INVALID" else tenant.token
    n = 40 * MIB
    how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {n}"
    with cloud.socket() as s:
        s.sendall(head(path, token, "Content-Type: application/x-www-form-urlencoded", how, method=method))
        for _ in range(n // MIB):
            s.sendall(b"%x\r\n%s\r\n" % (MIB, bytes(MIB)) if chunked else bytes(MIB))
        if chunked:
            s.sendall(b"0\r\n\r\n")
        said = answer(s)
    assert told(said, code) == status and b"\r\nConnection: close\r\n" in said
    no_uploads(cloud)


def test_a_client_that_only_listens_is_answered_at_once(cloud, tenant):
    with cloud.socket() as s:
        s.sendall(head("cloudvm/search", tenant.token, f"Content-Length: {100 * MIB}"))
        assert told(s.recv(65536), "BODY_TOO_LARGE") == 413


def test_over_tls_too(server, tmp_path):
    cert, key = str(tmp_path / "cert"), str(tmp_path / "key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    one = server(options=["--tls-cert", cert, "--tls-key", key], tls=cert)
    tenant, context = one.admin.tenant(), ssl.create_default_context(cafile=cert)
    with context.wrap_socket(one.socket(), server_hostname="127.0.0.1") as s:
        s.sendall(head("nothing", tenant.token, f"Content-Length: {20 * MIB}"))
        for _ in range(20):
            s.sendall(bytes(MIB))
        assert told(answer(s), "NOT_FOUND") == 404
    with context.wrap_socket(one.socket(), server_hostname="127.0.0.1") as s:
        s.sendall(upload_head(tenant.token, "Content-Length: 100000000") + bytes(MIB))
        wait_until(lambda: uploads(one), "the upload began")
        revoked(one.admin, tenant)
        told(s.recv(65536), "TOKEN_INVALID")
        gone(one, one.admin)


def test_what_is_read_for_nothing_is_bounded(cloud):
    """A stranger who goes on is cut off."""
    with cloud.socket() as s, pytest.raises((BrokenPipeError, ConnectionResetError)):
        s.sendall(head("nothing", "0" * 64, f"Content-Length: {1 << 40}"))
        for _ in range(1024):
            s.sendall(bytes(MIB))


def test_a_small_refused_body_leaves_the_connection(cloud, tenant):
    with cloud.socket() as s:
        for _ in range(2):
            s.sendall(head("nothing", tenant.token, "Content-Length: 100000") + bytes(100000))
            assert told(s.recv(65536), "NOT_FOUND") == 404


def test_with_expect_nothing_is_sent(cloud, tenant):
    with cloud.socket() as s:
        s.sendall(upload_head("0" * 64, "Content-Length: 100000000", "Expect: 100-continue"))
        assert told(answer(s), "TOKEN_INVALID") == 200


# ------------------------------------------------------------------------------------------------- and its token
def revoked(admin, tenant):
    admin.ok("DELETE cloudTenant/token/{tokenId}", {"tokenId": token_of(admin, tenant)})


def token_of(admin, tenant):
    return admin.ok("POST cloudTenant/token/search", {"app.id": tenant.id}).data[0]["token.id"]


def gone(server, admin):
    no_uploads(server, 5)
    assert admin.ok(SEARCH, {"template.name": "up"}).count == 0


@pytest.mark.parametrize("lines", [("Content-Length: 100000000",), ("Transfer-Encoding: chunked",)])
@pytest.mark.parametrize("sent", [0, 3 * MIB])
def test_an_upload_ends_when_its_token_is_revoked(server, lines, sent):
    one = server()
    tenant = one.admin.tenant()
    with begun(one, tenant.token, *lines) as s:
        if sent:
            s.sendall(b"%x\r\n" % (sent + 10) + bytes(sent) if "chunked" in lines[0] else bytes(sent))
        revoked(one.admin, tenant)
        told(s.recv(65536), "TOKEN_INVALID")
        gone(one, one.admin)


def test_a_client_that_goes_on_sending_after_the_revocation_hears_it(server):
    one = server()
    tenant = one.admin.tenant()
    with begun(one, tenant.token) as s:
        s.sendall(bytes(MIB))
        revoked(one.admin, tenant)
        no_uploads(one, 5)
        s.sendall(bytes(100000000 - MIB))
        told(answer(s), "TOKEN_INVALID")
        gone(one, one.admin)


def test_an_upload_ends_when_its_token_expires(server):
    one = server()
    tenant = one.admin.tenant()
    soon = (datetime.datetime.now() + datetime.timedelta(seconds=2)).strftime("%Y-%m-%d %H:%M:%S")
    made = one.admin.ok("POST cloudTenant/token/create", {"app.id": tenant.id, "token.expire": soon}).data
    with begun(one, made["token.value"]) as s:
        told(s.recv(65536), "TOKEN_EXPIRED")
        gone(one, one.admin)


def test_an_upload_ends_with_its_tenant(server):
    one = server()
    tenant = one.admin.tenant()
    with begun(one, tenant.token) as s:
        one.admin.ok("DELETE cloudTenant/{appId}", {"appId": tenant.id})
        told(s.recv(65536), "TOKEN_INVALID")
        gone(one, one.admin)


def test_another_tokens_revocation_ends_nothing(server):
    one = server()
    tenant, other = one.admin.tenant(), one.admin.tenant()
    with begun(one, tenant.token, f"Content-Length: {2 * MIB}") as s:
        revoked(one.admin, other)
        other.refused(SEARCH, code="TOKEN_INVALID")
        s.sendall(bytes(2 * MIB))
        tenant.follow(body_of(s.recv(65536))["startid"])


@pytest.mark.parametrize("end", [revoked, lambda admin, tenant: admin.call(
    "DELETE cloudTenant/{appId}", {"appId": tenant.id})], ids=["revoked", "deleted"])
def test_the_end_of_a_token_and_of_an_upload_at_once(server, end):
    """Accepted, or refused for its token: nothing between, and no word of the database."""
    one = server()
    for _ in range(8):
        tenant = one.admin.tenant()
        with begun(one, tenant.token, f"Content-Length: {MIB}") as s:
            s.sendall(bytes(MIB - 1))
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                ending = pool.submit(end, one.admin, tenant)
                s.sendall(b"x")
                said = body_of(s.recv(65536))
                ending.result()
        count = one.admin.ok(SEARCH, {"template.name": "up"}).count
        if said["result"] == "0":
            assert one.admin.follow(said["startid"]) and count == 1
            one.admin.run(DELETE, {"templateId": said["data"]["template.id"]})
        else:
            assert said["error"]["code"] == "TOKEN_INVALID" and count == 0
        no_uploads(one, 5)


# ------------------------------------------------------------------------------------------------- forms
IMAGE = b"\0\r\n--\r\n-b" + os.urandom(2 * MIB) + b"\r\n\n\r--\r\n"  # raw; no multiple of anything, and like a boundary


def form(*parts, boundary=b"b", end=b"--"):
    body = b"".join(b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
    return body + b"--" + boundary + end + b"\r\n"


def part(data, more=b'; filename="x.img"'):
    return b'Content-Disposition: form-data; name="file"' + more, data


def md5_of(client, reply):
    client.done(reply.startid)
    return row_of(client, reply.data["template.id"])["template.md5"]


MULTIPART = "multipart/form-data; boundary=b"
BOUNDARY = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"


@pytest.mark.parametrize("type,body", [
    (MULTIPART, form(part(IMAGE))),
    ('Multipart/Form-Data; charset=utf-8; Boundary="b"', b"preamble\r\n" + form(part(IMAGE)) + b"epilogue"),
    ("multipart/form-data; boundary=" + BOUNDARY.decode(), form(part(IMAGE), boundary=BOUNDARY)),
    (MULTIPART, form((b'Content-Disposition: form-data; name="_charset_"', b"utf-8"), part(IMAGE),
                     (b"Content-Disposition: form-data; name=submit", b"Send"))),
    (MULTIPART, form(part(IMAGE, b"; filename*=UTF-8''%E9%95%9C\r\nContent-Type: application/x-raw-disk-image"))),
], ids=["plain", "quoted", "browser", "fields", "extended"])
def test_the_file_of_a_form(cloud, tenant, type, body):
    reply = tenant.ok(UPLOAD, query={"name": "form", "format": "raw"}, body=body, type=type)
    assert md5_of(tenant, reply) == hashlib.md5(IMAGE).hexdigest()


@pytest.mark.parametrize("step", [1, 3, 7, 4096])
def test_a_form_in_small_pieces(cloud, tenant, step):
    image = b"\r\n--\r\n--a\r\r\n-b \r" + os.urandom(500)
    body = form(part(image))
    with cloud.socket() as s:
        s.sendall(head("cloudtemplate/upload?name=pieces&format=raw", tenant.token, f"Content-Type: {MULTIPART}",
                       "Transfer-Encoding: chunked"))
        for i in range(0, len(body), step):
            s.sendall(b"%x\r\n%s\r\n" % (len(body[i:i + step]), body[i:i + step]))
        s.sendall(b"0\r\n\r\n")
        said = body_of(s.recv(65536))
    tenant.done(said["startid"])
    assert row_of(tenant, said["data"]["template.id"])["template.md5"] == hashlib.md5(image).hexdigest()


@pytest.mark.parametrize("body,why", [
    (form(part(IMAGE))[:-200], "before its last boundary"), (form(part(IMAGE), end=b""), "before its last boundary"),
    (form(part(IMAGE), part(IMAGE)), "more than one file"), (form(part(b"x", b"")), "no file"),
    (form(), "no file"), (IMAGE[:5000], "before its last boundary"),
    (form(part(b"AAAA", b"; filename=x\r\nContent-Transfer-Encoding: base64")), "Transfer-Encoding"),
    (form((b"Content-Disposition: form-data; name=format", b"raw"), part(IMAGE)), "query"),
    (form(part(b"")), "empty"), (form((b"X: " + b"x" * 5000, b""), part(IMAGE)), "too long"),
    (b"x" * 2 * MIB + form(part(IMAGE)), "too much"),
], ids=["cut", "open", "two", "none", "nothing", "other", "base64", "query", "empty", "head", "preamble"])
def test_a_form_that_is_refused(cloud, tenant, body, why):
    reply = tenant.refused(UPLOAD, code="BAD_REQUEST", query={"name": "bad form", "format": "raw"}, body=body,
                           type=MULTIPART)
    assert why in reply.text and reply.status == 400
    no_uploads(cloud)
    assert tenant.ok(SEARCH, {"template.name": "bad form"}).count == 0


@pytest.mark.parametrize("type", ["application/x-www-form-urlencoded", "application/X-WWW-form-urlencoded; charset=utf-8",
                                  "text/plain", "text/html; charset=utf-8", "application/json", "application/xml",
                                  "multipart/mixed; boundary=b", "multipart/form-dataset; boundary=b", "nonsense"])
def test_what_is_no_file(cloud, tenant, type):
    reply = tenant.refused(UPLOAD, code="MEDIA_TYPE", query={"name": "no file", "format": "raw"}, body=IMAGE, type=type)
    assert reply.status == 415 and "application/octet-stream" in reply.text and "curl" in reply.text
    no_uploads(cloud)
    assert tenant.ok(SEARCH, {"template.name": "no file"}).count == 0


@pytest.mark.parametrize("type", [None, "", "application/octet-stream", "binary/octet-stream",
                                  "application/x-raw-disk-image", "application/vnd.efi.img", "image/x-img"])
def test_what_is_a_file(cloud, tenant, type):
    """With no type at all: what curl -T, a browser's fetch(file) and Python's requests send."""
    lines = [f"Content-Type: {type}"] if type is not None else []
    with cloud.socket() as s:
        s.sendall(head("cloudtemplate/upload?name=file&format=raw", tenant.token, *lines,
                       f"Content-Length: {len(IMAGE)}") + IMAGE)
        said = body_of(s.recv(65536))
    tenant.done(said["startid"])
    assert row_of(tenant, said["data"]["template.id"])["template.md5"] == hashlib.md5(IMAGE).hexdigest()


CURL = shutil.which("curl")


@pytest.mark.skipif(not CURL, reason="no curl")
@pytest.mark.parametrize("how,code", [(["-F", "file=@{}"], None), (["-X", "POST", "-T", "{}"], None),
                                      (["--data-binary", "@{}", "-H", "Content-Type: application/octet-stream"], None),
                                      (["--data-binary", "@{}"], "MEDIA_TYPE"), (["-d", "@{}"], "MEDIA_TYPE"),
                                      (["--data-urlencode", "file@{}"], "MEDIA_TYPE"), (["-F", "file=<{}"], "BAD_REQUEST")])
def test_as_curl_sends_it(cloud, tenant, tmp_path, how, code):
    path = tmp_path / "image"
    path.write_bytes(IMAGE.replace(b"\0", b"1"))
    url = f"http://{cloud.address[0]}:{cloud.address[1]}{BASE}cloudtemplate/upload?name=curl&format=raw"
    said = subprocess.run([CURL, "-sS", "-H", f"KEY_TOKEN: {tenant.token}", *(a.format(path) for a in how), url],
                          check=True, capture_output=True).stdout
    body = json.loads(base64.b64decode(said))
    if code:
        assert body["error"]["code"] == code
        return
    tenant.done(body["startid"])
    assert row_of(tenant, body["data"]["template.id"])["template.md5"] == hashlib.md5(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("version,lines", [("1.1", ["Content-Length: 0"]), ("1.0", []), ("1.1", [])])
def test_nothing_is_no_image(cloud, tenant, version, lines):
    with cloud.socket() as s:
        s.sendall(upload_head(tenant.token, *lines, name="nothing").replace(b"HTTP/1.1", b"HTTP/" + version.encode()))
        assert told(s.recv(65536), "BAD_REQUEST") == 400
    no_uploads(cloud)
    assert tenant.ok(SEARCH, {"template.name": "nothing"}).count == 0


# ------------------------------------------------------------------------------------------------- room
@pytest.fixture
def small_disk(tmp_path):
    with SmallDisk(tmp_path / "small", 24) as disk:
        yield disk


@pytest.fixture
def small(small_disk, server):
    """A server on a file system of 24 MiB, of which a quarter stays free."""
    return server(data=os.path.join(small_disk.path, "data"))


def writes_go_on(one):
    one.admin.tenant().vpc()


def free(one):
    fs = os.statvfs(one.data)
    return fs.f_bavail * fs.f_frsize


def refused_for_room(s):
    assert told(s.recv(65536), "NO_ROOM") == 507


@pytest.mark.parametrize("lines", [(), ("Expect: 100-continue",)])
def test_more_than_is_free_is_refused_at_its_head(small, lines):
    tenant = small.admin.tenant()
    with small.socket() as s:
        s.sendall(upload_head(tenant.token, f"Content-Length: {1 << 30}", *lines))
        refused_for_room(s)
        no_uploads(small)
        writes_go_on(small)


def test_what_grows_without_saying_stops_before_the_reserve(small):
    tenant = small.admin.tenant()
    with small.socket() as s:
        s.sendall(upload_head(tenant.token, "Transfer-Encoding: chunked"))
        for _ in range(40):
            s.sendall(b"%x\r\n%s\r\n" % (MIB, bytes(MIB)))
        refused_for_room(s)
        no_uploads(small)
        assert free(small) > 6 * MIB
        writes_go_on(small)


def test_what_others_have_announced_counts(small):
    tenant, other = small.admin.tenant(), small.admin.tenant()
    announced = (free(small) - 6 * MIB) * 2 // 3
    with begun(small, tenant.token, f"Content-Length: {announced}") as one:
        with small.socket() as two:
            two.sendall(upload_head(other.token, f"Content-Length: {announced}"))
            refused_for_room(two)
        one.shutdown(socket.SHUT_RDWR)
    no_uploads(small)
    reply = other.ok(UPLOAD, query={"name": "fits", "format": "raw"}, body=bytes(announced),
                     type="application/octet-stream")
    other.done(reply.startid)


def test_a_disk_that_fills_up_meanwhile(small):
    tenant = small.admin.tenant()
    with begun(small, tenant.token, f"Content-Length: {8 * MIB}") as s:
        with open(os.path.join(small.data, "ballast"), "wb") as f:
            os.posix_fallocate(f.fileno(), 0, free(small) - 3 * MIB)
        s.sendall(bytes(8 * MIB))
        refused_for_room(s)
        no_uploads(small)
        writes_go_on(small)


def test_the_reserve_is_an_option(server):
    one = server(options=["--reserve", str(1 << 30)])
    one.admin.refused(UPLOAD, code="NO_ROOM", query={"name": "x"}, body=bytes(MIB), type="application/octet-stream")
