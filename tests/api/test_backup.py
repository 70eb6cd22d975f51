"""Backups: made of running and stopped VMs, restored in place and to new VMs, kept in a number; damaged, gone
and locked ones; faults, races, crashes; what is left on disk."""
import os
import shutil
import time
import uuid

import pytest
from simhost import COPYING, SimHost
from starvirt import wait_until
from test_quota import UNLIMITED
from test_vdisk import add, at_once, disks, grow, host_of, start, stop, storage_left
from test_vdisk import delete as delete_disk

NOBODY = "01900000-0000-7000-8000-000000000000"


def backups(client, vm):
    return client.ok("GET cloudvm/backup/{vmId}", {"vmId": vm}).data


def row_of(client, vm, backup):
    (row,) = [row for row in backups(client, vm) if row["backup.id"] == backup]
    return row


def accept(client, vm, name="nightly", **more):
    return client.ok("POST cloudvm/backup/create", {"backup.vmid": vm, "backup.name": name, **more})


def take(client, vm, name="nightly", **more):
    """A new backup's id."""
    reply = accept(client, vm, name, **more)
    client.done(reply.startid)
    return reply.data["backup.id"]


def restore(client, backup):
    return client.run("PUT cloudvm/backup/restore", {"backup.id": backup})


def clone(client, backup, **more):
    """The new VM's id, running."""
    (made,) = client.ok("POST cloudvm/backup/clone", {"backup.id": backup, **more}).data
    client.done(made["jobstartid"])
    return made["vm.id"]


def remove(client, backup):
    return client.ok("DELETE cloudvm/backup/{backupId}", {"backupId": backup})


def folders(server):
    """Directories of backups, by id."""
    root = os.path.join(server.data, "backups")
    return set(os.listdir(root)) if os.path.isdir(root) else set()


def path_of(server, backup, target="vda"):
    return os.path.join(server.data, "backups", backup, target + ".qcow2")


class Guest:
    """A VM whose disks are written to and read, whichever host has it."""

    def __init__(self, cloud, client, vm):
        self.cloud, self.client, self.id = cloud, client, vm
        self.host = host_of(cloud, vm)[0] if cloud.hosts > 1 else "host1"

    def disk(self, target="vda"):
        return disks(self.client, self.id)[target]["vdisk.id"]

    def write(self, text, target="vda"):
        self.cloud.control(f"write={self.disk(target)}:{text}", self.host)

    def read(self, target="vda"):
        return SimHost(self.cloud, self.host).contents.get(self.disk(target), "")

    def agrees(self):
        return SimHost(self.cloud, self.host).agrees(self.client, self.id)

    @property
    def runs(self):
        assert self.client.show(self.id)["vm.state"] == ("1" if self.agrees().runs else "0")
        return self.agrees().runs


@pytest.fixture
def vpc(tenant):
    return tenant.vpc()


@pytest.fixture
def guest(cloud, tenant, model, vpc):
    return Guest(cloud, tenant, tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model))


def damage(path, at=80):
    """Turns one bit of one byte."""
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1]))


# --------------------------------------------------------------------------------------------------- the verbs
@pytest.mark.parametrize("hot", [True, False], ids=["hot", "cold"])
def test_what_was_overwritten_comes_back(cloud, tenant, guest, hot):
    vm = guest.id
    if not hot:
        stop(tenant, vm)
    guest.write("before")
    reply = accept(tenant, vm, "für die Nacht", **{"backup.desc": "每晚"})
    backup = reply.data["backup.id"]
    job = tenant.done(reply.startid)
    assert job["job.objid"] == vm and job["job.percent"] == "100"
    (row,) = backups(tenant, vm)
    size = os.path.getsize(path_of(cloud, backup))
    assert row == {"backup.id": backup, "backup.name": "für die Nacht", "backup.desc": "每晚", "backup.vmid": vm,
                   "backup.createtime": row["backup.createtime"], "backup.enable": "true", "backup.size": str(size),
                   "backup.state": "ready", "backup.quiesced": "true" if hot else "false"}
    assert row["backup.createtime"] and size > 0
    guest.write("after")
    assert guest.read() == "after"
    job = restore(tenant, backup)
    assert guest.read() == "before" and guest.runs == hot
    assert any("checksum is right: vda" in line for line in job.lines), job.lines
    assert any("disk vda is restored" in line for line in job.lines), job.lines
    guest.write("again")
    restore(tenant, backup)  # as often as one likes
    assert guest.read() == "before" and guest.runs == hot
    remove(tenant, backup)
    assert backups(tenant, vm) == [] and backup not in folders(cloud)
    tenant.refused("PUT cloudvm/backup/restore", {"backup.id": backup}, "BACKUP_NOT_FOUND", "backup.id")


def test_every_disk_is_in_it(cloud, tenant, guest):
    add(tenant, guest.id, 2)
    add(tenant, guest.id, 3)
    for target in ("vda", "vdb", "vdc"):
        guest.write("old " + target, target)
    reply = accept(tenant, guest.id)
    job = tenant.done(reply.startid)
    for target in ("vda", "vdb", "vdc"):
        assert any(f"disk {target} is copied" in line for line in job.lines), job.lines
        guest.write("new " + target, target)
    backup = reply.data["backup.id"]
    assert set(os.listdir(os.path.join(cloud.data, "backups", backup))) == {".cloud", "vda.qcow2", "vdb.qcow2",
                                                                            "vdc.qcow2"}
    restore(tenant, backup)
    assert [guest.read(target) for target in ("vda", "vdb", "vdc")] == ["old vda", "old vdb", "old vdc"]
    guest.agrees()


