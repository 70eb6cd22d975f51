"""Consoles on the simulated cloud: addresses, tokens, the web-socket's door, bytes both ways, ends (threats 17, 24,
28, 30)."""
import posixpath
import re
import shutil
import socket
import struct
import subprocess
import threading

import pytest

from console import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Address, Refused, Screen, WebSocket, address, frame
from starvirt import files_below, wait_until

QUOTA = {"cpu": 100, "memory": 100000, "storage": 1000, "portgroup": 20, "outerip": 0}


class Place:
    """A server of a test's own, a tenant, and a running VM."""

    def __init__(self, server):
        self.server, self.admin = server, server.admin
        self.tenant = self.admin.tenant(**QUOTA)
        self.model = self.admin.model(size=1)
        self.vpc = self.tenant.vpc()
        self.vm = self.new_vm()

    def new_vm(self, client=None, vpc=None, **more):
        wanted = {"vnic.portgroupid": vpc or self.vpc, "vm.tenant.model": self.model, **more}
        return (client or self.tenant).vm(**wanted)

    def address(self, vm=None, client=None):
        return address(client or self.tenant, vm or self.vm)

    def open(self, vm=None, **how):
        return WebSocket(self.server, self.address(vm), **how)

    def consoles(self):
        return self.server.metrics()["starvirt_consoles"]


@pytest.fixture
def place(server):
    return Place(server())


def refused(place, where, **how):
    with pytest.raises(Refused) as caught:
        WebSocket(place.server, where, **how)
    return caught.value


# ------------------------------------------------------------------------------------------ the address
def test_address(place):
    where = place.address()
    assert where.origin == "http://%s:%d" % place.server.address
    assert where.path == "/console/" and where.vm == place.vm
    data = place.tenant.ok("GET cloudvm/connection/{vmId}", {"vmId": place.vm}).data
    assert set(data) == {"vm.console.url", "vm.hostip", "vm.vncport"}
    socket.inet_aton(data["vm.hostip"])
    assert 5900 <= int(data["vm.vncport"]) < 65536
    assert Address(data).token != where.token
    assert place.address(client=place.admin).vm == place.vm


def test_no_screen_while_off(place):
    place.tenant.run("PUT cloudvm/destroy", {"vm.id": place.vm})
    assert place.tenant.refused("GET cloudvm/connection/{vmId}", {"vmId": place.vm}).code == "VM_STATE"
    place.tenant.run("PUT cloudvm/start", {"vm.id": place.vm})
    place.tenant.run("PUT cloudvm/suspend", {"vm.id": place.vm})
    with place.open() as ws:  # what it showed last
        Screen(ws)


def test_name_is_escaped(place):
    name = "</title><script>alert(1)</script>&name=x#\"'%41 世"
    vm = place.new_vm(**{"vm.name": name})
    where = place.address(vm)
    assert where.name == name
    assert not set(where.url.partition("#")[2]) & set("<>\"' #")


def test_host_header_cannot_lead_away(place):
    for host in ("evil.example/x", "a@b", "a b", "a\\b", ":80", "a" * 300, "<script>"):
        reply = place.tenant.request("GET", "/starvcenter/services/cloudresource/cloudvm/connection/" + place.vm,
                                     headers={"Host": host, "KEY_TOKEN": place.tenant.token})
        assert reply.status == 400, host
    reply = place.tenant.request("GET", "/starvcenter/services/cloudresource/cloudvm/connection/" + place.vm,
                                 headers={"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https",
                                          "Forwarded": "host=evil.example", "KEY_TOKEN": place.tenant.token})
    assert Address(reply.body["data"]).origin == "http://%s:%d" % place.server.address


def test_named_base(server):
    place = Place(server(options=["--console.url", "https://Cloud.example.org:443/sv"]))
    where = place.address()
    assert where.url.startswith("https://Cloud.example.org:443/sv/console/#")
    for origin in ("http://%s:%d" % place.server.address, "https://cloud.example.org:444", "http://cloud.example.org",
                   "https://cloud.example.org.evil.example", "null"):
        assert refused(place, place.address(), change={"Origin": origin}).status == 403
    with WebSocket(place.server, where, change={"Origin": "https://cloud.example.org"}) as ws:
        Screen(ws)


