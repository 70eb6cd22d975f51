"""Backups that are locked; faults, races, crashes; what is left on disk."""
import os
import uuid

import pytest
from backups import NOBODY, Guest, accept, backups, folders, guest, remove, restore, row_of, take, vpc
from simhost import COPYING, SimHost
from starvirt import wait_until
from test_vdisk import add, at_once, start


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
    wait_until(lambda: tenant.show(guest.id)["vm.state"] == "0", "the VM is known to be off")
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
    wait_until(lambda: SimHost(made).domains[vm].flags & COPYING, "the host copies")
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