def test_a_restored_guest_boots_anew_with_all_it_was_given(cloud, tenant, guest):
    backup = take(tenant, guest.id)
    boots = guest.agrees().boots
    tenant.run("PUT cloudvm/suspend", {"vm.id": guest.id})
    restore(tenant, backup)  # a paused guest ran
    assert guest.runs and guest.agrees().boots == boots
    assert tenant.show(guest.id)["vm.state"] == "1"


def test_the_agent_freezes_and_the_log_says_so(cloud, tenant, guest):
    reply = accept(tenant, guest.id)
    assert any("were frozen" in line for line in tenant.done(reply.startid).lines)
    cloud.control(f"agent={guest.id}:0", guest.host)
    reply = accept(tenant, guest.id)
    assert any("as after a power cut" in line for line in tenant.done(reply.startid).lines)
    stop(tenant, guest.id)
    reply = accept(tenant, guest.id)
    assert not any("frozen" in line or "power cut" in line for line in tenant.done(reply.startid).lines)
    assert [row["backup.quiesced"] for row in backups(tenant, guest.id)] == ["true", "false", "false"]


def test_it_says_how_far_it_is(server):
    """By the bytes of its disks: the small one is a sixth of them."""
    made = server(connect="sim://?control=1")
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    add(tenant, vm, 2)
    add(tenant, vm, 3)
    made.control("delay=800ms")
    reply = accept(tenant, vm)
    seen = set()
    while (job := tenant.ok("GET joblog/{startid}", {"startid": reply.startid}).data)["job.result"] in ("2", "3"):
        seen.add(int(job["job.percent"]))
        time.sleep(0.05)
    assert job["job.result"] == "0" and job["job.percent"] == "100"
    assert {percent for percent in seen if 0 < percent < 80} >= {13, 40}, seen  # 1 and 1 + 2 of 6, of 80 in a hundred


def test_descriptions_change(tenant, guest):
    backup = take(tenant, guest.id)
    tenant.ok("PUT cloudvm/backup/modify", {"backup.id": backup, "backup.desc": "kept for the audit"})
    assert row_of(tenant, guest.id, backup)["backup.desc"] == "kept for the audit"
    tenant.ok("PUT cloudvm/backup/modify", {"backup.id": backup})
    assert row_of(tenant, guest.id, backup)["backup.desc"] == "kept for the audit"
    tenant.refused("PUT cloudvm/backup/modify", {"backup.id": backup, "backup.desc": "x\x01"}, "PARAM_CHARS",
                   "backup.desc")
    tenant.refused("POST cloudvm/backup/create", {"backup.vmid": guest.id, "backup.name": " "}, "PARAM_MISSING",
                   "backup.name")
    assert len(backups(tenant, guest.id)) == 1


def test_they_are_listed_oldest_first(tenant, guest):
    made = [take(tenant, guest.id, f"number {i}") for i in range(3)]
    assert [row["backup.id"] for row in backups(tenant, guest.id)] == made
    remove(tenant, made[1])
    assert [row["backup.name"] for row in backups(tenant, guest.id)] == ["number 0", "number 2"]


def test_a_vm_without_backups_and_no_vm_are_not_the_same(tenant, guest):
    assert backups(tenant, guest.id) == []
    for nobody in (NOBODY, "x", guest.disk()):
        tenant.refused("GET cloudvm/backup/{vmId}", {"vmId": nobody}, "VM_NOT_FOUND")
        tenant.refused("POST cloudvm/backup/create", {"backup.vmid": nobody, "backup.name": "x"}, "VM_NOT_FOUND",
                       "backup.vmid")
        for op in ("PUT cloudvm/backup/restore", "PUT cloudvm/backup/modify", "POST cloudvm/backup/clone"):
            tenant.refused(op, {"backup.id": nobody}, "BACKUP_NOT_FOUND", "backup.id")
        tenant.refused("DELETE cloudvm/backup/{backupId}", {"backupId": nobody}, "BACKUP_NOT_FOUND")


def test_another_tenant_finds_nothing(admin, tenant, guest):
    backup = take(tenant, guest.id)
    stranger = admin.tenant()
    stranger.refused("GET cloudvm/backup/{vmId}", {"vmId": guest.id}, "VM_NOT_FOUND")
    stranger.refused("DELETE cloudvm/backup/{backupId}", {"backupId": backup}, "BACKUP_NOT_FOUND")
    for op in ("PUT cloudvm/backup/restore", "PUT cloudvm/backup/modify", "POST cloudvm/backup/clone"):
        stranger.refused(op, {"backup.id": backup, "backup.desc": "mine"}, "BACKUP_NOT_FOUND")
    theirs = stranger.vpc()
    for client in (tenant, admin):  # also the administrator cannot mix the networks of tenants
        client.refused("POST cloudvm/backup/clone", {"backup.id": backup, "vnic.portgroupid": theirs}, "VPC_NOT_FOUND",
                       "vnic.portgroupid")
    assert row_of(admin, guest.id, backup)["backup.desc"] == ""
    remove(admin, backup)  # the administrator may
    assert backups(tenant, guest.id) == []


