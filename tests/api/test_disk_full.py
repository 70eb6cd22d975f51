"""The file system of the data directory is full for a while: nothing is lost, nothing is stuck, everybody is told."""
import contextlib
import os
import re

import pytest
from smalldisk import SmallDisk
from starvirt import Client, unique, wait_until

if os.geteuid() != 0:
    pytest.skip("mounting needs root", allow_module_level=True)

CANCEL = "PUT joblog/cancel"
REFUSED = {"DISK_FULL": 507}


class Cloud:
    """A server whose data directory is on a small disk; the hypervisor's own state is elsewhere, as it would be."""

    def __init__(self, disk, servers, folder, uri="sim://?hosts=2&control=1", **how):
        self.disk = disk
        data, hypervisor = os.path.join(disk.path, "data"), str(folder / "hypervisor")
        os.makedirs(hypervisor)
        os.makedirs(data, mode=0o711)
        os.symlink(hypervisor, os.path.join(data, "sim"))
        self.server = servers(data=data, connect=uri, start=False, **how)
        self.server.expect(r"event=db\.outage", r"result=.DISK_FULL")
        self.server.stderr = str(folder / "server.log")
        self.server.start()
        self.admin = self.server.admin
        self.tenant = self.admin.tenant()
        self.vpc, self.model = self.tenant.vpc(), self.admin.model(size=1)

    def vm(self):
        return self.tenant.vm(vnic_portgroupid=self.vpc, vm_tenant_model=self.model)

    def host(self, vm):
        with self.server.database() as db:
            return db.execute("SELECT host.name FROM host, vm WHERE vm.id = ? AND host.id = host_id", (vm,)).fetchone()[0]

    def create(self):
        return self.tenant.create(vnic_portgroupid=self.vpc, vm_tenant_model=self.model).data[0]

    def fill(self):
        """Until it is felt: the log of the database has room of its own, which goes first. Reads that take no room
        and writes that are refused leave nothing."""
        descr = "x" * 1000
        while True:
            self.disk.fill()
            reply = self.admin.call("POST cloudTenant/create", {"app.name": unique("filler"), "app.desc": descr})
            if not reply.ok:
                assert (reply.code, reply.status) == ("DISK_FULL", 507), reply
                assert reply.body["error"]["retry"] == "safe" and reply.headers["Retry-After"], reply
                return

    def metric(self, name):
        return self.server.metrics()["starvirt_db_" + name]

    def wait_stuck(self, more_than=0):
        wait_until(lambda: self.metric("waiting") > more_than, "something waits for room")

    def health(self):
        reply = Client(self.server).request("GET", "/healthz")
        return reply.status, reply.raw.decode()

    def well(self):
        """Nothing waits any more, all by itself."""
        wait_until(lambda: self.metric("waiting") == 0 and self.metric("writable") == 1, "all is written")
        assert self.health() == (200, "ok")


@pytest.fixture
def disk(tmp_path):
    with SmallDisk(tmp_path / "disk") as made:
        yield made


@pytest.fixture
def cloud(disk, server, tmp_path):
    made = Cloud(disk, server, tmp_path)
    yield made
    disk.free()


def test_a_job_waits_for_room(cloud):
    """It runs when the disk is full: it stays as it is, and ends by itself when there is room; its VM is free."""
    vm = cloud.vm()
    cloud.server.control("hang=1"), cloud.server.control("hang=1", "host2")
    startid = cloud.tenant.ok("PUT cloudvm/destroy", {"vm.id": vm}).startid
    cloud.fill()
    cloud.server.control("hang=0"), cloud.server.control("hang=0", "host2")
    cloud.wait_stuck()
    assert cloud.health() == (503, "disk full: nothing can be written until there is room\n")
    assert cloud.metric("writable") == 0 and cloud.metric("failures_total") > 0
    assert cloud.tenant.ok("GET joblog/{startid}", {"startid": startid}).data["job.result"] == "2"
    reply = cloud.tenant.refused(CANCEL, {"startid": startid}, "DISK_FULL")
    assert reply.status == 507
    assert "disk is full" in reply.text
    cloud.disk.free()
    assert cloud.tenant.follow(startid).result == "0"
    cloud.well()
    cloud.tenant.run("PUT cloudvm/start", {"vm.id": vm})
    log = cloud.tenant.ok("GET joblog/{startid}", {"startid": startid}).data["job.logs"]
    lines = [line["log.content"] for line in log]
    assert len(lines) == len(set(lines)), "each line once"
    assert [e["event.type"] for e in cloud.tenant.events() if startid in e["event.content"]] == [
        "job.accepted", "job.end"]


