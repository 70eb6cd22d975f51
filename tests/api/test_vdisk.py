"""Disks of VMs that exist: added, grown and deleted, hot and cold; names, limits, quota, races, crashes."""
import threading

import pytest
from simhost import SimHost
from starvirt import Refused, wait_until

NOBODY = "01900000-0000-7000-8000-000000000000"


def disks(client, vm):
    """{device name: row}"""
    return {row["vdisk.devname"]: row for row in client.ok("POST cloudvm/vdisk/search", {"vdisk.vmid": vm}).data}


def accept(client, vm, size=1, **more):
    return client.ok("POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": size, **more})


def add(client, vm, size=1, **more):
    """A new disk's id."""
    reply = accept(client, vm, size, **more)
    client.done(reply.startid)
    return reply.data["vdisk.id"]


def grow(client, disk, size):
    return client.run("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": size})


def delete(client, disk):
    return client.run("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disk})


def stop(client, vm):
    client.run("PUT cloudvm/destroy", {"vm.id": vm})


def start(client, vm):
    client.run("PUT cloudvm/start", {"vm.id": vm})


def storage_left(client):
    left = client.usable()
    return int(left["storage"])


def host_of(cloud, vm):
    """The simulated host that has the VM."""
    for name in ("host1", "host2"):
        host = SimHost(cloud, name)
        if vm in host.domains:
            return name, host
    raise AssertionError(f"no host has {vm}")


def agrees(cloud, client, vm):
    return host_of(cloud, vm)[1].agrees(client, vm)


@pytest.fixture
def vm(tenant, model):
    return tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)


# ------------------------------------------------------------------------------------------------ the verbs
def test_the_boot_disk_is_there(tenant, vm, model):
    (row,) = tenant.ok("POST cloudvm/vdisk/search", {"vdisk.vmid": vm}).data
    assert row["vdisk.devname"] == "vda" and row["vdisk.size"] == "1" and row["vdisk.vmid"] == vm


@pytest.mark.parametrize("hot", [True, False], ids=["hot", "cold"])
def test_add_grow_and_delete(cloud, tenant, vm, hot):
    if not hot:
        stop(tenant, vm)
    reply = accept(tenant, vm, 3, **{"vdisk.desc": "für Daten 数据"})
    assert reply.data["vdisk.devname"] == "vdb"
    job = tenant.done(reply.startid)
    assert job["job.objid"] == vm and job["job.percent"] == "100"
    assert any("vdb" in line and "3" in line for line in job.lines), job.lines
    row = disks(tenant, vm)["vdb"]
    assert row["vdisk.id"] == reply.data["vdisk.id"] and row["vdisk.size"] == "3"
    assert row["vdisk.desc"] == "für Daten 数据" and row["vdisk.name"] == "data-vdb" and row["vdisk.createtime"]
    assert agrees(cloud, tenant, vm).runs == hot
    grow(tenant, row["vdisk.id"], 5)
    assert disks(tenant, vm)["vdb"]["vdisk.size"] == "5"
    assert agrees(cloud, tenant, vm).runs == hot
    grow(tenant, row["vdisk.id"], 5)  # that size already
    delete(tenant, row["vdisk.id"])
    assert set(disks(tenant, vm)) == {"vda"}
    assert agrees(cloud, tenant, vm).runs == hot
    assert row["vdisk.id"] not in host_of(cloud, vm)[1].volumes
    tenant.refused("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": row["vdisk.id"]}, "DISK_NOT_FOUND")
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    assert tenant.ok("POST cloudvm/search").data == []


def test_the_boot_disk_grows_and_stays(cloud, tenant, vm):
    boot = disks(tenant, vm)["vda"]["vdisk.id"]
    tenant.refused("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": boot}, "DISK_IS_BOOT")
    grow(tenant, boot, 4)
    assert disks(tenant, vm)["vda"]["vdisk.size"] == "4"
    agrees(cloud, tenant, vm)


def test_added_cold_is_there_after_the_start(cloud, tenant, vm):
    stop(tenant, vm)
    one = add(tenant, vm)
    start(tenant, vm)
    assert agrees(cloud, tenant, vm).devices.disks["vdb"] == one


