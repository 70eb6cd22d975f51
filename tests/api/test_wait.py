"""Requests that the end of a job answers: nobody waits for another's host, and a key makes it happen once, whatever
dies in between."""
import http.client
import random
import signal
import threading
import time

import pytest
from simhost import vnc_mark
from starvirt import wait_until
from test_vdisk import host_of

MANY = 40  # more than there ever were threads for it
ADD = "POST cloudvm/vnic/add"


def keyed(key):
    return {"headers": {"Idempotency-Key": key}}


class Asking:
    """Requests at the same time, each on a thread of its own."""

    def __init__(self, *calls):
        self.replies = [None] * len(calls)
        self.threads = [threading.Thread(target=self.run, args=(i, call)) for i, call in enumerate(calls)]
        for thread in self.threads:
            thread.start()

    def run(self, i, call):
        self.replies[i] = call()

    def answered(self):
        return sum(reply is not None for reply in self.replies)

    def wait(self):
        for thread in self.threads:
            thread.join(60)
        assert self.answered() == len(self.replies)
        return self.replies


def nics(client, vm):
    return [row["vnic.id"] for row in client.ok("POST cloudvm/vnic/search", {"vnic.vmid": vm}).data]


def waiting(server):
    return sum(n for name, n in server.metrics().items() if name.startswith("starvirt_jobs_open"))


def took(fn, *args):
    begin = time.monotonic()
    fn(*args)
    return time.monotonic() - begin