def test_queued_jobs_begin_when_there_is_room(cloud):
    vms = [cloud.vm() for _ in range(3)]
    cloud.server.control("delay=300ms"), cloud.server.control("delay=300ms", "host2")
    jobs = [cloud.tenant.ok("PUT cloudvm/destroy", {"vm.id": vm}).startid for vm in vms]
    cloud.fill()
    cloud.wait_stuck()
    cloud.disk.free()
    assert [cloud.tenant.follow(job).result for job in jobs] == ["0"] * 3
    cloud.well()


def test_the_undo_of_a_failed_job_waits(cloud):
    cloud.server.control("delay=200ms"), cloud.server.control("delay=200ms", "host2")
    cloud.server.control("fail=start:1"), cloud.server.control("fail=start:1", "host2")
    made = cloud.create()
    cloud.fill()
    cloud.wait_stuck()
    cloud.disk.free()
    assert cloud.tenant.follow(made["jobstartid"]).result == "1"
    assert cloud.tenant.show(made["vm.id"])["vm.state"] == "-2"
    cloud.well()


def test_what_guests_and_hosts_did_meanwhile(cloud):
    """A guest that stopped reads so afterwards, the VMs of a lost host as unknown, and all again once it is back."""
    vms = [cloud.vm() for _ in range(4)]
    hosts = [cloud.host(vm) for vm in vms]
    here = [vm for vm, host in zip(vms, hosts) if host == "host1"]
    there = [vm for vm, host in zip(vms, hosts) if host == "host2"]
    assert len(here) == len(there) == 2
    seq = cloud.admin.last_event()
    cloud.fill()
    cloud.server.control(f"stop={here[0]}"), cloud.server.control(f"crash={here[1]}")
    cloud.server.control("down=1", "host2")
    cloud.wait_stuck()
    assert {cloud.tenant.show(vm)["vm.state"] for vm in vms} <= {"1", "0", "-1"}, "reads go on"
    cloud.disk.free()
    state = lambda vm: cloud.tenant.show(vm)["vm.state"]
    wait_until(lambda: [state(vm) for vm in vms] == ["0" if vm in here else "-1" for vm in vms], "all are as they are")
    cloud.well()
    cloud.server.control("down=0", "host2")
    wait_until(lambda: [state(vm) for vm in there] == ["1", "1"], "the host is back")
    told = [(e["event.type"], e["event.objid"]) for e in cloud.admin.events(seq)]
    for event in [("vm.state", here[0]), ("vm.crashed", here[1])]:
        assert told.count(event) == 1, told
    assert [kind for kind, _ in told].count("host.lost") == 1


def test_a_storm_of_events_is_bounded(cloud):
    """What guests do over and over while nothing can be written is kept as what they did last."""
    vm = cloud.vm()
    cloud.fill()
    host = cloud.host(vm)
    for _ in range(40):
        cloud.server.control(f"agent={vm}:0", host), cloud.server.control(f"agent={vm}:1", host)
        cloud.server.control("down=1", "host2"), cloud.server.control("down=0", "host2")
    cloud.server.control(f"stop={vm}", host)
    cloud.wait_stuck()
    cloud.disk.free()
    wait_until(lambda: cloud.tenant.show(vm)["vm.state"] == "0", "it reads as stopped")
    cloud.well()


def test_everybody_is_served_meanwhile(cloud):
    """Reads, long polls, metrics, descriptions and consoles; what writes is refused at once and by name."""
    vm = cloud.vm()
    cloud.fill()
    assert cloud.tenant.show(vm)["vm.state"] == "1"
    cloud.tenant.ok("POST cloudvm/search", {})
    assert cloud.tenant.ok("GET cloudvm/connection/{vmId}", {"vmId": vm}).data
    key = {"Idempotency-Key": unique("key")}
    for op, params in [("PUT cloudvm/destroy", {"vm.id": vm}), ("DELETE cloudvm/{vmId}", {"vmId": vm}),
                       ("POST cloudnetwork/vpc/create", {"vpc.name": "more"})]:
        reply = cloud.tenant.refused(op, params, "DISK_FULL", headers=key)
        assert reply.status == 507 and reply.body["error"]["retry"] == "safe"
    cloud.disk.free()
    cloud.tenant.run("PUT cloudvm/destroy", {"vm.id": vm}, headers=key)
    cloud.well()