def test_a_tenant_with_backups_stays(admin, model):
    tenant = admin.tenant()
    vpc = tenant.vpc()
    vm = tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model)
    backup = take(tenant, vm)
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})
    assert "1 backup" in admin.refused("DELETE cloudTenant/{appId}", {"appId": tenant.id}, "TENANT_IN_USE").text
    remove(tenant, backup)
    admin.ok("DELETE cloudTenant/{appId}", {"appId": tenant.id})


# -------------------------------------------------------------------------------------- which disk takes what
def test_a_disk_that_grew_keeps_its_size(cloud, admin, model):
    tenant = admin.tenant(storage=10)
    guest = Guest(cloud, tenant, tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model))
    guest.write("small")
    backup = take(tenant, guest.id)
    assert storage_left(tenant) == 9  # backups are no disks
    grow(tenant, guest.disk(), 4)
    guest.write("large")
    restore(tenant, backup)
    assert guest.read() == "small" and disks(tenant, guest.id)["vda"]["vdisk.size"] == "4"
    assert storage_left(tenant) == 6
    guest.agrees()


def test_a_disk_that_came_later_stays_as_it_is(cloud, tenant, guest):
    guest.write("old")
    backup = take(tenant, guest.id)
    add(tenant, guest.id)
    guest.write("later", "vdb")
    guest.write("new")
    restore(tenant, backup)
    assert (guest.read(), guest.read("vdb")) == ("old", "later")
    guest.agrees()


def test_another_disk_of_the_same_name_takes_it(cloud, tenant, guest):
    first = add(tenant, guest.id, 2)
    guest.write("data", "vdb")
    backup = take(tenant, guest.id)
    delete_disk(tenant, first)
    reply = tenant.refused("PUT cloudvm/backup/restore", {"backup.id": backup}, "BACKUP_DISKS", "backup.id")
    assert "vdb" in reply.text
    small = add(tenant, guest.id, 1)
    assert "vdb" in tenant.refused("PUT cloudvm/backup/restore", {"backup.id": backup}, "BACKUP_DISKS").text
    grow(tenant, small, 3)
    restore(tenant, backup)
    assert guest.read("vdb") == "data" and disks(tenant, guest.id)["vdb"]["vdisk.size"] == "3"
    guest.agrees()


def test_a_vm_with_snapshots_is_not_restored(tenant, guest):
    guest.write("old")
    backup = take(tenant, guest.id)
    made = tenant.ok("POST cloudvm/snapshot/create", {"snapshot.vmid": guest.id, "snapshot.name": "in the way"})
    tenant.done(made.startid)
    assert "in the way" in tenant.refused("PUT cloudvm/backup/restore", {"backup.id": backup}, "SNAPSHOT_HOLDS").text
    tenant.ok("DELETE cloudvm/snapshot/{snapshotId}", {"snapshotId": made.data["snapshot.id"]})
    guest.write("new")
    restore(tenant, backup)
    assert guest.read() == "old"


def test_what_was_restored_needs_its_template_no_more(cloud, admin, tenant, vpc, raw_image):
    template = admin.template(raw_image)
    guest = Guest(cloud, tenant, tenant.vm(vnic_portgroupid=vpc, vm_template_id=template))
    guest.write("old")
    backup = take(tenant, guest.id)
    admin.refused("DELETE cloudtemplate/{templateId}", {"templateId": template}, "TEMPLATE_IN_USE")
    guest.write("new")
    restore(tenant, backup)
    copy = Guest(cloud, tenant, clone(tenant, backup))
    admin.run("DELETE cloudtemplate/{templateId}", {"templateId": template})
    for each in (guest, copy):
        stop(tenant, each.id)
        start(tenant, each.id)  # its image is whole in itself
        assert each.read() == "old" and each.runs


# --------------------------------------------------------------------------------------------- damaged and gone
def test_a_damaged_backup_is_refused_and_touches_nothing(cloud, tenant, guest):
    add(tenant, guest.id)
    guest.write("old")
    backup = take(tenant, guest.id)
    guest.write("new")
    damage(path_of(cloud, backup, "vdb"))  # the first is sound
    boots = guest.agrees().boots
    assert row_of(tenant, guest.id, backup)["backup.enable"] == "true"  # sizes do not show it
    job = tenant.follow(tenant.ok("PUT cloudvm/backup/restore", {"backup.id": backup}).startid)
    assert job.result == "1" and "damaged" in job.info and "vdb" in job.info, job
    assert guest.read() == "new" and guest.runs and guest.agrees().boots == boots  # it was not even stopped
    row = row_of(tenant, guest.id, backup)
    assert row["backup.enable"] == "false" and row["backup.state"] == "damaged"
    damage(path_of(cloud, backup, "vdb"))  # turned back: what was wrong once is trusted no more
    tenant.refused("PUT cloudvm/backup/restore", {"backup.id": backup}, "BACKUP_DAMAGED", "backup.id")
    tenant.refused("POST cloudvm/backup/clone", {"backup.id": backup}, "BACKUP_DAMAGED", "backup.id")
    remove(tenant, backup)
    assert backup not in folders(cloud)


