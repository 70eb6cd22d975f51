"""A wire of another dialect over HTTP: the daemon with the toy (tests/toy) on a listener of its own."""
import contextlib
import http.client
import json
import os
import re
import socket
import string

import pytest

from starvirt import BASE, BUILD, wait_until

TOY = os.path.join(BUILD, "tests", "toy", "starvirtd-toy")
SIZE = 5 * 1024 * 1024
LETTERS = (string.ascii_lowercase * (SIZE // 26 + 1))[:SIZE].encode()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


@pytest.fixture
def toy(server):
    """(daemon, call): call("GET", "/path", body, **headers) -> status, headers, JSON or bytes."""
    port = free_port()
    daemon = server(daemon=TOY, options=["--toy", f"127.0.0.1:{port}"])

    def call(method, path, body=None, token=None, raw=False, **headers):
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        if token is not False:
            sent["X-Toy-Token"] = token or daemon.admin.token
        if body is not None and not isinstance(body, (str, bytes)):
            sent.setdefault("Content-Type", "application/json")
            body = json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(method, path, body, sent)
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        if not raw and content:
            content = json.loads(content)
        return reply.status, reply.headers, content

    call.port = port
    return daemon, call


def test_the_listeners_are_apart(toy):
    daemon, call = toy
    assert call("GET", "/healthz")[0] == 404 and call("GET", "/metrics")[0] == 404
    assert call("GET", BASE + "cloudvm/model")[0] == 404
    reply = daemon.admin.request("GET", "/versions")
    assert reply.status == 404 and reply.code == "NOT_FOUND"
    page = daemon.admin.request("GET", "/toy/openapi.json")
    assert page.status == 200 and "/boxes/{box}/things" in json.loads(page.raw)["paths"]
    assert b"<h1>Toy</h1>" in daemon.admin.request("GET", "/toy", headers={"Accept-Language": "en"}).raw
    assert daemon.admin.request("GET", "/starvcenter/services/openapi.json").raw == \
        daemon.admin.request("GET", "/openapi.json").raw


def test_without_the_option_there_is_no_listener(server):
    daemon = server(daemon=TOY)
    assert daemon.admin.request("GET", "/versions").status == 404


def test_tokens_by_row(toy):
    daemon, call = toy
    status, headers, body = call("GET", "/boxes/b/things", token=False)
    assert (status, body["error"]["word"]) == (401, "TOKEN_MISSING") and "X-Toy-Token" in body["error"]["message"]
    assert headers["WWW-Authenticate"] == 'Bearer realm="toy"'
    assert call("GET", "/boxes/b/things", token="x" * 40)[2]["error"]["word"] == "TOKEN_INVALID"
    for scheme in ("Bearer ", "bearer  "):
        assert call("GET", "/boxes/b/things", token=False, Authorization=scheme + daemon.admin.token)[0] == 200
    assert call("GET", "/boxes/b/things", token=False, Authorization="Basic " + daemon.admin.token)[0] == 401
    assert call("GET", "/boxes/b/things", token=False, KEY_TOKEN=daemon.admin.token)[0] == 401, "not of this dialect"
    assert daemon.admin.request("GET", BASE + "cloudvm/model", None,
                                {"X-Toy-Token": daemon.admin.token}).body["result"] == "1003"
    assert call("GET", "/versions", token=False)[2] == {"known": False}


def test_bare_json_with_statuses(toy):
    _, call = toy
    thing = {"name": "n", "size": 7, "on": True, "place": {"x": 1, "y": 2}, "parts": [{"id": "a", "weight": 2}]}
    status, headers, body = call("POST", "/boxes/b/things", {"thing": thing})
    assert status == 201 and headers["Location"] == f"/boxes/b/things/{body['thing']['id']}"
    assert headers["Content-Type"] == "application/json" and "Content-Security-Policy" not in headers
    assert {key: body["thing"][key] for key in thing} == thing
    assert call("PATCH", "/boxes/b/things/t", {"size": 1})[2]["size"] == 1
    status, headers, body = call("DELETE", "/boxes/b/things/t", raw=True)
    assert (status, body) == (204, b"") and "Content-Type" not in headers
    assert call("POST", "/boxes/b/things/t/action", {"stop": {"force": True}})[0::2] == \
        (202, {"did": "stop", "force": True})
    assert call("GET", "/boxes/b/things/none")[0] == 404
    assert call("POST", "/boxes/b/things", "{", Content_Type="application/json")[0] == 400
    assert call("POST", "/boxes/b/things", "a=b", Content_Type="application/x-www-form-urlencoded")[0] == 415


def test_a_repeated_key_gives_status_and_location_again(toy):
    _, call = toy
    first = call("POST", "/boxes/b/things", {"thing": {"name": "n"}}, Idempotency_Key="k1")
    again = call("POST", "/boxes/b/things", {"thing": {"name": "n"}}, Idempotency_Key="k1")
    assert first[0] == again[0] == 201 and first[2] == again[2]
    assert first[1]["Location"] == again[1]["Location"]
    assert call("POST", "/boxes/b/things", {"thing": {"name": "m"}}, Idempotency_Key="k1")[2]["error"]["word"] == \
        "IDEMPOTENCY_MISMATCH"
    for _ in range(2):
        assert call("DELETE", "/boxes/b/things/t", Idempotency_Key="k2")[0::2] == (204, b"")


def test_pages_by_marker(toy):
    _, call = toy
    seen, marker = [], ""
    while True:
        page = call("GET", f"/boxes/b/things?limit=3{marker}")[2]
        seen += [thing["id"] for thing in page["things"]]
        if "next" not in page:
            break
        marker = "&marker=" + page["next"]
    assert seen == [str(i) for i in range(1, 8)]


@pytest.mark.parametrize("how", ["file", "stream", "chunked"])
def test_downloads(toy, how):
    _, call = toy
    status, headers, body = call("GET", f"/boxes/b/things/t/file?how={how}", raw=True)
    assert status == 200 and body == LETTERS
    assert headers["Content-Type"] == ("application/octet-stream" if how == "file" else "text/x-letters")
    assert headers["Content-Length"] == (None if how == "chunked" else str(SIZE))


def test_a_stream_that_breaks_is_no_whole_reply(toy):
    _, call = toy
    with pytest.raises(http.client.IncompleteRead):
        call("GET", "/boxes/b/things/t/file?how=broken", raw=True)
    assert call("GET", "/boxes/b/things/t/file?how=refused")[0] == 404


def files_of(daemon):
    """Sockets and files without a name that it holds; what it opens of the database comes and goes with threads."""
    found, folder = 0, f"/proc/{daemon.process.pid}/fd"
    for fd in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            found += bool(re.search(r"^socket:|\(deleted\)$", os.readlink(f"{folder}/{fd}")))
    return found


def test_downloads_that_nobody_takes(toy):
    """Memory and descriptors do not depend on what clients do with a download."""
    daemon, call = toy
    before = files_of(daemon)
    for _ in range(3):
        for how in ["file", "stream", "chunked"] * 5:
            s = socket.create_connection(("127.0.0.1", call.port), 60)
            s.sendall(f"GET /boxes/b/things/t/file?how={how} HTTP/1.1\r\nHost: x\r\n"
                      f"X-Toy-Token: {daemon.admin.token}\r\n\r\n".encode())
            assert s.recv(100).startswith(b"HTTP/1.1 200")
            s.close()
        wait_until(lambda: files_of(daemon) <= before + 1, "the descriptors are closed")
    assert call("HEAD", "/boxes/b/things/t/file", raw=True)[1]["Content-Length"] == str(SIZE)
    wait_until(lambda: files_of(daemon) <= before + 1, "the descriptors are closed")


def test_head_and_options(toy):
    _, call = toy
    status, headers, body = call("HEAD", "/boxes/b/things/t", raw=True)
    assert (status, body) == (200, b"") and headers["Content-Length"] == \
        call("GET", "/boxes/b/things/t")[1]["Content-Length"]
    status, headers, body = call("OPTIONS", "/boxes/b/things/t", token=False, raw=True)
    assert (status, headers["Allow"], body) == (204, "GET, DELETE, PATCH, HEAD, OPTIONS", b"")
    status, headers, _ = call("PUT", "/boxes/b/things/t")
    assert (status, headers["Allow"]) == (405, "GET, DELETE, PATCH, HEAD, OPTIONS")


def test_a_wrong_row_is_told(toy):
    daemon, call = toy
    daemon.expect(r"event=reply\.rows .*data\.never: missing")
    assert call("POST", "/", {"handler": "Thing", "command": "drop", "data": {"name": "n"}})[2] == \
        {"did": "drop", "name": "n"}
    assert re.search(r"reply\.rows .*data\.never: missing", daemon.log())
    assert daemon.metrics()["starvirt_bad_replies_total"] == 1