def test_deleting_a_vm_deletes_its_disks(cloud, tenant, vm):
    mine = [add(tenant, vm), disks(tenant, vm)["vda"]["vdisk.id"]]
    name, host = host_of(cloud, vm)
    assert set(mine) <= set(host.volumes)
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    after = SimHost(cloud, name)
    assert vm not in after.domains and not set(mine) & set(after.volumes)
    tenant.refused("POST cloudvm/vdisk/search", {"vdisk.vmid": vm}, "VM_NOT_FOUND")
    for disk in mine:
        tenant.refused("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 9}, "DISK_NOT_FOUND")


def test_a_disk_never_shrinks(cloud, tenant, vm):
    disk = add(tenant, vm, 4)
    reply = tenant.refused("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 3}, "DISK_SHRINK", "vdisk.size")
    assert "4 GB" in reply.text
    assert disks(tenant, vm)["vdb"]["vdisk.size"] == "4"
    agrees(cloud, tenant, vm)


@pytest.mark.parametrize("size", [0, -1, 65537, "99999999999999999999"])
def test_sizes_out_of_range(tenant, vm, size):
    disk = disks(tenant, vm)["vda"]["vdisk.id"]
    tenant.refused("POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": size}, "PARAM_RANGE", "vdisk.size")
    tenant.refused("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": size}, "PARAM_RANGE", "vdisk.size")


# ------------------------------------------------------------------------------------------ names and limits
def test_device_names_are_used_again(cloud, tenant, vm):
    first, second = add(tenant, vm), add(tenant, vm)
    delete(tenant, first)
    reply = accept(tenant, vm)
    assert reply.data["vdisk.devname"] == "vdb"
    tenant.done(reply.startid)
    reply = accept(tenant, vm)
    assert reply.data["vdisk.devname"] == "vdd"
    tenant.done(reply.startid)
    found = disks(tenant, vm)
    assert set(found) == {"vda", "vdb", "vdc", "vdd"} and found["vdc"]["vdisk.id"] == second
    agrees(cloud, tenant, vm)


def test_seventeen_disks_and_no_more(cloud, tenant, vm):
    for letter in "bcdefghijklmnopq":
        reply = accept(tenant, vm)
        assert reply.data["vdisk.devname"] == "vd" + letter
        tenant.done(reply.startid)
    reply = tenant.refused("POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": 1}, "DISK_LIMIT", "vdisk.vmid")
    assert "17" in reply.text
    found = disks(tenant, vm)
    assert len(found) == 17
    agrees(cloud, tenant, vm)
    delete(tenant, found["vdk"]["vdisk.id"])
    reply = accept(tenant, vm)
    assert reply.data["vdisk.devname"] == "vdk"
    tenant.done(reply.startid)
    assert len(agrees(cloud, tenant, vm).devices.disks) == 17


# ---------------------------------------------------------------------------------------------------- states
def test_a_locked_vm_names_the_job(cloud, tenant, vm):
    name, _ = host_of(cloud, vm)
    boot = disks(tenant, vm)["vda"]["vdisk.id"]
    cloud.control("hang=1", name)
    try:
        startid = accept(tenant, vm).startid
        for op, params in (("POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": 1}),
                           ("PUT cloudvm/vdisk/extend", {"vdisk.id": boot, "vdisk.size": 2}),
                           ("PUT cloudvm/shutdown", {"vm.id": vm})):
            assert startid in tenant.refused(op, params, "VM_LOCKED").text
    finally:
        cloud.control("hang=0", name)
    tenant.done(startid)
    assert set(disks(tenant, vm)) == {"vda", "vdb"}


def test_a_paused_vm_gains_and_does_not_lose(cloud, tenant, vm):
    tenant.run("PUT cloudvm/suspend", {"vm.id": vm})
    disk = add(tenant, vm)
    grow(tenant, disk, 2)
    agrees(cloud, tenant, vm)
    tenant.refused("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disk}, "VM_STATE")
    tenant.run("PUT cloudvm/resume", {"vm.id": vm})
    delete(tenant, disk)
    agrees(cloud, tenant, vm)


def test_another_tenant_finds_nothing(admin, tenant, vm):
    stranger = admin.tenant()
    disk = add(tenant, vm)
    stranger.refused("POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": 1}, "VM_NOT_FOUND", "vdisk.vmid")
    stranger.refused("POST cloudvm/vdisk/search", {"vdisk.vmid": vm}, "VM_NOT_FOUND")
    for bad in (disk, NOBODY, vm, "x"):
        stranger.refused("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": bad}, "DISK_NOT_FOUND")
        stranger.refused("PUT cloudvm/vdisk/extend", {"vdisk.id": bad, "vdisk.size": 9}, "DISK_NOT_FOUND", "vdisk.id")
    assert disks(tenant, vm)["vdb"]["vdisk.size"] == "1"
    delete(admin, disk)  # the administrator may
    assert set(disks(tenant, vm)) == {"vda"}


