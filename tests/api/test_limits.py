"""More than the server takes at a time: refused by name and at once, while what it has goes on."""
import json
import os
import resource
import select
import socket
import subprocess
import sys
import threading

import pytest
from starvirt import BASE, ROOT, wait_until

QUEUE, POLLS = 256, 2048  # of server/main.c


# ---------------------------------------------------------------------------------------------------- long polls
class Polls:
    """Requests that wait for an event, each on a connection of its own and from one of many addresses."""

    def __init__(self, server):
        self.server, self.sockets = server, []
        self.since = server.admin.last_event()
        self.settle()

    def settle(self):
        """Until nothing happens any more: an event would answer them."""
        while self.server.admin.ok("GET events", query={"since": self.since, "wait": 1}).data:
            self.since = self.server.admin.last_event()

    def add(self, source, client=None):
        s = socket.create_connection(self.server.address, 30, (source, 0))
        s.sendall((f"GET {BASE}events?since={self.since}&wait=60 HTTP/1.1\r\nHost: x\r\n"
                   f"KEY_TOKEN: {(client or self.server.admin).token}\r\n\r\n").encode())
        self.sockets.append(s)
        return s

    def close(self):
        for s in self.sockets:
            s.close()


@pytest.fixture
def descriptors():
    """Enough of them for a client of that many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = POLLS + 500
    if hard != resource.RLIM_INFINITY and hard < need:
        pytest.skip(f"only {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, need), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def waiting(server):
    return server.metrics()["starvirt_long_polls"]


def test_too_many_long_polls(server, descriptors):
    one = server()
    tenant = one.admin.tenant()
    polls = Polls(one)
    try:
        for i in range(POLLS * 3 // 4):
            polls.add(f"127.0.1.{1 + i % 250}")
        for i in range(POLLS // 4 - POLLS // 16):
            polls.add(f"127.0.2.{1 + i % 250}", tenant)
        wait_until(lambda: waiting(one) == POLLS - POLLS // 16, "all but the reserve wait", 60)
        wait = {"since": polls.since, "wait": 60}
        assert one.admin.call("GET events", query=wait).code == "SHARE_USED", "three quarters are an administrator's"
        reply = tenant.call("GET events", query=wait)
        assert (reply.status, reply.code) == (503, "OVERLOADED") and "long polls" in reply.text
        assert reply.body["error"]["retry"] == "safe" and int(reply.headers["Retry-After"]) >= 1
        assert one.admin.ok("GET cloudvm/model").ok, "what does not wait is answered"
        one.admin.tenant()  # an event that administrators see: they are answered, and there is room again
        wait_until(lambda: waiting(one) == POLLS // 4 - POLLS // 16, "only the tenant's wait", 60)
        first = polls.sockets[0]
        assert select.select([first], [], [], 30)[0] and first.recv(12) == b"HTTP/1.1 200"
        polls.since = one.admin.last_event()
        polls.settle()
        polls.add("127.0.1.1")
        wait_until(lambda: waiting(one) == POLLS // 4 - POLLS // 16 + 1, "it may wait")
    finally:
        polls.close()


# ---------------------------------------------------------------------------------------------- waiting needs no thread
def test_more_requests_that_wait_than_there_are_threads(server):
    """One waits for its job, the others are told at once who holds the VM; neither takes a thread from anybody."""
    one = server(connect="sim://?control=1", options=["--workers", "1"])
    tenant = one.admin.tenant()
    vpc = tenant.vpc()
    vm = tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=one.admin.model(size=1))
    params = {"vnic.vmid": vm, "vnic.portgroupid": vpc}
    one.control("hang=1")
    replies, lock = [], threading.Lock()

    def ask():
        reply = tenant.call("POST cloudvm/vnic/add", params)
        with lock:
            replies.append(reply)

    threads = [threading.Thread(target=ask) for _ in range(QUEUE + 20)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(replies) == len(threads) - 1, "all but one were refused", 60)
        assert {reply.code for reply in replies} == {"VM_LOCKED"}
        found = one.metrics()
        assert not any(n for name, n in found.items() if name.startswith("starvirt_workers")), found
        assert tenant.show(vm)["vm.state"] == "1" and tenant.ok("POST cloudnetwork/vpc/create").ok
    finally:
        one.control("hang=0")
        for thread in threads:
            thread.join()
    assert replies[-1].ok, replies[-1]


# ------------------------------------------------------------------------------------------- from another machine
INSIDE = """
import json, subprocess, sys
sys.path.insert(0, sys.argv[1])
from daemon import Server
from starvirt import Client
for words in (["link", "set", "lo", "up"], ["addr", "add", "192.0.2.7/32", "dev", "lo"]):
    subprocess.run(["ip", *words], check=True)
server = Server(sys.argv[2], listen="192.0.2.7:0").start()
tenant = server.admin.tenant()
asked = {"nobody": {}, "tenant": {"KEY_TOKEN": tenant.token}, "guess": {"KEY_TOKEN": "0" * 64},
         "admin": {"KEY_TOKEN": server.admin.token}, "forged": {"X-Forwarded-For": "127.0.0.1"},
         "forwarded": {"Forwarded": "for=127.0.0.1"}}
found = {who: Client(server).request("GET", "/metrics", None, headers).status for who, headers in asked.items()}
found["health"] = Client(server).request("GET", "/healthz").status
print(json.dumps({"found": found, "wrong": server.finish()}))
"""


def alone():
    """The words that run a program in a network of its own."""
    words = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    return words if subprocess.run([*words, "true"], capture_output=True).returncode == 0 else None


@pytest.mark.skipif(not alone(), reason="no network namespaces here")
def test_metrics_are_not_for_other_machines(tmp_path):
    """Threat 28: asked from an address that is not this machine's own, whatever the request says of itself."""
    done = subprocess.run([*alone(), sys.executable, "-c", INSIDE, os.path.join(ROOT, "tests", "api"),
                           str(tmp_path / "data")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["wrong"] == []
    assert told["found"] == {"nobody": 403, "tenant": 403, "guess": 403, "forged": 403, "forwarded": 403, "admin": 200,
                             "health": 200}
