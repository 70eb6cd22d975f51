"""Undos that fail: what is in use stays with its reservation, its owner is told, and it is finished by itself."""
import contextlib

import pytest
from simhost import SimHost
from starvirt import wait_until
from test_vdisk import disks, storage_left

WAITS = "undoing is not finished"


@pytest.fixture
def cloud(server):
    return server(connect="sim://?control=1")


class Guest:
    """A VM with one disk and one NIC on a server of the test's own."""

    def __init__(self, cloud, suspended=True):
        self.cloud, self.tenant = cloud, cloud.admin.tenant(cpu=8, storage=20)
        self.vpc = self.tenant.vpc()
        self.id = self.tenant.vm(vnic_portgroupid=self.vpc, vm_tenant_model=cloud.admin.model(size=1))
        if suspended:
            self.act("suspend")

    def act(self, verb):
        self.tenant.run(f"PUT cloudvm/{verb}", {"vm.id": self.id})

    @property
    def domain(self):
        return SimHost(self.cloud).domains[self.id]

    def disks(self):
        return disks(self.tenant, self.id)

    def nics(self):
        return self.tenant.ok("POST cloudvm/vnic/search", {"vnic.vmid": self.id}).data

    def undo(self):
        return self.tenant.show(self.id)["vm.undo.startid"]

    def settled(self):
        wait_until(lambda: not self.undo() and not self.cloud.open_jobs(), "the undo is finished")

    def add_disk(self):
        """The job of a disk that is plugged in, of which the server hears nothing."""
        self.cloud.control("lose=disk_attach:1")
        reply = self.tenant.ok("POST cloudvm/vdisk/add", {"vdisk.vmid": self.id, "vdisk.size": 3})
        job = self.tenant.follow(reply.startid)
        self.cloud.control("lose=disk_attach:0")
        assert job.result == "1" and any(WAITS in line for line in job.lines), job.lines
        return reply.startid, reply.data["vdisk.id"]


def finished(guest, startid, before):
    """Exactly once: one job did it, and the first one's log names it."""
    guest.settled()
    assert set(guest.disks()) == {"vda"} and storage_left(guest.tenant) == before
    SimHost(guest.cloud).agrees(guest.tenant, guest.id)
    said = [line for line in guest.tenant.follow(startid).lines if "undoing is finished, by job" in line]
    assert len(said) == 1, said
    events = [e for e in guest.tenant.events() if e["event.type"] == "job.end" and e["event.content"].startswith("disk.add")]
    assert [e["event.content"].split()[-1] for e in events].count("0") == 1