# ----------------------------------------------------------------------------------------------------- quota
def test_storage_quota_to_the_gigabyte(admin, model):
    tenant = admin.tenant(storage=10)
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)
    assert storage_left(tenant) == 9
    reply = tenant.refused("POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": 10}, "QUOTA_STORAGE")
    assert "10 GB needed, 9 GB available" in reply.text
    disk = add(tenant, vm, 6)
    assert storage_left(tenant) == 3
    tenant.refused("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 10}, "QUOTA_STORAGE")
    grow(tenant, disk, 9)
    assert storage_left(tenant) == 0
    tenant.refused("POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": 1}, "QUOTA_STORAGE")
    delete(tenant, disk)
    assert storage_left(tenant) == 9
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    assert storage_left(tenant) == 10


def at_once(work):
    """Calls each of them on a thread of its own, all at the same moment; what they returned."""
    gate, found = threading.Barrier(len(work)), [None] * len(work)

    def run(i):
        gate.wait()
        found[i] = work[i]()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.race
def test_many_at_once_get_what_is_left_and_no_more(admin, model):
    tenant = admin.tenant(storage=12)
    vpc = tenant.vpc()
    vms = [tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model) for _ in range(8)]
    boots = [disks(tenant, vm)["vda"]["vdisk.id"] for vm in vms]

    def adding(vm):
        return lambda: tenant.call("POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": 1})

    def growing(disk):
        return lambda: tenant.call("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 2})

    replies = at_once([adding(vm) for vm in vms[:4]] + [growing(disk) for disk in boots[4:]])
    good = [reply for reply in replies if reply.ok]
    assert len(good) == 4, replies
    assert {reply.code for reply in replies if not reply.ok} == {"QUOTA_STORAGE"}
    for reply in good:
        tenant.done(reply.startid)
    assert storage_left(tenant) == 0
    used = sum(int(row["vdisk.size"]) for vm in vms for row in disks(tenant, vm).values())
    assert used == 12
    for vm in vms:
        tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    assert storage_left(tenant) == 12


@pytest.mark.race
def test_one_of_many_has_the_vm(cloud, tenant, vm):
    """All ask for the same VM: one at a time has it, names are never given twice."""
    replies = at_once([lambda: tenant.call("POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": 1})] * 8)
    good = [reply for reply in replies if reply.ok]
    assert good and {reply.code for reply in replies if not reply.ok} <= {"VM_LOCKED"}
    for reply in good:
        tenant.done(reply.startid)
    assert len({reply.data["vdisk.devname"] for reply in good}) == len(good)
    assert len(disks(tenant, vm)) == 1 + len(good)
    agrees(cloud, tenant, vm)


# ---------------------------------------------------------------------------------------------------- faults
@pytest.mark.parametrize("call", ["volume_create", "define", "disk_attach"])
def test_an_addition_that_fails_leaves_nothing(cloud, tenant, vm, call):
    name, _ = host_of(cloud, vm)
    before = storage_left(tenant), disks(tenant, vm)
    cloud.expect(r'event=job\.undo .*kind="disk\.add" step="define"')  # undoing that takes the same call
    cloud.control(f"fail={call}:1", name)
    try:
        job = tenant.follow(accept(tenant, vm, 2).startid)
    finally:
        cloud.control(f"fail={call}:0", name)
    assert job.result != "0" and "simulated fault" in job.info, job
    wait_until(lambda: not tenant.show(vm)["vm.undo.startid"], "what could not be undone is")
    agrees(cloud, tenant, vm)
    assert (storage_left(tenant), disks(tenant, vm)) == before
    add(tenant, vm, 2)
    agrees(cloud, tenant, vm)