def test_health_finds_out_by_itself(cloud):
    """Nobody writes: whoever asks for the health learns it all the same."""
    cloud.fill()
    cloud.disk.free()
    cloud.well()
    cloud.fill()
    assert cloud.health()[0] == 503
    cloud.disk.free()
    wait_until(lambda: cloud.health() == (200, "ok"), "health is good again", 5)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_server_ends_and_starts_meanwhile(cloud, end):
    """An end is quick and loses nothing; a start serves what can be served and begins when there is room."""
    vm, other = cloud.vm(), cloud.vm()
    for host in ("host1", "host2"):
        cloud.server.control("delay=200ms", host)
    startid = cloud.tenant.ok("PUT cloudvm/destroy", {"vm.id": vm}).startid
    cloud.fill()
    cloud.wait_stuck()
    getattr(cloud.server, end)(*([10] if end == "stop" else []))
    cloud.server.hosts, cloud.server.sick = 0, True
    with cloud.server.database() as db:  # who reads keeps the log as it is: else the start makes room by it
        db.execute("BEGIN").execute("SELECT count(*) FROM job").fetchone()
        cloud.disk.fill()
        cloud.server.start()
        assert cloud.tenant.show(other)["vm.id"] == other
        assert cloud.tenant.ok("GET joblog/{startid}", {"startid": startid}).data["job.result"] == "2"
        assert cloud.health()[0] == 503
        cloud.tenant.refused("PUT cloudvm/destroy", {"vm.id": other}, "DISK_FULL")
    cloud.disk.free()
    assert cloud.tenant.follow(startid).result == "0"
    wait_until(lambda: cloud.tenant.show(other)["vm.state"] == "1", "its host is connected")
    cloud.well()
    cloud.tenant.run("PUT cloudvm/destroy", {"vm.id": other})


def test_log_lines_are_few(cloud):
    """An outage is told when it begins and when it is over, whatever is tried in between."""
    cloud.fill()
    for _ in range(30):
        cloud.tenant.refused("POST cloudnetwork/vpc/create", {"vpc.name": "more"}, "DISK_FULL")
    cloud.disk.free()
    cloud.well()
    log = cloud.server.log()
    assert len(re.findall("event=db.outage", log)) == cloud.metric("outages_total")
    assert len(re.findall("event=db.writable", log)) == cloud.metric("outages_total")


def test_a_first_start_waits_for_room(disk, server, tmp_path):
    """There is not even room for a database: who asks is told why, and then all begins by itself."""
    disk.fill()
    made = server(data=os.path.join(disk.path, "data"), start=False)
    made.stderr, made.hosts, made.sick = str(tmp_path / "server.log"), 0, True
    made.expect(r"event=db\.", r"result=.DISK_FULL")
    made.start()
    for _ in range(20):  # connections that come and go
        with contextlib.closing(made.connection(10)) as connection:
            connection.request("GET", "/healthz")
            reply = connection.getresponse()
            assert (reply.status, reply.read()) == (503, b"disk full: nothing can be written until there is room\n")
    reply = Client(made).call("POST cloudTenant/search", {}, token="x")
    assert (reply.status, reply.code) == (507, "DISK_FULL")
    disk.free()
    wait_until(lambda: Client(made).request("GET", "/healthz").status == 200, "it has begun")
    made._read_token()
    assert [t["app.name"] for t in made.admin.ok("POST cloudTenant/search", {}).data] == ["admin"]
    made.stop()


def test_an_end_while_the_start_waits(disk, server, tmp_path):
    disk.fill()
    made = server(data=os.path.join(disk.path, "data"), start=False)
    made.stderr, made.hosts, made.sick = str(tmp_path / "server.log"), 0, True
    made.start().stop(10)
    made.erase()  # an empty file, no database yet
