"""Backups: made of running and stopped VMs, restored in place and to new VMs, kept in a number; damaged and gone
ones."""
import os
import shutil
import time

import pytest
from backups import (NOBODY, Guest, accept, backups, clone, damage, folders, guest, path_of, remove, restore, row_of,
                     take, vpc)
from simhost import SimHost
from starvirt import wait_until
from test_quota import UNLIMITED
from test_vdisk import add, disks, grow, start, stop, storage_left
from test_vdisk import delete as delete_disk


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
    wait_until(lambda: folders(made) == {theirs, *taken[-2:]}, "the files of old backups go")
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
    wait_until(lambda: folders(made) == {new}, "the files of the old one go")


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
    wait_until(lambda: folders(made) == kept, "files go by jobs of their own, where one had to go")
    third = take(tenant, vm)
    assert [row["backup.id"] for row in backups(tenant, vm)] == [third]
    wait_until(lambda: folders(made) == {third}, "the files of old backups go")