def test_a_growth_that_fails_costs_nothing(cloud, tenant, vm):
    name, _ = host_of(cloud, vm)
    disk, before = add(tenant, vm, 2), storage_left(tenant)
    cloud.control("fail=volume_resize:1", name)
    try:
        reply = tenant.ok("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 7})
        assert tenant.follow(reply.startid).result != "0"
    finally:
        cloud.control("fail=volume_resize:0", name)
    assert storage_left(tenant) == before and disks(tenant, vm)["vdb"]["vdisk.size"] == "2"
    agrees(cloud, tenant, vm)
    grow(tenant, disk, 7)
    agrees(cloud, tenant, vm)


@pytest.mark.parametrize("call", ["disk_detach", "define", "volume_delete"])
def test_a_deletion_that_fails_can_be_repeated(cloud, tenant, vm, call):
    name, _ = host_of(cloud, vm)
    disk = add(tenant, vm, 2)
    before = storage_left(tenant)
    cloud.control(f"fail={call}:1", name)
    try:
        reply = tenant.ok("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disk})
        assert tenant.follow(reply.startid).result != "0"
    finally:
        cloud.control(f"fail={call}:0", name)
    assert storage_left(tenant) == before and disks(tenant, vm)["vdb"]["vdisk.id"] == disk
    stop(tenant, vm)
    start(tenant, vm)
    agrees(cloud, tenant, vm)  # the disk is whole again
    delete(tenant, disk)
    agrees(cloud, tenant, vm)
    assert storage_left(tenant) == before if before < 0 else storage_left(tenant) == before + 2
    assert disk not in host_of(cloud, vm)[1].volumes


# --------------------------------------------------------------------------------------------------- crashes
def points(kind, *steps):
    """Every crash point of a kind of job."""
    found = [f"{kind}:{step}:{when}" for step in steps for when in ("before", "after", "recorded")]
    return found + [f"{kind}:end:before"]


class Crash:
    """A server that kills itself at one point, a tenant with a stopped VM on it, and the same after a restart;
    running ones are in test_crash.py."""

    def __init__(self, made):
        self.server = made
        self.tenant = made.admin.tenant(storage=100)
        self.vpc = self.tenant.vpc()
        self.vm = self.tenant.vm(vnic_portgroupid=self.vpc, vm_tenant_model=made.admin.model(size=1))
        stop(self.tenant, self.vm)

    def breaks(self, ask):
        """The job that is asked for is done, over a crash."""
        self.tenant.done(self.server.through_crash(ask)["startid"])

    def check(self):
        """The rest of the job is done; nothing is left over and nothing is missing."""
        assert not SimHost(self.server).agrees(self.tenant, self.vm).runs
        host = SimHost(self.server)
        assert set(host.volumes) == {row["vdisk.id"] for row in disks(self.tenant, self.vm).values()}
        used = sum(int(row["vdisk.size"]) for row in disks(self.tenant, self.vm).values())
        assert storage_left(self.tenant) == 100 - used
        assert self.server.fsck(hosts=False) == ""  # with the hosts at the end of the test


@pytest.fixture
def crash(server):
    return lambda point: Crash(server(connect="sim://?control=1", crash_point=point))


@pytest.mark.parametrize("point", points("disk.add", "volume", "define", "attach"))
def test_crash_while_adding(crash, point):
    c = crash(point)
    c.breaks(lambda: accept(c.tenant, c.vm, 3))
    assert disks(c.tenant, c.vm)["vdb"]["vdisk.size"] == "3"
    c.check()


@pytest.mark.parametrize("point", points("disk.remove", "detach", "define", "volume"))
def test_crash_while_deleting(crash, point):
    c = crash(point)
    disk = add(c.tenant, c.vm, 3)
    c.breaks(lambda: c.tenant.ok("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disk}))
    assert set(disks(c.tenant, c.vm)) == {"vda"}
    c.check()


def test_refusals_are_whole(tenant, vm):
    """A refused addition reserves nothing: not a name, not a gigabyte."""
    with pytest.raises(Refused):
        accept(tenant, vm, 0)
    reply = accept(tenant, vm)
    assert reply.data["vdisk.devname"] == "vdb"
    tenant.done(reply.startid)