# ------------------------------------------------------------------------------------------ the door
def test_once(place):
    where = place.address()
    with WebSocket(place.server, where) as ws:
        Screen(ws)
        again = refused(place, where)
    assert again.status == 403 and b"" != again.body
    assert refused(place, where).status == 403


@pytest.mark.race
def test_race_for_one_token(place):
    where, inside, outside = place.address(), [], []

    def attempt():
        try:
            inside.append(WebSocket(place.server, where))
        except Refused as e:
            outside.append(e.status)

    threads = [threading.Thread(target=attempt) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert (len(inside), outside) == (1, [403] * 11)
    inside[0].close()


def test_only_for_its_vm(place):
    other = place.new_vm()
    mine = place.address()
    assert refused(place, mine, path="/console/vm/" + other).status == 403
    assert refused(place, mine).status == 403, "shown at the wrong door it is used up"
    stranger = place.admin.tenant(**QUOTA)
    theirs = place.new_vm(client=stranger, vpc=stranger.vpc())
    assert refused(place, place.address(), path="/console/vm/" + theirs).status == 403
    assert stranger.refused("GET cloudvm/connection/{vmId}", {"vmId": place.vm}).code == "VM_NOT_FOUND"
    for path in ("/console/vm/", "/console/vm/x", "/console/vm/" + place.vm + "x", "/console/vm/" + place.vm + "/.."):
        assert refused(place, place.address(), path=path).status == 403


def test_expires(server):
    place = Place(server(options=["--console.token", "1"]))
    where = place.address()
    assert place.server.metrics()["starvirt_console_tokens"] == 1
    wait_until(lambda: place.server.metrics()["starvirt_console_tokens"] == 0, "the token has expired")
    assert refused(place, where).status == 403


def test_forgotten_by_a_restart(place):
    where = place.address()
    place.server.restart()
    assert refused(place, where).status == 403


@pytest.mark.parametrize("origin", [None, "", "null", "http://evil.example", "https://127.0.0.1", "http://127.0.0.1",
                                    "file://", "http://127.0.0.1:1"])
def test_foreign_origin(place, origin):
    where = place.address()
    assert refused(place, where, change={"Origin": origin}).status == 403
    WebSocket(place.server, where).close()  # nobody who was turned away used it up


BAD = [("POST", {}, 404), ("HEAD", {}, 400), ("GET", {"Upgrade": None}, 426), ("GET", {"Upgrade": "h2c"}, 426),
       ("GET", {"Connection": "close"}, 426), ("GET", {"Sec-WebSocket-Version": "8"}, 426),
       ("GET", {"Sec-WebSocket-Version": None}, 426), ("GET", {"Sec-WebSocket-Key": None}, 400),
       ("GET", {"Sec-WebSocket-Key": "AAAA"}, 400), ("GET", {"Sec-WebSocket-Key": "!" * 22 + "=="}, 400),
       ("GET", {"Sec-WebSocket-Protocol": None}, 400), ("GET", {"Sec-WebSocket-Protocol": "binary"}, 403),
       ("GET", {"Sec-WebSocket-Protocol": "binary, token."}, 403),
       ("GET", {"Sec-WebSocket-Protocol": "binary, token." + "0" * 64}, 403),
       ("GET", {"Sec-WebSocket-Protocol": "binary, token." + "0" * 63}, 403)]


@pytest.mark.parametrize("method,change,status", BAD)
def test_bad_handshake(place, method, change, status):
    found = refused(place, place.address(), method=method, change=change)
    assert found.status == status, found.body
    assert place.consoles() == 0


def test_tokens_are_bounded(place):
    first = place.address()
    kept = [place.address() for _ in range(64)]
    assert place.server.metrics()["starvirt_console_tokens"] == 64
    assert refused(place, first).status == 403, "the oldest made room"
    stranger = place.admin.tenant(**QUOTA)
    theirs = place.new_vm(client=stranger, vpc=stranger.vpc())
    with WebSocket(place.server, place.address(theirs, stranger)) as ws, WebSocket(place.server, kept[0]) as own:
        Screen(ws)
        Screen(own)


def test_token_is_nowhere(place):
    tokens = []
    for _ in range(3):
        where = place.address()
        tokens.append(where.token)
        with WebSocket(place.server, where) as ws:
            Screen(ws)
        refused(place, where)
    tokens.append(place.address().token)
    place.server.metrics()
    place.server.stop()
    for path in [*files_below(place.server.data), place.server.stderr]:
        with open(path, "rb") as f:
            text = f.read()
        assert not any(token.encode() in text or bytes.fromhex(token) in text for token in tokens), path


# ------------------------------------------------------------------------------------------ bytes
def test_picture_and_keys(place):
    with place.open() as ws:
        screen = Screen(ws)
        screen.ask()
        before = screen.picture()
        assert len(set(before[i:i + 4] for i in range(0, len(before), 4))) > 4, "blank"
        screen.ask(incremental=True)
        screen.key(ord("a"))
        assert screen.picture() != before


def test_two_viewers(place):
    with place.open() as one, place.open() as two:
        screens = Screen(one), Screen(two)
        for screen in screens:
            screen.ask()
            screen.picture()
        for screen in screens:
            screen.ask(incremental=True)
        screens[0].key(ord("x"))
        assert screens[0].picture() == screens[1].picture()
        assert place.consoles() == 2
    wait_until(lambda: place.consoles() == 0, "both are gone")
    assert place.server.metrics()["starvirt_consoles_total"] == 2


def test_frames_in_every_shape(place):
    """Fragments, control frames between them, and bytes that came with the handshake."""
    hello = frame(b"RFB 003", final=False) + frame(b"are you there", PING) + frame(b".008\n", CONTINUATION)
    with place.open(early=hello) as ws:
        kinds = {BINARY: b"", PONG: b""}
        while len(kinds[BINARY]) < 14 or not kinds[PONG]:
            opcode, payload = ws.receive()
            kinds[opcode] += payload
        assert kinds == {BINARY: b"RFB 003.008\n\x01\x01", PONG: b"are you there"}


def test_much(place):
    """Some hundred megabytes of pictures, and a long paste."""
    with place.open() as ws:
        screen = Screen(ws)
        ws.send(struct.pack(">BBBBI", 6, 0, 0, 0, 900000) + b"x" * 900000)
        total = 0
        for _ in range(40):
            screen.ask()
            total += len(screen.picture())
        assert total == 40 * screen.width * screen.height * 4


@pytest.mark.parametrize("what,code", [
    (frame(b"text", TEXT), 1003), (frame(b"x", masked=False), 1002), (frame(b"x", 3), 1002),
    (frame(b"x" * 126, PING), None), (frame(b"", PING, final=False), None), (b"\xc2\x80\0\0\0\0", 1002),
    (frame(b"", CONTINUATION), 1002), (frame(b"", BINARY, final=False) + frame(b"", BINARY), 1002),
    (b"\x82\xff\x00\x00\x00\x00\x10\x00\x00\x00\0\0\0\0x", 1009),
    (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", None)])
def test_bad_frames(place, what, code):
    with place.open() as ws:
        Screen(ws)
        ws.socket.sendall(what)
        closed = ws.until_closed()
        assert closed.code == code, closed
    wait_until(lambda: place.consoles() == 0, "it is gone")


def test_slow_reader_hurts_nobody(place):
    """One asks for pictures and reads none; another VM's viewer, and the API, notice nothing."""
    with place.open(receive_buffer=4096) as slow, place.open(place.new_vm()) as other:
        lazy = Screen(slow)
        before = place.server.metrics()["process_resident_memory_bytes"]
        slow.socket.settimeout(2)
        with pytest.raises(TimeoutError):
            while True:
                for _ in range(2000):
                    lazy.ask()
        screen = Screen(other)
        for _ in range(5):
            screen.ask()
            screen.picture()
        assert place.server.metrics()["process_resident_memory_bytes"] - before < 64 << 20
        place.tenant.show(place.vm)


def test_ping_flood_of_a_deaf_client(place):
    with place.open(receive_buffer=4096) as ws:
        Screen(ws)
        ws.socket.settimeout(2)
        before = place.server.metrics()["process_resident_memory_bytes"]
        with pytest.raises((TimeoutError, ConnectionError)):
            for _ in range(100000):
                ws.socket.sendall(frame(b"p" * 125, PING) * 100)
        assert place.server.metrics()["process_resident_memory_bytes"] - before < 64 << 20


# ------------------------------------------------------------------------------------------ ends
def test_vm_stops(place):
    with place.open() as ws, place.open() as two:
        Screen(ws)
        Screen(two)
        place.tenant.run("PUT cloudvm/destroy", {"vm.id": place.vm})
        for one in (ws, two):
            closed = one.until_closed()
            assert (closed.code, closed.reason) == (4001, "SCREEN_CLOSED")
    wait_until(lambda: place.consoles() == 0, "they are gone")


def test_vm_stopped_after_the_token(place):
    where = place.address()
    place.tenant.run("PUT cloudvm/destroy", {"vm.id": place.vm})
    with WebSocket(place.server, where) as ws:
        closed = ws.until_closed()
        assert (closed.code, closed.reason) == (4002, "VM_STATE")


def test_vm_gone_after_the_token(place):
    where = place.address()
    place.tenant.run("DELETE cloudvm/{vmId}", {"vmId": place.vm})
    with WebSocket(place.server, where) as ws:
        closed = ws.until_closed()
        assert (closed.code, closed.reason) == (4002, "VM_NOT_FOUND")


def test_host_away(server):
    place = Place(server(connect="sim://?control=1"))
    where = place.address()
    place.server.expect("HOST_DOWN")
    place.server.control("down=1")
    with WebSocket(place.server, where) as ws:
        closed = ws.until_closed()
        assert (closed.code, closed.reason) == (4002, "HOST_DOWN")
    assert place.tenant.refused("GET cloudvm/connection/{vmId}", {"vmId": place.vm}).code == "HOST_DOWN"


def test_client_closes(place):
    with place.open() as ws:
        Screen(ws)
        ws.send(struct.pack(">H", 1000), CLOSE)
        assert ws.until_closed().code == 1000
    with place.open() as ws:
        Screen(ws)
        ws.close()  # without a word
    wait_until(lambda: place.consoles() == 0, "both are gone")


def test_silent_client(server):
    place = Place(server(options=["--console.silence", "3"]))
    with place.open() as dead, place.open() as alive:
        Screen(dead)
        screen = Screen(alive)
        dead.socket.settimeout(30)
        kinds = []
        while not kinds or kinds[-1][0] != CLOSE:
            kinds.append(dead.receive())
            if kinds[-1][0] == PING:
                alive.socket.sendall(frame(b"", PONG))
        assert (PING, b"") in kinds
        assert kinds[-1] == (CLOSE, struct.pack(">H", 4003) + b"SILENT")
        screen.ask()
        screen.picture()


def test_server_stops(place):
    with place.open() as ws:
        screen = Screen(ws)
        screen.ask()
        stopper = threading.Thread(target=place.server.stop)
        stopper.start()
        closed = ws.until_closed()
        stopper.join()
        assert (closed.code, closed.reason) == (1001, "SHUTTING_DOWN")


@pytest.mark.race
def test_server_stops_with_deaf_clients(place):
    deaf = [place.open(receive_buffer=4096) for _ in range(8)]
    for ws in deaf:
        Screen(ws).ask()
    place.server.stop()
    for ws in deaf:
        ws.close()


def test_too_many(place):
    open_ones = [place.open() for _ in range(16)]  # a quarter of all
    for ws in open_ones:
        Screen(ws)
    with place.open() as ws:
        closed = ws.until_closed()
        assert (closed.code, closed.reason) == (1013, "CONSOLES_FULL")
    open_ones.pop().close()
    wait_until(lambda: place.consoles() == 15, "one has gone")
    with place.open() as ws:
        Screen(ws)
    for ws in open_ones:
        ws.close()


@pytest.mark.race
def test_many_come_and_go(place):
    def come_and_go():
        for i in range(15):
            with place.open() as ws:
                if i % 3:
                    Screen(ws).ask()

    def crowd():
        threads = [threading.Thread(target=come_and_go) for _ in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        wait_until(lambda: place.consoles() == 0, "all are gone")

    crowd()  # now all threads are there, each with the database open
    fds = place.server.metrics()["process_open_fds"]
    crowd()
    assert place.server.metrics()["starvirt_consoles_total"] == 180
    wait_until(lambda: place.server.metrics()["process_open_fds"] <= fds + 6, "so are their descriptors")


@pytest.mark.race
def test_restarting_vm_and_viewers(place):
    """Screens close under their viewers while others come."""
    stop, seen = threading.Event(), []

    def watch():
        while not stop.is_set():
            reply = place.tenant.call("GET cloudvm/connection/{vmId}", {"vmId": place.vm})
            if reply.body["result"] != "0":
                continue
            with WebSocket(place.server, Address(reply.body["data"])) as ws:
                seen.append(ws.until_closed().code)

    threads = [threading.Thread(target=watch) for _ in range(4)]
    for t in threads:
        t.start()
    for _ in range(15):
        place.tenant.run("PUT cloudvm/destroy", {"vm.id": place.vm})
        place.tenant.run("PUT cloudvm/start", {"vm.id": place.vm})
    stop.set()
    place.tenant.run("PUT cloudvm/destroy", {"vm.id": place.vm})
    for t in threads:
        t.join()
    assert set(seen) <= {4001, 4002} and 4001 in seen


# ------------------------------------------------------------------------------------------ the page's files
def test_page(place):
    page = place.admin.request("GET", "/console/")
    assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=UTF-8"
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert b"<script>" not in page.raw and b"onclick" not in page.raw and b"style=" not in page.raw
    for path, kind in (("console.js", "text/javascript"), ("style.css", "text/css"),
                       ("novnc/core/rfb.js", "text/javascript"), ("novnc/LICENSE.txt", "text/plain")):
        reply = place.admin.request("GET", "/console/" + path)
        assert reply.status == 200 and reply.headers["Content-Type"].startswith(kind) and len(reply.raw) > 100, path


@pytest.mark.parametrize("path", ["/console/index.html", "/console/nothing", "/console/../healthz",
                                  "/console/novnc/../../server/main.c", "/console/%2e%2e/%2e%2e/etc/passwd",
                                  "/console//etc/passwd", "/console/novnc/", "/console/novnc/core/rfb.js/",
                                  "/console/console.js%00.css", "/console/\\..\\x"])
def test_no_way_out_of_the_page(place, path):
    with place.server.socket() as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        text = b""
        while part := s.recv(65536):
            text += part
    assert text.split(b" ", 2)[1] in (b"404", b"400"), text[:200]


def test_imports_are_there(place):
    """Every module that the page loads is served."""
    waiting, seen = ["console.js"], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        reply = place.admin.request("GET", "/console/" + path)
        assert reply.status == 200, path
        for name in re.findall(r"""(?:from|import\()\s*["'](\.[^"']+)["']""", reply.raw.decode()):
            waiting.append(posixpath.normpath(posixpath.join(posixpath.dirname(path), name)))
    assert len(seen) > 20


# ------------------------------------------------------------------------------------------ HTTPS
def certificate(folder):
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days",
                    "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    return cert, key


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
def test_over_tls(server, tmp_path):
    cert, key = certificate(tmp_path)
    place = Place(server(options=["--tls-cert", cert, "--tls-key", key], tls=cert))
    where = place.address()
    assert where.url.startswith("https://")
    assert refused(place, place.address(), change={"Origin": where.origin.replace("https", "http")}).status == 403
    with WebSocket(place.server, where) as ws, place.open() as two:
        screen = Screen(ws)
        total = 0
        for _ in range(5):
            screen.ask()
            total += len(screen.picture())
        assert total == 5 * screen.width * screen.height * 4
        Screen(two)
        with place.open(receive_buffer=4096) as slow:  # what was not taken at once is sent later, and only once
            lazy, pictures = Screen(slow), set()
            for _ in range(4):
                lazy.ask()
            wait_until(lambda: place.consoles() == 3, "three are open")
            for _ in range(3):
                pictures.add(lazy.picture())
                lazy.ask()
            assert len(pictures) == 1
        two.close()
        wait_until(lambda: place.consoles() == 1, "one has gone")
        place.tenant.run("PUT cloudvm/destroy", {"vm.id": place.vm})
        assert ws.until_closed().reason == "SCREEN_CLOSED"
    wait_until(lambda: place.consoles() == 0, "both are gone")
    place.tenant.run("PUT cloudvm/start", {"vm.id": place.vm})
    with place.open() as ws:
        Screen(ws)
        stopper = threading.Thread(target=place.server.stop)
        stopper.start()
        assert ws.until_closed().reason == "SHUTTING_DOWN"
        stopper.join()