def test_a_clone_of_a_damaged_backup_fails_and_leaves_nothing(cloud, admin, model):
    tenant = admin.tenant(storage=10)
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)
    backup = take(tenant, vm)
    damage(path_of(cloud, backup), 200000)
    (made,) = tenant.ok("POST cloudvm/backup/clone", {"backup.id": backup}).data
    job = tenant.follow(made["jobstartid"])
    assert job.result == "1" and "damaged" in job.info
    assert tenant.show(made["vm.id"])["vm.state"] == "-2" and storage_left(tenant) == 9
    assert row_of(tenant, vm, backup)["backup.state"] == "damaged"
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": made["vm.id"]})


@pytest.mark.parametrize("how", ["gone", "short", "folder"])
def test_a_backup_whose_files_are_not_there_shows_so(cloud, tenant, guest, how, tmp_path):
    guest.write("old")
    backup = take(tenant, guest.id)
    guest.write("new")
    folder, aside = os.path.join(cloud.data, "backups", backup), str(tmp_path / "aside")
    shutil.copytree(folder, aside)
    if how == "gone":
        os.unlink(path_of(cloud, backup))
    elif how == "short":
        os.truncate(path_of(cloud, backup), 100)
    else:
        shutil.rmtree(folder)
    assert row_of(tenant, guest.id, backup)["backup.enable"] == "false"
    job = tenant.follow(tenant.ok("PUT cloudvm/backup/restore", {"backup.id": backup}).startid)
    assert job.result == "1" and ("damaged" if how == "short" else "not there") in job.info and "vda" in job.info
    assert guest.read() == "new" and guest.runs
    if how == "short":
        assert row_of(tenant, guest.id, backup)["backup.state"] == "damaged"
    else:  # as when a storage is mounted again
        assert row_of(tenant, guest.id, backup)["backup.state"] == "ready"
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        assert row_of(tenant, guest.id, backup)["backup.enable"] == "true"
        restore(tenant, backup)
        assert guest.read() == "old"
    remove(tenant, backup)
    assert backup not in folders(cloud)


# --------------------------------------------------------------------------------------------------- new VMs
def test_a_new_vm_from_a_backup(cloud, tenant, guest, vpc):
    add(tenant, guest.id, 3)
    tenant.run("PUT cloudvm/cpu/modify", {"vm.id": guest.id, "vm.vcpu.num": 3})
    tenant.run("PUT cloudvm/mem/modify", {"vm.id": guest.id, "vm.memory.mem": 96})
    guest.write("root")
    guest.write("data", "vdb")
    backup = take(tenant, guest.id)
    guest.write("changed since")
    twin = Guest(cloud, tenant, clone(tenant, backup))
    show, was = tenant.show(twin.id), tenant.show(guest.id)
    assert show["vm.name"] == was["vm.name"] + "-clone" and show["vm.state"] == "1"
    assert show["vm.vcpu.num"] == "3" and show["vm.memory.mem"] == "96"
    assert show["vm.ip"] and show["vm.ip"] != was["vm.ip"]
    assert (twin.read(), twin.read("vdb")) == ("root", "data")
    assert {t: d["vdisk.size"] for t, d in disks(tenant, twin.id).items()} == {"vda": "1", "vdb": "3"}
    assert guest.read() == "changed since" and twin.runs and guest.runs
    assert backups(tenant, twin.id) == []
    other = tenant.vpc()
    (made,) = tenant.ok("POST cloudvm/backup/clone",
                        {"backup.id": backup, "vm.name": "named", "vnic.portgroupid": other}).data
    assert made["vm.name"] == "named"
    tenant.done(made["jobstartid"])
    (nic,) = tenant.ok("POST cloudvm/vnic/search", {"vnic.vmid": made["vm.id"]}).data
    assert nic["vnic.vpc.id"] == other


def test_a_backup_outlives_its_vm(cloud, tenant, guest, vpc):
    guest.write("survives")
    backup = take(tenant, guest.id)
    name = tenant.show(guest.id)["vm.name"]
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": guest.id})
    (row,) = backups(tenant, guest.id)
    assert row["backup.id"] == backup and row["backup.enable"] == "true"
    tenant.refused("PUT cloudvm/backup/restore", {"backup.id": backup}, "BACKUP_NO_VM", "backup.id")
    tenant.refused("POST cloudvm/backup/clone", {"backup.id": backup}, "PARAM_MISSING", "vnic.portgroupid")
    twin = Guest(cloud, tenant, clone(tenant, backup, **{"vnic.portgroupid": vpc}))
    assert twin.read() == "survives" and tenant.show(twin.id)["vm.name"] == name + "-clone"
    remove(tenant, backup)
    tenant.refused("GET cloudvm/backup/{vmId}", {"vmId": guest.id}, "VM_NOT_FOUND")


def test_long_names_still_fit(tenant, guest):
    tenant.ok("PUT cloudvm/modify", {"vm.id": guest.id, "vm.name": "名" * 42})  # 126 of 128 bytes
    twin = clone(tenant, take(tenant, guest.id))
    assert tenant.show(twin)["vm.name"] == "名" * 40 + "-clone"


