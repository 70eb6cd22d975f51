"""What all share and nobody may take whole: long polls, uploads, connections."""
import base64
import contextlib
import json
import resource
import select
import socket
import subprocess
import sys
import time

import pytest

from images import MIB, UPLOAD, uploads
from starvirt import BASE, form_body, wait_until

# With 256 connections, what tenants share is a sixteenth of server/share.c's rows.
FEW = ["--connections", "256"]
POLLS, SHARE, RESERVE = 128, 32, 8


def used(server, supply="long_polls"):
    return server.metrics()[f'starvirt_supply_used{{supply="{supply}"}}']


def since_now(client):
    """Until nothing happens any more: an event would answer who waits for one."""
    since = client.last_event()
    while client.ok("GET events", query={"since": since, "wait": 1}).data:
        since = client.last_event()
    return since


class Polls:
    """Requests of a tenant that wait for an event, each on a connection of its own, from one of many addresses."""

    def __init__(self, server, since):
        self.server, self.since, self.sockets = server, since, []

    def send(self, client, source="127.0.0.1"):
        s = socket.create_connection(self.server.address, 30, (source, 0))
        self.sockets.append(s)
        s.sendall((f"GET {BASE}events?since={self.since}&wait=60 HTTP/1.1\r\nHost: x\r\n"
                   f"KEY_TOKEN: {client.token}\r\n\r\n").encode())
        return s

    def close(self):
        for s in self.sockets:
            s.close()


