"""Backups of real guests: what was on their disks comes back, in place and as a new VM; damaged ones are refused; a
full storage and kill -9 of the server at every boundary leave nothing behind and nobody frozen."""
import os

import pytest
from sandbox import SLOW, Guest, until
from test_crash import Armed
from test_devices import disks, read, write
from test_snapshot import points


@pytest.fixture
def guest(cloud):
    """One guest with a data disk for all tests here, running or not."""
    if not hasattr(cloud, "lone"):
        cloud.lone = cloud.guest(**{"vm.vdisk.num": 1, "vm.vdisk.size": 1})
    return cloud.lone


@pytest.fixture
def running(cloud, guest):
    if cloud.state(guest) != "1":
        cloud.act("start", guest)
    return guest.wait_agent()


@pytest.fixture
def stopped(cloud, guest):
    cloud.act("destroy", guest)
    return guest


def accept(cloud, guest, name="then"):
    reply = cloud.tenant.ok("POST cloudvm/backup/create", {"backup.vmid": guest.id, "backup.name": name})
    return reply.data["backup.id"], reply.startid


def make(cloud, guest, name="then"):
    backup, startid = accept(cloud, guest, name)
    cloud.tenant.done(startid, SLOW)
    return backup


def asked_to_restore(cloud, backup):
    return cloud.tenant.ok("PUT cloudvm/backup/restore", {"backup.id": backup}).startid


def restore(cloud, backup):
    return cloud.tenant.done(asked_to_restore(cloud, backup), SLOW)


def delete(cloud, backup):
    cloud.tenant.ok("DELETE cloudvm/backup/{backupId}", {"backupId": backup})


def backups(cloud, guest):
    """{id: row}"""
    rows = cloud.tenant.ok("GET cloudvm/backup/{vmId}", {"vmId": guest.id}).data
    return {row["backup.id"]: row for row in rows}


def folder(cloud, backup=""):
    return os.path.join(cloud.server.data, "backups", backup)


def files(cloud):
    """{backup: its files}, marks aside."""
    if not os.path.isdir(folder(cloud)):
        return {}
    return {name: sorted(n for n in os.listdir(folder(cloud, name)) if not n.startswith("."))
            for name in os.listdir(folder(cloud))}


def no_job(cloud, guest):
    """Libvirt is at nothing with it, and its file systems take writes."""
    assert "None" in cloud.sandbox.virsh("domjobinfo", guest.id)
    assert guest.agent("guest-fsfreeze-status") == "thawed"


def vdb(cloud, guest):
    return f"{cloud.server.data}/images/{disks(cloud, guest)['vdb']['vdisk.id']}.qcow2"


def overwrite(cloud, guest, at):
    """A sector of the data disk, while the guest is off."""
    cloud.sandbox.run("qemu-io", "-f", "qcow2", "-c", f"write -P 1 {at * 512} 512", vdb(cloud, guest))


def test_a_running_guest_comes_back(cloud, running):
    boot = running.boot_id()
    write(running, "vdb", "before", 5)
    running.sh("echo kept >/root/kept; sync")
    backup = make(cloud, running)
    row = backups(cloud, running)[backup]
    assert row["backup.enable"] == "true" and row["backup.quiesced"] == "true" and int(row["backup.size"]) > 1 << 20
    assert files(cloud) == {backup: ["vda.qcow2", "vdb.qcow2"]}
    no_job(cloud, running)
    assert running.boot_id() == boot
    write(running, "vdb", "behind", 5)
    running.sh("rm /root/kept; echo later >/root/later; sync")
    restore(cloud, backup)
    assert cloud.state(running) == "1"
    running.ready()
    assert running.boot_id() != boot and read(running, "vdb", 5, 6) == "before"
    assert running.sh("cat /root/kept") == "kept" and running.exec("cat /root/later")[0] != 0
    delete(cloud, backup)
    assert files(cloud) == {}


def test_a_stopped_guest_stays_stopped(cloud, running):
    write(running, "vdb", "before", 7)
    cloud.act("destroy", running)
    backup = make(cloud, running)
    overwrite(cloud, running, 7)
    restore(cloud, backup)
    assert cloud.state(running) == "0"
    cloud.act("start", running)
    assert read(running.wait_agent(), "vdb", 7, 6) == "before"
    delete(cloud, backup)