def test_a_new_vm_takes_quota_like_any(admin, model):
    tenant = admin.tenant(cpu=3, storage=5)
    vpc = tenant.vpc()
    vm = tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model)
    add(tenant, vm, 2)
    backup = take(tenant, vm)
    before = tenant.usable()
    tenant.refused("POST cloudvm/backup/clone", {"backup.id": backup}, "QUOTA_STORAGE")
    assert tenant.usable() == before and len(tenant.ok("POST cloudvm/search").data) == 1
    admin.ok("PUT resourcequota/modify", {**UNLIMITED, "tenantId": tenant.id, "storage": 6})
    clone(tenant, backup)
    assert storage_left(tenant) == 0


@pytest.mark.parametrize("call", ["copy_in", "define", "start"])
def test_a_new_vm_that_fails_leaves_nothing(cloud, admin, model, call):
    tenant = admin.tenant(storage=10)
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)
    backup = take(tenant, vm)
    for name in ("host1", "host2"):
        cloud.control(f"fail={call}:1", name)
    try:
        (made,) = tenant.ok("POST cloudvm/backup/clone", {"backup.id": backup}).data
        job = tenant.follow(made["jobstartid"])
    finally:
        for name in ("host1", "host2"):
            cloud.control(f"fail={call}:0", name)
    assert job.result == "1" and "simulated fault" in job.info
    assert tenant.show(made["vm.id"])["vm.state"] == "-2" and storage_left(tenant) == 9
    for name in ("host1", "host2"):
        assert made["vm.id"] not in SimHost(cloud, name).domains
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": made["vm.id"]})
    remove(tenant, backup)  # nobody reads it any more


# --------------------------------------------------------------------------------------------- with their VM
def test_deleting_a_vm_keeps_its_backups_unless_told(cloud, tenant, model, vpc):
    one, two, three = (tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model) for _ in range(3))
    made = {vm: [take(tenant, vm), take(tenant, vm)] for vm in (one, two, three)}
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": one})
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": two}, query={"backups": "keep"})
    tenant.refused("DELETE cloudvm/{vmId}", {"vmId": three}, "PARAM_ENUM", "backups", query={"backups": "some"})
    job = tenant.run("DELETE cloudvm/{vmId}", {"vmId": three}, query={"backups": "delete"})
    assert any("backups" in line for line in job.lines)
    for vm in (one, two):
        assert [row["backup.id"] for row in backups(tenant, vm)] == made[vm]
        assert set(made[vm]) <= folders(cloud)
    tenant.refused("GET cloudvm/backup/{vmId}", {"vmId": three}, "VM_NOT_FOUND")
    assert not set(made[three]) & folders(cloud)
    for backup in made[one] + made[two]:
        remove(tenant, backup)


def test_a_deletion_that_fails_takes_no_backup(cloud, tenant, guest):
    backup = take(tenant, guest.id)
    cloud.control("fail=volume_delete:1", guest.host)
    try:
        reply = tenant.ok("DELETE cloudvm/{vmId}", {"vmId": guest.id}, query={"backups": "delete"})
        assert tenant.follow(reply.startid).result == "1"
    finally:
        cloud.control("fail=volume_delete:0", guest.host)
    assert row_of(tenant, guest.id, backup)["backup.enable"] == "true"
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": guest.id}, query={"backups": "delete"})
    assert backup not in folders(cloud)


# --------------------------------------------------------------------------------------------------- keeping N
def eventually(ready, what):
    end = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def test_so_many_are_kept(server):
    made = server(connect="sim://?control=1", options=["--backup.keep", "2"])
    tenant = made.admin.tenant()
    vpc, model = tenant.vpc(), made.admin.model(size=1)
    vm, other = (tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model) for _ in range(2))
    theirs = take(tenant, other)
    taken = [take(tenant, vm, f"number {i}") for i in range(2)]
    for i in range(2, 5):
        reply = accept(tenant, vm, f"number {i}")
        job = tenant.done(reply.startid)
        taken.append(reply.data["backup.id"])
        assert [row["backup.id"] for row in backups(tenant, vm)] == taken[-2:]
        assert any(f"the old backup number {i - 2} is deleted, 2 are kept" in line for line in job.lines), job.lines
    eventually(lambda: folders(made) == {theirs, *taken[-2:]}, "the files of old backups go")
    assert [row["backup.id"] for row in backups(tenant, other)] == [theirs]


def test_the_new_one_stays_though_an_old_one_is_dated_later(server):
    """The clock was ahead when that was made."""
    made = server(options=["--backup.keep", "1"])
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    take(tenant, vm)
    made.stop()
    with made.database("rw") as db:
        db.execute("UPDATE backup SET created = created + 1000000000000")
        db.commit()
    made.start()
    new = take(tenant, vm)
    assert [row["backup.id"] for row in backups(tenant, vm)] == [new]
    eventually(lambda: folders(made) == {new}, "the files of the old one go")


def test_a_backup_that_fails_costs_no_old_one(server):
    made = server(connect="sim://?control=1", options=["--backup.keep", "1"])
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    old = take(tenant, vm)
    made.control("fail=copy_out:1")
    assert tenant.follow(accept(tenant, vm).startid).result == "1"
    made.control("fail=copy_out:0")
    assert [row["backup.id"] for row in backups(tenant, vm)] == [old] and folders(made) == {old}


