"""When hosts can be used: /readyz says so, and until then a creation is told to come again, and why."""
import json

import pytest
from starvirt import Client, wait_until

ABSENT = "qemu+tcp://127.0.0.1:1/system"  # nobody listens there


def readyz(server, token=None, path="/readyz"):
    headers = {"KEY_TOKEN": token} if token else {}
    reply = Client(server).request("GET", path, headers=headers)
    return reply, json.loads(reply.raw)


def order(server, client):
    return {"vnic.portgroupid": client.vpc(), "vm.tenant.model": server.admin.model(size=1), "vm.vcpu.num": 1,
            "vm.memory.mem": 64}


@pytest.fixture
def slow(server):
    """Connected at once; that it has anything is told after a while."""
    return server(connect="sim://?delay=1500ms&control=1", hosts=0)


def test_a_host_is_ready_once_what_it_has_is_known(slow):
    reply, said = readyz(slow)
    assert (reply.status, said["ready"], said["total"], said["usable"], said["coming"]) == (503, False, 1, 0, 1)
    assert reply.headers["Retry-After"]
    tenant = slow.admin.tenant()
    wanted = order(slow, tenant)
    refused = tenant.call("POST cloudvm/create", wanted)
    assert (refused.status, refused.code, refused.body["error"]["retry"]) == (200, "HOST_NOT_READY", "safe")
    assert refused.headers["Retry-After"] == "1"
    assert slow.metrics()['starvirt_hosts{connected="true"}'] == 0
    reply, said = wait_until(lambda: (lambda r: r if r[0].status == 200 else None)(readyz(slow)), "it is ready")
    assert said == {"ready": True, "total": 1, "usable": 1, "coming": 0}
    assert slow.metrics()['starvirt_hosts{connected="true"}'] == 1
    made = tenant.ok("POST cloudvm/create", wanted).data[0]
    slow.control("delay=0ms")
    tenant.done(made["jobstartid"])


def test_a_hypervisor_that_is_not_there(server):
    one = server(connect=ABSENT, hosts=0)
    tenant = one.admin.tenant()
    wanted = order(one, tenant)
    wait_until(lambda: readyz(one)[1]["coming"] == 0, "it was tried")
    reply, said = readyz(one)
    assert reply.status == 503 and said == {"ready": False, "total": 1, "usable": 0, "coming": 0}
    _, said = readyz(one, one.admin.token)
    (host,) = said["hosts"]
    assert (host["uri"], host["state"]) == (ABSENT, "unreachable")
    assert "refused" in host["reason"].lower()
    assert Client(one).request("GET", "/healthz").status == 200
    refused = tenant.refused("POST cloudvm/create", wanted, "HOST_NOT_READY")
    assert "0/1" in refused.text and "qemu" not in refused.text and "refused" not in refused.text.lower()
    wanted["vnic.portgroupid"] = one.admin.vpc()
    refused = one.admin.refused("POST cloudvm/create", wanted, "HOST_NOT_READY")
    assert ABSENT in refused.text and "unreachable" in refused.text and "refused" in refused.text.lower()
    one.connect = []  # there is nothing to compare with


def test_who_may_see_what_keeps_a_host_away(server):
    one = server(connect=["sim://", ABSENT], hosts=1)
    tenant = one.admin.tenant()
    wait_until(lambda: readyz(one)[0].status == 200, "one is ready, the other was tried")
    _, said = readyz(one)
    assert said == {"ready": True, "total": 2, "usable": 1, "coming": 0}
    assert readyz(one, tenant.token)[1] == said
    _, all_of_it = readyz(one, one.admin.token)
    assert {host["state"] for host in all_of_it.pop("hosts")} == {"ready", "unreachable"}
    assert all_of_it == said
    reply = Client(one).request("GET", "/readyz", headers={"KEY_TOKEN": "0" * 64})
    assert reply.status == 403 and reply.code == "TOKEN_INVALID"
    tenant.vm(**order(one, tenant))
    one.connect = ["sim://"]  # that is what there is to compare with


def test_a_host_that_is_lost_and_comes_back(server):
    one = server(connect="sim://?control=1")
    tenant = one.admin.tenant()
    wanted = order(one, tenant)
    one.control("down=1")
    wait_until(lambda: readyz(one)[0].status == 503, "it is lost")
    (host,) = readyz(one, one.admin.token)[1]["hosts"]
    assert host["state"] == "lost" and host["reason"]
    tenant.refused("POST cloudvm/create", wanted, "HOST_NOT_READY")
    one.control("down=0")
    wait_until(lambda: readyz(one)[0].status == 200, "it is back")
    tenant.vm(**wanted)


def test_what_is_short(server):
    """No room is said resource by resource, with how many hosts are short of it and the most that one has."""
    one = server(connect="sim://?cpus=1&mem=1G", options=["--hv.vcpu_overcommit", "1"])
    tenant = one.admin.tenant()
    wanted = order(one, tenant)
    text = tenant.refused("POST cloudvm/create", {**wanted, "vm.vcpu.num": 2}, "NO_CAPACITY").text
    assert "1 host: 1 short of vCPU (2 > 1)" in text and "memory" not in text
    text = tenant.refused("POST cloudvm/create", {**wanted, "vm.memory.mem": 2048}, "NO_CAPACITY").text
    assert "1 short of memory (2048 MB > 1024 MB)" in text and "vCPU" not in text
    text = tenant.refused("POST cloudvm/create", {**wanted, "vm.vcpu.num": 2, "vm.memory.mem": 2048}, "NO_CAPACITY").text
    assert "short of vCPU (2 > 1)" in text and "short of memory (2048 MB > 1024 MB)" in text