# ------------------------------------------------------------------------------------------ a suspended guest
@pytest.mark.parametrize("way", ["resume", "destroy", "start"])
def test_a_disk_that_a_suspended_guest_holds(cloud, way):
    guest = Guest(cloud)
    before = storage_left(guest.tenant)
    startid, disk = guest.add_disk()
    row = guest.disks()["vdb"]
    assert (guest.undo(), row["vdisk.undo.startid"], row["vdisk.id"]) == (startid, startid, disk)
    assert storage_left(guest.tenant) == before - 3, "the guest has it, so it counts"
    assert disk in SimHost(cloud).volumes and "vdb" in guest.domain.devices.disks
    assert "vdb" not in guest.domain.definition.disks, "its next boot is without"
    assert cloud.fsck(hosts=False) == ""
    for op, params in (("POST cloudvm/vdisk/add", {"vdisk.vmid": guest.id, "vdisk.size": 1}),
                       ("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 9}),
                       ("POST cloudvm/snapshot/create", {"snapshot.vmid": guest.id, "snapshot.name": "s"}),
                       ("POST cloudvm/backup/create", {"backup.vmid": guest.id, "backup.name": "b"})):
        assert startid in guest.tenant.refused(op, params, "UNDO_PENDING").text
    guest.act(way)
    finished(guest, startid, before)
    reply = guest.tenant.run("POST cloudvm/vdisk/add", {"vdisk.vmid": guest.id, "vdisk.size": 3})
    assert reply["job.result"] == "0"


def test_nothing_is_tried_while_the_guest_is_suspended(cloud):
    guest = Guest(cloud)
    startid, _ = guest.add_disk()
    with cloud.database() as db:
        due, = db.execute("SELECT due FROM pending_undo").fetchone()
    assert due > 0
    guest.tenant.run("PUT cloudvm/suspend", {"vm.id": guest.id})  # ends as it began: paused
    assert guest.undo() == startid and not cloud.locks() and not cloud.open_jobs()
    wait_until(lambda: cloud.metrics()["starvirt_undos_pending"] == 1, "it is counted")
    cloud.restart()
    wait_until(lambda: cloud.metrics()["starvirt_undos_pending"] == 1, "it is counted by the next server")
    guest.act("resume")
    guest.settled()
    wait_until(lambda: cloud.metrics()["starvirt_undos_pending"] == 0, "it is not counted any more")


def test_a_nic_that_a_suspended_guest_holds(cloud):
    guest = Guest(cloud)
    cloud.control("lose=nic_attach:1")
    cloud.expect(r'event=request .*route="cloudvm/vnic/add" .*result="HYPERVISOR"')
    guest.tenant.refused("POST cloudvm/vnic/add", {"vnic.vmid": guest.id, "vnic.portgroupid": guest.vpc}, "HYPERVISOR")
    cloud.control("lose=nic_attach:0")
    startid = guest.undo()
    held = guest.nics()[1]
    assert startid and held["vnic.undo.startid"] == startid and guest.nics()[0]["vnic.undo.startid"] == ""
    other = guest.tenant.vm(vnic_portgroupid=guest.vpc, vm_tenant_model=cloud.admin.model(size=1))
    assert guest.tenant.show(other)["vm.ip"] != held["vnic.ipaddress"], "its address is not given twice"
    assert len(guest.domain.devices.nics) == 2 and len(guest.domain.definition.nics) == 1
    assert cloud.fsck(hosts=False) == ""
    guest.act("resume")
    guest.settled()
    assert len(guest.nics()) == 1 and len(guest.domain.devices.nics) == 1


def test_such_a_vm_can_be_deleted(cloud):
    guest = Guest(cloud)
    startid, disk = guest.add_disk()
    guest.tenant.run("DELETE cloudvm/{vmId}", {"vmId": guest.id})
    left = guest.tenant.usable()
    assert (left["cpu"], left["storage"]) == (8, 20)
    assert disk not in SimHost(cloud).volumes and not cloud.open_jobs()
    with cloud.database() as db:
        assert db.execute("SELECT count(*) FROM pending_undo").fetchone() == (0,)


def test_it_survives_restarts(cloud):
    """Cut off where it waits, where it is finished, and where it ends."""
    guest = Guest(cloud)
    before = storage_left(guest.tenant)
    startid, disk = guest.add_disk()
    cloud.kill()
    cloud.start()
    assert guest.undo() == startid and guest.disks()["vdb"]["vdisk.id"] == disk
    for point in ("attach:undo-before", "attach:undo-after", "define:undo-before", "volume:undo-after", "end:before",
                  "end:after"):
        if cloud.running:
            cloud.stop()
        cloud.crash_point = f"disk.add:{point}"
        with contextlib.suppress(OSError, RuntimeError):  # it may be there before all is up
            cloud.start()
        if point == "attach:undo-before":
            guest.tenant.ok("PUT cloudvm/resume", {"vm.id": guest.id})
        if cloud.process:
            cloud.crashed()
        assert cloud.fsck(hosts=False) == ""
    cloud.crash_point = None
    cloud.start()
    finished(guest, startid, before)


def test_a_job_that_a_restart_turned_back(server):
    """Undone after a crash, of a guest that was suspended all the while."""
    cloud = server(connect="sim://?control=1", options=["--jobs.requeue=false"])
    guest = Guest(cloud)
    before = storage_left(guest.tenant)
    cloud.stop()
    cloud.crash_point = "disk.add:attach:after"
    cloud.start()
    with contextlib.suppress(OSError):  # the answer may die with the server
        guest.tenant.ok("POST cloudvm/vdisk/add", {"vdisk.vmid": guest.id, "vdisk.size": 3})
    cloud.crashed()
    (startid, _, _), = cloud.open_jobs()
    cloud.crash_point = None
    cloud.start()
    job = guest.tenant.follow(startid)
    assert job.result == "6" and any("undoing is not finished" in line for line in job.lines)
    assert guest.undo() == startid and storage_left(guest.tenant) == before - 3
    guest.act("resume")
    guest.settled()
    assert set(guest.disks()) == {"vda"} and storage_left(guest.tenant) == before


def test_it_is_tried_again_by_itself(cloud):
    """A fault of the host that goes away: nobody has to do anything."""
    guest = Guest(cloud, suspended=False)
    before = storage_left(guest.tenant)
    cloud.expect(r'event=job\.undo .*kind="disk\.add" step="attach"')
    cloud.control("fail=disk_detach:1")
    startid, _ = guest.add_disk()
    assert storage_left(guest.tenant) == before - 3
    cloud.control("fail=disk_detach:0")
    finished(guest, startid, before)


# --------------------------------------------------------------------------------------------- other kinds
def test_a_vm_that_could_not_be_unmade(cloud):
    """Its host may run it still: nothing of it is given to anybody else."""
    tenant = cloud.admin.tenant(cpu=8, storage=20)
    vpc = tenant.vpc()
    cloud.expect(r'event=job\.undo .*kind="vm\.install" step="start"')
    cloud.control("fail=start:1")
    cloud.control("fail=destroy:1")
    made = tenant.create(vnic_portgroupid=vpc, vm_tenant_model=cloud.admin.model(size=1)).data[0]
    vm, startid = made["vm.id"], made["jobstartid"]
    assert tenant.follow(startid).result == "1"
    row = tenant.show(vm)
    assert (row["vm.state"], row["vm.undo.startid"]) == ("-2", startid) and row["vm.ip"]
    assert tenant.usable()["cpu"] == 7 and vm in SimHost(cloud).domains
    assert cloud.fsck(hosts=False) == ""
    cloud.control("fail=start:0")
    other = tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=cloud.admin.model(size=1))
    assert tenant.show(other)["vm.ip"] != row["vm.ip"]
    cloud.control("fail=destroy:0")
    wait_until(lambda: not tenant.show(vm)["vm.undo.startid"], "it is finished")
    assert tenant.show(vm)["vm.state"] == "-2" and vm not in SimHost(cloud).domains
    assert tenant.usable()["cpu"] == 7, "the other one's"
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})