# ------------------------------------------------------------------------------------------------ a host that hangs
def test_a_host_that_hangs_holds_up_its_own_requests_only(server):
    one = server(connect="sim://?hosts=2&control=1")
    model = one.admin.model(size=1)
    rich, other = one.admin.tenant(), one.admin.tenant()
    order = {"vnic_portgroupid": rich.vpc(), "vm_tenant_model": model, "vm_memory_mem": 64, "vm_num": 10}
    made = [row for _ in range(2 * MANY // 10) for row in rich.create(**order).data]
    for row in made:
        rich.done(row["jobstartid"])
    there = [row["vm.id"] for row in made if host_of(one, row["vm.id"])[0] == "host2"]
    assert len(there) >= MANY
    vpc, vms = other.vpc(), []
    while not vms or host_of(one, vms[-1])[0] != "host1":
        vms.append(other.vm(vnic_portgroupid=vpc, vm_tenant_model=model))

    def add():
        other.ok(ADD, {"vnic.vmid": vms[-1], "vnic.portgroupid": vpc})

    alone = took(add)
    one.control("hang=1", "host2")
    asking = Asking(*[lambda vm=vm: rich.call("POST cloudvm/setvncpwd", {"vm.id": vm}) for vm in there[:MANY]])
    try:
        wait_until(lambda: waiting(one) == MANY, "all of them wait")
        assert took(add) < alone + 1
        assert other.ok("POST cloudnetwork/vpc/create").ok and asking.answered() == 0
    finally:
        one.control("hang=0", "host2")
    replies = asking.wait()
    assert all(reply.ok for reply in replies), replies
    assert len({reply.data["vm.vncpasswd"] for reply in replies}) == MANY


# --------------------------------------------------------------------------------------------------- the same key
class Cloud:
    """A server with one VM, whose NICs are added under keys."""

    def __init__(self, server, **how):
        self.server = server(connect="sim://?control=1", **how)
        self.tenant = self.server.admin.tenant()
        self.vpc = self.tenant.vpc()
        self.vm = self.tenant.vm(vnic_portgroupid=self.vpc, vm_tenant_model=self.server.admin.model(size=1))
        self.params = {"vnic.vmid": self.vm, "vnic.portgroupid": self.vpc}

    def add(self, key):
        return self.tenant.call(ADD, self.params, **keyed(key))

    def add_or_die(self, key):
        """The reply, or None when the server went away."""
        try:
            return self.add(key)
        except (OSError, http.client.HTTPException):
            return None


@pytest.fixture
def cloud_of_one(server):
    return Cloud(server)


def test_all_who_ask_with_one_key_get_one_answer(cloud_of_one):
    own = cloud_of_one
    own.server.control("hang=1")
    asking = Asking(*[lambda: own.add("k") for _ in range(16)])
    wait_until(lambda: waiting(own.server) == 1, "it runs")
    other = {**own.params, "vnic.portgroupid": own.tenant.vpc()}
    own.tenant.refused(ADD, other, "IDEMPOTENCY_MISMATCH", **keyed("k"))
    own.tenant.refused(ADD, own.params, "VM_LOCKED", **keyed("another"))
    assert asking.answered() == 0
    own.server.control("hang=0")
    raw = {reply.raw for reply in asking.wait() if reply.ok}
    assert len(raw) == 1 and {own.add("k").raw} == raw
    assert len(nics(own.tenant, own.vm)) == 2


def test_a_failure_is_told_to_all_and_frees_the_key(cloud_of_one):
    own = cloud_of_one
    own.server.expect(r'event=request .*result="HYPERVISOR"')
    own.server.control("fail=nic_attach:1")
    asking = Asking(*[lambda: own.add("k") for _ in range(4)])
    assert {reply.code for reply in asking.wait()} <= {"HYPERVISOR", "VM_LOCKED"}
    assert len(nics(own.tenant, own.vm)) == 1
    own.server.control("fail=nic_attach:0")
    assert own.add("k").ok and len(nics(own.tenant, own.vm)) == 2


def test_a_password_that_was_made_is_told_again(cloud_of_one):
    own = cloud_of_one
    made = [own.tenant.ok("POST cloudvm/setvncpwd", {"vm.id": own.vm}, **keyed("k")).data for _ in range(2)]
    assert made[0] == made[1] and len(own.tenant.ok("POST joblog/search", {"job.objid": own.vm}).data) == 2
    assert own.server.secrets() == [own.vm]


@pytest.mark.parametrize("point", ["nic.add:network:before", "nic.add:attach:after", "nic.add:end:before",
                                   "nic.add:end:after"])
def test_the_server_dies_between_work_and_reply(server, point):
    own = Cloud(server, crash_point=point)
    first = own.add_or_die("k")
    assert first is None or (first.ok and point.endswith("end:after")), first
    own.server.crashed()
    own.server.crash_point = None
    own.server.start()
    asking = Asking(*[lambda: own.add("k") for _ in range(3)])
    replies = asking.wait()
    assert all(reply.ok for reply in replies), replies
    assert len({reply.raw for reply in [*replies, first] if reply}) == 1, replies
    assert nics(own.tenant, own.vm)[1:] == [replies[0].data["vnic.id"]]


def test_killed_a_hundred_times_it_is_never_two(cloud_of_one):
    """At any moment of it: before it was accepted, in the middle, when all but the reply is done."""
    own, chance = cloud_of_one, random.Random(5)
    first = nics(own.tenant, own.vm)
    unanswered = 0
    for n in range(100):
        asking = Asking(lambda: own.add_or_die(f"k{n}"))
        time.sleep(chance.uniform(0, 0.02))  # the moment is what is tried
        own.server.kill()
        reply = asking.replies[0] if asking.threads[0].join(60) is None else None
        unanswered += reply is None
        own.server.start()
        again = own.add(f"k{n}")
        assert again.ok, again
        assert reply is None or reply.raw == again.raw
        assert sorted(nics(own.tenant, own.vm)) == sorted([*first, again.data["vnic.id"]]), f"round {n}"
        own.tenant.ok("DELETE cloudvm/vnic/{vnicId}", {"vnicId": again.data["vnic.id"]})
    assert unanswered > 20, "it was killed before the reply, often enough"


# ------------------------------------------------------------------------------------------------------- the end
def test_who_waits_when_the_server_stops_is_told(cloud_of_one):
    own = cloud_of_one
    own.server.control("hang=1")
    asking = Asking(lambda: own.add("k"))
    wait_until(lambda: waiting(own.server) == 1, "it runs")
    own.server.process.send_signal(signal.SIGTERM)
    (reply,) = asking.wait()
    assert reply.code == "STILL_RUNNING", reply
    own.server.kill()  # it would give the host half a minute
    own.server.start()
    assert own.add("k").ok and len(nics(own.tenant, own.vm)) == 2


# --------------------------------------------------------------------------------------------------------- crashes
JOBS = {"vm.vnc": "vnc", "vpc.delete": "network"}


@pytest.mark.parametrize("when", ["before", "after", "recorded", "end:before", "end:after"])
@pytest.mark.parametrize("kind", JOBS)
def test_a_crash_there(server, kind, when):
    own = Cloud(server, crash_point=f"{kind}:{when}" if when.startswith("end") else f"{kind}:{JOBS[kind]}:{when}")
    vpc = own.tenant.vpc()
    op, params = {"vm.vnc": ("POST cloudvm/editvncpwd", {"vm.id": own.vm, "vm.vncpasswd": "new"}),
                  "vpc.delete": ("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})}[kind]
    try:
        first = own.tenant.call(op, params, **keyed("k"))
        assert first.ok and when == "end:after", first
    except (OSError, http.client.HTTPException):
        pass
    own.server.crashed()
    own.server.crash_point = None
    own.server.start()
    assert own.tenant.ok(op, params, **keyed("k")).ok
    if kind == "vm.vnc":
        assert host_of(own.server, own.vm)[1].domains[own.vm].vnc == vnc_mark(own.vm, "new")
        assert own.server.secrets() == [own.vm]
    else:
        assert [row["vpc.id"] for row in own.tenant.ok("POST cloudnetwork/vpc/search").data] == [own.vpc]
        own.tenant.refused(op, params, "VPC_NOT_FOUND")
    assert own.server.fsck(hosts=False) == ""