def test_a_new_vm_of_it(cloud, running):
    write(running, "vdb", "before", 11)
    backup = make(cloud, running)
    write(running, "vdb", "behind", 11)
    reply = cloud.tenant.ok("POST cloudvm/backup/clone", {"backup.id": backup, "vm.name": "clone"})
    (made,) = reply.data if isinstance(reply.data, list) else [reply.data]
    cloud.tenant.done(made["jobstartid"], SLOW)
    clone = Guest(cloud.sandbox, made["vm.id"], running.vpc, cloud.tenant.show(made["vm.id"])["vm.ip"])
    clone.ready()
    assert read(clone, "vdb", 11, 6) == "before" and read(running, "vdb", 11, 6) == "behind"
    assert clone.ip != running.ip
    delete(cloud, backup)
    cloud.delete(clone)


def test_a_damaged_one_is_refused(cloud, running):
    boot = running.boot_id()
    write(running, "vdb", "before", 13)
    backup = make(cloud, running)
    write(running, "vdb", "behind", 13)
    with open(os.path.join(folder(cloud, backup), "vdb.qcow2"), "r+b") as f:
        f.seek(100000)
        byte = f.read(1)
        f.seek(100000)
        f.write(bytes([byte[0] ^ 1]))
    job = cloud.tenant.follow(asked_to_restore(cloud, backup), SLOW)
    assert job.result == "1" and "damaged" in job.info and "vdb" in job.info, job.info
    assert running.boot_id() == boot and read(running, "vdb", 13, 6) == "behind"
    assert backups(cloud, running)[backup]["backup.enable"] == "false"
    cloud.tenant.refused("PUT cloudvm/backup/restore", {"backup.id": backup}, "BACKUP_DAMAGED")
    delete(cloud, backup)


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_a_full_storage(cloud, request, state):
    guest = request.getfixturevalue(state)
    os.makedirs(folder(cloud), 0o711, exist_ok=True)
    cloud.sandbox.run("mount", "-t", "tmpfs", "-o", "size=6m,mode=711", "tmpfs", folder(cloud))
    try:
        _, startid = accept(cloud, guest)
        job = cloud.tenant.follow(startid, SLOW)
        assert job.result == "1" and "full" in job.info, job.info
        assert cloud.sandbox.run("ls", "-A", folder(cloud)) == "" and backups(cloud, guest) == {}
    finally:
        cloud.sandbox.run("umount", folder(cloud))
    if state == "running":
        no_job(cloud, guest)
    assert cloud.state(guest) == ("1" if state == "running" else "0")


# -------------------------------------------------------------------------------------------------- kill -9
@pytest.mark.parametrize("point", points("backup.create"))
def test_create_killed(cloud, running, point):
    with Armed(cloud, point):
        backup, startid = accept(cloud, running)
    cloud.tenant.done(startid, SLOW)
    assert backups(cloud, running)[backup]["backup.enable"] == "true"
    assert files(cloud) == {backup: ["vda.qcow2", "vdb.qcow2"]}
    no_job(cloud, running)
    delete(cloud, backup)


@pytest.fixture
def kept(cloud, guest):
    """A backup of the guest, made while it was off, that all tests of restoring share."""
    if not hasattr(cloud, "kept"):
        cloud.act("start", guest)
        write(guest.wait_agent(), "vdb", "before", 17)
        cloud.act("destroy", guest)
        cloud.kept = make(cloud, guest, "kept")
    return cloud.kept


@pytest.mark.parametrize("point", points("backup.restore"))
def test_restore_killed(cloud, guest, kept, point):
    cloud.act("destroy", guest)
    overwrite(cloud, guest, 17)
    cloud.act("start", guest)
    with Armed(cloud, point):
        startid = asked_to_restore(cloud, kept)
    cloud.tenant.done(startid, SLOW)
    cloud.wait_state(guest, "1")
    head = cloud.sandbox.run("qemu-io", "-U", "-r", "-f", "qcow2", "-c", f"read -v {17 * 512} 16", vdb(cloud, guest))
    assert "before" in head, head


@pytest.mark.parametrize("point", points("backup.delete"))
def test_delete_killed(cloud, stopped, point):
    """Answered once it is done: the client of the one that is killed hears nothing."""
    backup = make(cloud, stopped, "short")
    with Armed(cloud, point):
        with pytest.raises(OSError):
            delete(cloud, backup)
    until(lambda: backup not in backups(cloud, stopped), "the backup is gone")
    assert backup not in files(cloud)