def test_one_that_is_read_is_not_let_go(server):
    made = server(connect="sim://?hosts=1&control=1", options=["--backup.keep", "1"])
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    old = take(tenant, vm)
    made.control("delay=700ms")
    (twin,) = tenant.ok("POST cloudvm/backup/clone", {"backup.id": old}).data
    reply = accept(tenant, vm)
    made.control("delay=0")
    tenant.done(reply.startid)
    tenant.done(twin["jobstartid"])
    kept = {row["backup.id"] for row in backups(tenant, vm)}
    assert reply.data["backup.id"] in kept
    eventually(lambda: folders(made) == kept, "files go by jobs of their own, where one had to go")
    third = take(tenant, vm)
    assert [row["backup.id"] for row in backups(tenant, vm)] == [third]
    eventually(lambda: folders(made) == {third}, "the files of old backups go")


# ---------------------------------------------------------------------------------------------------- locks
class Hanging:
    """While a host does not answer, its jobs stay under way."""

    def __init__(self, cloud, *names):
        self.cloud, self.names = cloud, names

    def __enter__(self):
        for name in self.names:
            self.cloud.control("hang=1", name)

    def __exit__(self, *_):
        for name in self.names:
            self.cloud.control("hang=0", name)


def test_while_it_is_made_nobody_has_it(cloud, tenant, guest):
    with Hanging(cloud, guest.host):
        reply = accept(tenant, guest.id)
        backup = reply.data["backup.id"]
        row = row_of(tenant, guest.id, backup)
        assert row["backup.enable"] == "false" and row["backup.state"] == "making"
        for op, params in (("PUT cloudvm/backup/restore", {"backup.id": backup}),
                           ("POST cloudvm/backup/clone", {"backup.id": backup}),
                           ("DELETE cloudvm/backup/{backupId}", {"backupId": backup})):
            assert reply.startid in tenant.refused(op, params, "BACKUP_LOCKED").text
        assert reply.startid in tenant.refused("PUT cloudvm/shutdown", {"vm.id": guest.id}, "VM_LOCKED").text
        assert reply.startid in tenant.refused("POST cloudvm/backup/create",
                                               {"backup.vmid": guest.id, "backup.name": "x"}, "VM_LOCKED").text
    tenant.done(reply.startid)
    assert row_of(tenant, guest.id, backup)["backup.enable"] == "true"


def test_while_it_is_read_nobody_removes_it(cloud, tenant, guest, vpc):
    backup = take(tenant, guest.id)
    with Hanging(cloud, "host1", "host2"):
        startid = tenant.ok("PUT cloudvm/backup/restore", {"backup.id": backup}).startid
        assert startid in tenant.refused("DELETE cloudvm/backup/{backupId}", {"backupId": backup}, "BACKUP_LOCKED").text
        assert startid in tenant.refused("PUT cloudvm/backup/restore", {"backup.id": backup}, "VM_LOCKED").text
        twins = [tenant.ok("POST cloudvm/backup/clone", {"backup.id": backup}).data[0] for _ in range(2)]
    for job in (startid, *[twin["jobstartid"] for twin in twins]):  # readers do not mind each other
        tenant.done(job)
    with Hanging(cloud, "host1", "host2"):
        (twin,) = tenant.ok("POST cloudvm/backup/clone", {"backup.id": backup}).data
        reply = tenant.refused("DELETE cloudvm/{vmId}", {"vmId": guest.id}, "BACKUP_LOCKED", query={"backups": "delete"})
        assert twin["jobstartid"] in reply.text
        gone = tenant.ok("DELETE cloudvm/{vmId}", {"vmId": guest.id})  # without them it may go
    tenant.done(gone.startid)
    tenant.done(twin["jobstartid"])
    remove(tenant, backup)


def test_while_its_vm_takes_it_along_nobody_reads_it(cloud, tenant, guest, vpc):
    backup = take(tenant, guest.id)
    with Hanging(cloud, guest.host):
        reply = tenant.ok("DELETE cloudvm/{vmId}", {"vmId": guest.id}, query={"backups": "delete"})
        for op, params in (("POST cloudvm/backup/clone", {"backup.id": backup, "vnic.portgroupid": vpc}),
                           ("DELETE cloudvm/backup/{backupId}", {"backupId": backup}),
                           ("PUT cloudvm/backup/restore", {"backup.id": backup})):
            assert reply.startid in tenant.refused(op, params, "BACKUP_LOCKED").text
    tenant.done(reply.startid)
    tenant.refused("POST cloudvm/backup/clone", {"backup.id": backup, "vnic.portgroupid": vpc}, "BACKUP_NOT_FOUND")


# ----------------------------------------------------------------------------------------------------- faults
@pytest.mark.parametrize("call", ["copy_out", "copy_abort", "state"])
def test_a_backup_that_fails_leaves_nothing(cloud, tenant, guest, call):
    if call == "copy_abort":
        cloud.expect(r'event=job\.undo .*kind="backup\.create" step="copy"')  # undoing takes the same call
    cloud.control(f"fail={call}:1", guest.host)
    try:
        reply = accept(tenant, guest.id)
        job = tenant.follow(reply.startid)
    finally:
        cloud.control(f"fail={call}:0", guest.host)
    assert job.result == "1" and "simulated fault" in job.info
    wait_until(lambda: backups(tenant, guest.id) == [], "what could not be undone is")
    assert reply.data["backup.id"] not in folders(cloud)
    assert guest.runs and not guest.agrees().flags & COPYING
    take(tenant, guest.id)