def reply_of(s, seconds=30):
    """Status and body of one reply on a raw socket."""
    s.settimeout(seconds)
    text = b""
    while b"\r\n\r\n" not in text:
        part = s.recv(65536)
        assert part, "closed without a reply"
        text += part
    head, _, body = text.partition(b"\r\n\r\n")
    length = int(next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")).split()[1])
    while len(body) < length:
        body += s.recv(65536)
    return int(head.split()[1]), json.loads(base64.b64decode(body))


@pytest.fixture
def few(server):
    return server(options=FEW)


@pytest.fixture
def polls(few):
    tenants = [few.admin.tenant() for _ in range(5)]
    polls = Polls(few, since_now(few.admin))
    polls.tenants = tenants
    yield polls
    polls.close()


# ------------------------------------------------------------------------------------------------------ long polls
def test_a_tenant_has_a_quarter_of_the_long_polls(few, polls):
    greedy, other = polls.tenants[:2]
    for i in range(SHARE):
        polls.send(greedy, f"127.0.1.{i + 1}")
    wait_until(lambda: used(few) == SHARE, "all wait")
    reply = greedy.call("GET events", query={"since": polls.since, "wait": 60})
    assert (reply.status, reply.code) == (429, "SHARE_USED") and f"{SHARE} long polls" in reply.text
    assert reply.body["error"]["retry"] == "safe" and int(reply.headers["Retry-After"]) >= 1
    assert greedy.ok("GET events", query={"since": polls.since, "wait": 0}).data == [], "what does not wait is answered"
    polls.send(other)
    polls.send(few.admin)
    wait_until(lambda: used(few) == SHARE + 2, "others have their own")
    found = few.metrics()
    assert found['starvirt_supply_limit{supply="long_polls"}'] == POLLS
    assert found['starvirt_supply_most{supply="long_polls"}'] == SHARE
    assert found['starvirt_supply_tenants{supply="long_polls"}'] == 3
    assert found['starvirt_supply_refused_total{supply="long_polls",why="share"}'] == 1
    few.admin.tenant()  # an event: who may see it is answered, and all have room again
    wait_until(lambda: used(few) == SHARE + 1, "the administrator was told")


def test_four_tenants_do_not_shut_out_a_fifth(few, polls):
    for n, tenant in enumerate(polls.tenants[:4]):
        for i in range(SHARE):
            polls.send(tenant, f"127.0.{n + 1}.{i + 1}")
    wait_until(lambda: used(few) == POLLS - RESERVE, "all but the reserve wait")
    answered = wait_until(lambda: s if len(s := select.select(polls.sockets, [], [], 0)[0]) == RESERVE else None,
                          "the reserve is refused")
    for status, body in map(reply_of, answered):
        assert (status, body["error"]["code"], body["error"]["retry"]) == (503, "OVERLOADED", "safe")
        assert "长轮询" in body["resultinfo"]  # it asked in no language
    polls.send(polls.tenants[4])
    wait_until(lambda: used(few) == POLLS - RESERVE + 1, "who had none has one")


def test_a_client_that_hangs_up_gives_its_place_back(few, polls):
    tenant = polls.tenants[0]
    for i in range(SHARE):
        polls.send(tenant, f"127.0.1.{i + 1}")
    wait_until(lambda: used(few) == SHARE, "all wait")
    begin = time.monotonic()
    for s in polls.sockets:
        s.close()
    wait_until(lambda: used(few) == 0, "all places are free", 5)
    assert time.monotonic() - begin < 1
    polls.send(tenant)
    wait_until(lambda: used(few) == 1, "it may wait again")


def test_a_reset_is_a_hang_up(few, polls):
    s = polls.send(polls.tenants[0])
    wait_until(lambda: used(few) == 1, "it waits")
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    s.close()
    wait_until(lambda: used(few) == 0, "its place is free", 1)


def test_half_closed_is_a_hang_up(few, polls):
    """Closed for sending or closed for good: from here they look the same. It does not wait; a reply may come or not."""
    s = polls.send(polls.tenants[0])
    wait_until(lambda: used(few) == 1, "it waits")
    s.shutdown(socket.SHUT_WR)
    s.settimeout(1)
    while s.recv(65536):
        pass
    wait_until(lambda: used(few) == 0, "its place is free", 1)


@pytest.mark.race
def test_hanging_up_while_things_happen(few, polls):
    """Places come back whatever ends the waiting first: an event, the client, both."""
    tenant = polls.tenants[0]
    for _ in range(20):
        for i in range(8):
            polls.send(few.admin, f"127.0.1.{i + 1}")
            polls.send(tenant, f"127.0.2.{i + 1}")
        few.admin.tenant()
        polls.close()
        polls.sockets.clear()
    wait_until(lambda: used(few) == 0, "nobody waits any more")
    assert few.metrics()["starvirt_long_polls"] == 0


# ------------------------------------------------------------------------------------- requests that wait for a job
def test_a_tenant_has_a_quarter_of_the_parked_requests(server):
    """Repeats of one request all wait for the same job; who hangs up leaves the job alone."""
    one = server(connect="sim://?control=1", options=FEW)  # 64 may wait
    tenant, other = one.admin.tenant(), one.admin.tenant()
    vpc, model = tenant.vpc(), one.admin.model(size=1)
    vm = tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model)
    body = form_body({"vnic.vmid": vm, "vnic.portgroupid": vpc})
    ask = (f"POST {BASE}cloudvm/vnic/add HTTP/1.1\r\nHost: x\r\nKEY_TOKEN: {tenant.token}\r\nIdempotency-Key: k\r\n"
           f"Content-Type: {body[0]}\r\nContent-Length: {len(body[1])}\r\n\r\n").encode()
    ask += body[1] if isinstance(body[1], bytes) else body[1].encode()
    one.control("hang=1")
    waiting = []
    try:
        for _ in range(16):
            waiting.append(one.socket())
            waiting[-1].sendall(ask)
        wait_until(lambda: used(one, "parked") == 16, "all wait")
        with one.socket() as s:
            s.sendall(ask)
            status, reply = reply_of(s)
            assert (status, reply["error"]["code"], reply["error"]["retry"]) == (429, "SHARE_USED", "safe"), reply
        assert other.ok("POST cloudnetwork/vpc/create").ok
        begin = time.monotonic()
        while len(waiting) > 1:
            waiting.pop().close()
        wait_until(lambda: used(one, "parked") == 1, "15 places are free", 5)
        assert time.monotonic() - begin < 1
    finally:
        one.control("hang=0")
    status, reply = reply_of(waiting[0])
    assert status == 200 and reply["result"] == "0", reply
    waiting[0].close()
    assert used(one, "parked") == 0
    assert used(one, "parked") == 0


# ---------------------------------------------------------------------------------------------------------- uploads
def begin_upload(server, client):
    s = server.socket()
    s.sendall((f"POST {BASE}cloudtemplate/upload?name=slow HTTP/1.1\r\nHost: x\r\nKEY_TOKEN: {client.token}\r\n"
               f"Content-Length: {50 * MIB}\r\n\r\n").encode() + bytes(MIB))
    return s