def test_one_that_could_not_be_unmade_can_be_deleted(cloud):
    tenant = cloud.admin.tenant(cpu=8, storage=20)
    cloud.expect(r'event=job\.undo .*kind="vm\.install" step="define"')
    cloud.control("fail=start:1")
    cloud.control("fail=undefine:1")
    made = tenant.create(vnic_portgroupid=tenant.vpc(), vm_tenant_model=cloud.admin.model(size=1)).data[0]
    assert tenant.follow(made["jobstartid"]).result == "1" and tenant.show(made["vm.id"])["vm.undo.startid"]
    cloud.control("fail=undefine:0")
    deletion = {}  # as long as a try to finish it holds the VM, it is refused

    def asked():
        deletion["reply"] = tenant.call("DELETE cloudvm/{vmId}", {"vmId": made["vm.id"]})
        return deletion["reply"].ok

    wait_until(asked, "the deletion is accepted")
    tenant.done(deletion["reply"].startid)
    assert tenant.usable()["storage"] == 20 and SimHost(cloud).volumes == {} and SimHost(cloud).domains == {}


def test_one_whose_host_is_away(cloud):
    """Finished as soon as the host is back."""
    guest = Guest(cloud, suspended=False)
    cloud.expect(r'event=job\.undo .*kind="disk\.add"')
    cloud.control("lose=disk_attach:1")
    cloud.control("fail=disk_detach:1")
    reply = guest.tenant.ok("POST cloudvm/vdisk/add", {"vdisk.vmid": guest.id, "vdisk.size": 3})
    assert guest.tenant.follow(reply.startid).result == "1"
    cloud.control("down=1")
    cloud.control("fail=disk_detach:0")
    cloud.control("lose=disk_attach:0")
    assert guest.undo() == reply.startid
    cloud.control("down=0")
    guest.settled()
    assert set(guest.disks()) == {"vda"} and storage_left(guest.tenant) == 19


def test_snapshots_and_backups(cloud):
    guest = Guest(cloud, suspended=False)
    tenant = guest.tenant
    for kind, calls in (("snapshot", ("snapshot_create", "snapshot_delete")), ("backup", ("copy_out", "copy_abort"))):
        cloud.expect(rf'event=job\.undo .*kind="{kind}\.create"')
        for call in calls:
            cloud.control(f"fail={call}:1")
        startid = tenant.ok(f"POST cloudvm/{kind}/create", {f"{kind}.vmid": guest.id, f"{kind}.name": "x"}).startid
        assert tenant.follow(startid).result == "1"
        assert guest.undo() == startid and cloud.fsck(hosts=False) == ""
        for call in calls:
            cloud.control(f"fail={call}:0")
        guest.settled()
        assert tenant.ok(f"GET cloudvm/{kind}/{{vmId}}", {"vmId": guest.id}).data == []