def test_a_backup_can_be_called_off(cloud, tenant, guest):
    with Hanging(cloud, guest.host):
        reply = accept(tenant, guest.id)
        tenant.wait_line(reply.startid, "copy the disks")
        tenant.ok("PUT joblog/cancel", {"startid": reply.startid})
    assert tenant.follow(reply.startid).result == "7"
    assert backups(tenant, guest.id) == [] and reply.data["backup.id"] not in folders(cloud)


def test_a_full_disk_is_told_and_leaves_nothing(server, tmp_path):
    made = server(connect="sim://?control=1", options=["--backup.dir", "/proc/nothing"])
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    job = tenant.follow(accept(tenant, vm).startid)
    assert job.result == "1" and "storage error" in job.info and "/proc" not in job.info
    assert backups(tenant, vm) == []


def test_a_restore_that_changed_nothing_lets_the_guest_go_on(cloud, tenant, guest):
    add(tenant, guest.id)
    guest.write("old")
    backup = take(tenant, guest.id)
    guest.write("new")
    cloud.control("fail=copy_in:1", guest.host)
    try:
        job = tenant.follow(tenant.ok("PUT cloudvm/backup/restore", {"backup.id": backup}).startid)
    finally:
        cloud.control("fail=copy_in:0", guest.host)
    assert job.result == "1" and any("no disk was changed" in line for line in job.lines), job.lines
    assert guest.read() == "new" and guest.runs
    assert tenant.show(guest.id)["vm.state"] == "1"
    restore(tenant, backup)
    assert guest.read() == "old"


def test_a_restore_that_breaks_off_half_way_leaves_the_guest_off(cloud, tenant, guest):
    add(tenant, guest.id)
    for target in ("vda", "vdb"):
        guest.write("old " + target, target)
    backup = take(tenant, guest.id)
    for target in ("vda", "vdb"):
        guest.write("new " + target, target)
    cloud.control("delay=400ms", guest.host)
    startid = tenant.ok("PUT cloudvm/backup/restore", {"backup.id": backup}).startid
    tenant.wait_line(startid, "disk vdb is being restored")
    cloud.control("fail=copy_in:1", guest.host)
    job = tenant.follow(startid)
    cloud.control("fail=copy_in:0", guest.host)
    cloud.control("delay=0", guest.host)
    assert job.result == "1"
    assert any("only the disks vda are restored, not vdb: the VM stays off" in line for line in job.lines), job.lines
    eventually(lambda: tenant.show(guest.id)["vm.state"] == "0", "the VM is known to be off")
    assert (guest.read("vda"), guest.read("vdb")) == ("old vda", "new vdb") and not guest.runs
    restore(tenant, backup)  # it did not run when this was asked for
    assert (guest.read("vda"), guest.read("vdb")) == ("old vda", "old vdb") and not guest.runs
    start(tenant, guest.id)


# ------------------------------------------------------------------------------------------------------ races
@pytest.mark.race
def test_a_backup_against_the_deletion_of_its_vm(cloud, tenant, model, vpc):
    for _ in range(4):
        vm = tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model)
        first = take(tenant, vm)
        replies = at_once([
            lambda: tenant.call("POST cloudvm/backup/create", {"backup.vmid": vm, "backup.name": "x"}),
            lambda: tenant.call("DELETE cloudvm/{vmId}", {"vmId": vm}, query={"backups": "delete"}),
            lambda: tenant.call("POST cloudvm/backup/create", {"backup.vmid": vm, "backup.name": "y"}),
            lambda: tenant.call("PUT cloudvm/backup/restore", {"backup.id": first}),
        ])
        good = [reply for reply in replies if reply.ok]
        assert len(good) >= 1
        assert {r.code for r in replies if not r.ok} <= {"VM_LOCKED", "BACKUP_LOCKED", "VM_NOT_FOUND", "BACKUP_NO_VM",
                                                        "BACKUP_NOT_FOUND"}
        for reply in good:
            tenant.done(reply.startid)
        if replies[1].ok:
            tenant.refused("GET cloudvm/backup/{vmId}", {"vmId": vm}, "VM_NOT_FOUND")
            assert first not in folders(cloud)
        else:
            left = {row["backup.id"] for row in backups(tenant, vm)}
            assert left <= folders(cloud) and first in left
            tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm}, query={"backups": "delete"})
            assert not left & folders(cloud)


@pytest.mark.race
def test_readers_against_the_removal_of_a_backup(cloud, tenant, guest, vpc):
    guest.write("old")
    for _ in range(4):
        backup = take(tenant, guest.id)
        replies = at_once([
            lambda: tenant.call("PUT cloudvm/backup/restore", {"backup.id": backup}),
            lambda: tenant.call("DELETE cloudvm/backup/{backupId}", {"backupId": backup}),
            lambda: tenant.call("POST cloudvm/backup/clone", {"backup.id": backup}),
            lambda: tenant.call("DELETE cloudvm/backup/{backupId}", {"backupId": backup}),
        ])
        removed = replies[1].ok or replies[3].ok
        assert {r.code for r in replies if not r.ok} <= {"BACKUP_LOCKED", "BACKUP_NOT_FOUND"}
        assert not (replies[1].ok and replies[3].ok)
        for reply in (replies[0], replies[2]):  # who got it could read it to the end
            if reply.ok:
                tenant.done(reply.body.get("startid") or reply.data[0]["jobstartid"])
        assert removed == (backup not in folders(cloud))
        assert guest.read() == "old"
        if not removed:
            remove(tenant, backup)