def test_a_tenant_has_a_quarter_of_the_uploads(server):
    one = server(options=["--connections", "512"])  # 8 uploads
    greedy, other = one.admin.tenant(), one.admin.tenant()
    slow = [begin_upload(one, greedy) for _ in range(2)]
    wait_until(lambda: used(one, "uploads") == 2, "both began")
    how = {"query": {"name": "x"}, "body": bytes(MIB), "type": "application/octet-stream"}
    reply = greedy.call(UPLOAD, **how)
    assert (reply.status, reply.code) == (429, "SHARE_USED") and "2 uploads" in reply.text
    other.ok(UPLOAD, **how)
    begin = time.monotonic()
    slow[0].close()
    wait_until(lambda: used(one, "uploads") == 1, "one place is free", 5)
    assert time.monotonic() - begin < 1
    greedy.ok(UPLOAD, **how)
    slow[1].close()
    wait_until(lambda: used(one, "uploads") == 0 and not uploads(one), "nothing is left")


# ------------------------------------------------------------------------------------------------------ connections
FLOOD = """
import resource, select, socket, sys, time
address, sources, want, text = (sys.argv[1], int(sys.argv[2])), sys.argv[3].split(","), int(sys.argv[4]), sys.argv[5]
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
watch, mine, made = select.epoll(), {}, 0
def one():
    global made
    s = socket.socket()
    s.bind((sources[made % len(sources)], 0))
    s.connect(address)
    s.sendall(text.encode())
    watch.register(s, select.EPOLLRDHUP | select.EPOLLIN)
    mine[s.fileno()] = s
    made += 1
def drop(fd):
    watch.unregister(fd)
    mine.pop(fd).close()
for _ in range(want):
    one()
print("all", flush=True)
end = time.monotonic() + 600
while time.monotonic() < end and not select.select([sys.stdin], [], [], 0)[0]:
    for fd, _ in watch.poll(0.05):  # whoever is thrown out comes again
        drop(fd)
        one()
print(made, flush=True)
"""

HALF_HEAD = "POST /starvcenter/services/cloudresource/cloudvm/search HTTP/1.1\r\nHost: x\r\nX-Slow: "
HALF_BODY = HALF_HEAD + "y\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nKEY_PARAM="
TWO = "127.0.0.1,127.0.0.2"
MANY = ",".join(f"127.0.{1 + i // 250}.{1 + i % 250}" for i in range(500))
UNFINISHED = 4120


@contextlib.contextmanager
def flood(server, sources, text, want=UNFINISHED):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < want + 1000:
        pytest.skip(f"only {hard} descriptors")
    argv = [sys.executable, "-c", FLOOD, server.address[0], str(server.address[1]), sources, str(want), text]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def answered(server, tenant, times):
    """Health, metrics and an operation, each on a connection of its own; how long each took."""
    for path, token in (("/healthz", None), ("/metrics", server.admin.token), (BASE + "cloudvm/model", tenant.token)):
        begin = time.monotonic()
        connection = server.connection(30)
        connection.request("GET", path, headers={"KEY_TOKEN": token} if token else {})
        assert connection.getresponse().status == 200, path
        connection.close()
        times.append(time.monotonic() - begin)


@pytest.mark.parametrize("sources,text", [(TWO, HALF_HEAD), (TWO, ""), (TWO, HALF_BODY), (MANY, HALF_HEAD), (MANY, HALF_BODY)],
                         ids=["heads", "silent", "bodies", "heads-of-many", "bodies-of-many"])
def test_unfinished_requests_shut_nobody_out(server, sources, text):
    one = server()
    tenant, times = one.admin.tenant(), []
    kept = one.connection(30)
    ask = ("GET", BASE + "cloudvm/model", None, {"KEY_TOKEN": tenant.token})
    kept.request(*ask)
    assert kept.getresponse().read()
    used_before = kept.sock
    with flood(one, sources, text) as process:
        while not select.select([process.stdout], [], [], 0)[0]:
            answered(one, tenant, times)
        assert process.stdout.readline() == b"all\n"
        end = time.monotonic() + 3
        while time.monotonic() < end:
            answered(one, tenant, times)
        found = one.metrics()
        kept.request(*ask)
        assert kept.getresponse().status == 200 and kept.sock is used_before, "it had shown a good token"
    print(f"{len(times)} requests, the slowest {max(times):.3f} s; {found['starvirt_connections']:.0f} connections")
    assert max(times) < 1, sorted(times)[-5:]
    assert found["starvirt_connections"] <= found["starvirt_connections_limit"] == 4096
    assert found['starvirt_connections_cut_total{why="address"}'] + found['starvirt_connections_cut_total{why="full"}'] > 0
    kept.close()