# --------------------------------------------------------------------------------------- crashes and start-up
def test_killed_in_the_middle_of_a_copy(server):
    """Not at a boundary: while the host copies. The copy that it still holds is ended, and made anew."""
    made = server(connect="sim://?control=1&delay=300ms")
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    guest = Guest(made, tenant, vm)
    guest.write("old")
    reply = accept(tenant, vm)
    eventually(lambda: SimHost(made).domains[vm].flags & COPYING, "the host copies")
    made.kill()
    assert SimHost(made).domains[vm].flags & COPYING
    made.connect = ["sim://?control=1&delay=300ms"]
    made.start()
    tenant.done(reply.startid)
    assert not SimHost(made).domains[vm].flags & COPYING
    guest.write("new")
    restore(tenant, reply.data["backup.id"])
    assert guest.read() == "old" and guest.runs


def test_killed_in_the_middle_of_loading(server):
    made = server(connect="sim://?control=1&delay=300ms")
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    guest = Guest(made, tenant, vm)
    add(tenant, vm)
    for target in ("vda", "vdb"):
        guest.write("old " + target, target)
    backup = take(tenant, vm)
    for target in ("vda", "vdb"):
        guest.write("new " + target, target)
    startid = tenant.ok("PUT cloudvm/backup/restore", {"backup.id": backup}).startid
    tenant.wait_line(startid, "disk vdb is being restored")
    made.kill()
    made.start()
    job = tenant.done(startid)
    assert any("resumed at step" in line for line in job.lines)
    assert (guest.read("vda"), guest.read("vdb")) == ("old vda", "old vdb") and guest.runs


def test_a_start_removes_what_no_row_knows_and_nothing_else(server):
    made = server()
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    kept = take(tenant, vm)
    root = os.path.join(made.data, "backups")
    with open(os.path.join(root, kept, ".cloud")) as f:
        mark = f.read()
    ours, theirs, unmarked = (str(uuid.uuid4()) for _ in range(3))
    for name, text in ((ours, mark), (theirs, NOBODY), (unmarked, None), ("lost+found", mark)):
        os.mkdir(os.path.join(root, name))
        for file, content in (("vda.qcow2", "x"), (".cloud", text)):
            if content is not None:
                with open(os.path.join(root, name, file), "w") as f:
                    f.write(content)
    made.restart()
    assert folders(made) == {kept, theirs, unmarked, "lost+found"}
    assert row_of(tenant, vm, kept)["backup.enable"] == "true"
    assert "backup.swept" in made.log() and ours in made.log()


def test_backups_go_where_they_are_told(server, tmp_path):
    there = tmp_path / "elsewhere"
    made = server(options=["--backup.dir", str(there)])
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    backup = take(tenant, vm)
    assert os.listdir(there) == [backup] and folders(made) == set()
    assert os.stat(there).st_mode & 0o777 == 0o711
    assert os.stat(there / backup / "vda.qcow2").st_mode & 0o777 == 0o600
    remove(tenant, backup)
    assert os.listdir(there) == []


def test_a_storage_for_backups_is_preferred(server, tmp_path):
    there = tmp_path / "vault"
    there.mkdir()
    made = server(connect="sim://?control=1")
    made.tellable.add(made.data)  # where its image directory is: an administrator is told
    admin, tenant = made.admin, made.admin.tenant()
    guest = Guest(made, tenant, tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=admin.model(size=1)))
    guest.write("old")
    plain = take(tenant, guest.id, "before there was one")
    (own,) = admin.ok("POST cloudstorage/search").data
    storage = admin.ok("POST cloudstorage/add",
                       {"storage.name": "vault", "storage.type": "dir", "storage.location": str(there),
                        "storage.use.type": "seconds", "storage.hostid": own["storage.hostid"]}).data["storage.id"]
    backup = take(tenant, guest.id)
    assert os.listdir(there / "backups") == [backup] and folders(made) == {plain}
    assert [row["backup.enable"] for row in backups(tenant, guest.id)] == ["true", "true"]
    guest.write("new")
    restore(tenant, backup)
    assert guest.read() == "old"
    restore(tenant, plain)
    admin.refused("DELETE cloudstorage/{storageId}", {"storageId": storage}, "STORAGE_IN_USE")
    with open(there / "backups" / backup / ".cloud") as f:
        mark = f.read()
    stray = str(uuid.uuid4())
    os.mkdir(there / "backups" / stray)
    (there / "backups" / stray / ".cloud").write_text(mark)
    made.restart()  # swept there, too
    assert os.listdir(there / "backups") == [backup]
    remove(tenant, backup)
    assert os.listdir(there / "backups") == []
    admin.ok("DELETE cloudstorage/{storageId}", {"storageId": storage})
    remove(tenant, plain)
