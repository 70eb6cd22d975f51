"""Undos that a real guest does not let happen: what it holds stays, with its reservation, and goes by itself later."""
import concurrent.futures
import contextlib
import os
import signal

import pytest
from sandbox import SLOW, until
from test_crash import Armed, ask
from test_devices import disks, nics, sectors

WAITS = "undoing is not finished"
PROMPT = 60  # [s] The undo does not wait for a guest that cannot let go: the VM's lock is what resume waits for.


@pytest.fixture
def guest(cloud):
    """One guest for all tests here; each leaves it running."""
    if not hasattr(cloud, "lone"):
        cloud.lone = cloud.guest()
    return cloud.lone


@pytest.fixture
def turning_back(cloud):
    """What a crash cut off is undone by the next start."""
    cloud.server.options.append("--jobs.requeue=false")
    yield
    cloud.server.options.remove("--jobs.requeue=false")
    cloud.server.restart()
    cloud.server.wait_connected()


def storage(cloud):
    return cloud.tenant.usable()["storage"]


def undo(cloud, guest):
    return cloud.tenant.show(guest.id)["vm.undo.startid"]


def serials(cloud, guest, *flags):
    return [found.text for found in cloud.sandbox.definition(guest.id, *flags).findall("devices/disk/serial")]


def held(cloud, guest, disk, *flags):
    return disk.replace("-", "")[:20] in serials(cloud, guest, *flags)


def file_of(cloud, disk):
    return os.path.join(cloud.server.data, "images", disk + ".qcow2")


def add(cloud, guest):
    """Accepted: (startid, id of the disk)."""
    reply = ask(cloud, "POST cloudvm/vdisk/add", {"vdisk.vmid": guest.id, "vdisk.size": 2})
    return reply.startid, reply.data["vdisk.id"]


def finishes(cloud, guest, startid, disk, before):
    until(lambda: not undo(cloud, guest), "the undo is finished", tick=0.05)
    assert not held(cloud, guest, disk) and not held(cloud, guest, disk, "--inactive")
    assert not os.path.exists(file_of(cloud, disk)) and storage(cloud) == before
    assert set(disks(cloud, guest)) == {"vda"} and sectors(guest.wait_agent(), "vdb") == 0
    said = [line for line in cloud.tenant.follow(startid).lines if "undoing is finished, by job" in line]
    assert len(said) == 1, said
    assert cloud.server.fsck() == ""


def waits(cloud, guest, startid, disk, before):
    """Kept whole, and told."""
    row = disks(cloud, guest)["vdb"]
    assert (undo(cloud, guest), row["vdisk.undo.startid"], row["vdisk.id"]) == (startid, startid, disk)
    assert held(cloud, guest, disk) and not held(cloud, guest, disk, "--inactive"), "its next boot is without"
    assert os.path.exists(file_of(cloud, disk)) and storage(cloud) == before - 2
    assert cloud.server.fsck(hosts=False) == ""


@pytest.mark.parametrize("way", ["resume", "start", "destroy"])
def test_a_disk_that_a_suspended_guest_holds(cloud, guest, turning_back, way):
    before = storage(cloud)
    cloud.act("suspend", guest)
    with Armed(cloud, "disk.add:attach:after"):
        startid, disk = add(cloud, guest)
    job = cloud.tenant.follow(startid, PROMPT)
    assert job.result == "6" and any(WAITS in line for line in job.lines), job.lines
    waits(cloud, guest, startid, disk, before)
    cloud.tenant.refused("POST cloudvm/vdisk/add", {"vdisk.vmid": guest.id, "vdisk.size": 1}, "UNDO_PENDING")
    cloud.act(way, guest)
    if way == "destroy":
        until(lambda: not undo(cloud, guest), "the undo is finished", tick=0.05)
        cloud.act("start", guest)
    finishes(cloud, guest, startid, disk, before)


@contextlib.contextmanager
def hanging(cloud, guest):
    """Its QEMU answers nothing; libvirt and the server do."""
    qemu = cloud.sandbox.qemu_of(guest.id)
    os.kill(qemu, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(qemu, signal.SIGCONT)


def call_off(cloud, startid, step):
    """Cancelled in a step that goes on alone; what it makes is not there yet when the undo looks."""
    cloud.tenant.wait_line(startid, step)
    cloud.tenant.ok("PUT joblog/cancel", {"startid": startid})
    cloud.tenant.wait_line(startid, "undoing: " + step)


def test_a_disk_cancelled_just_as_it_is_plugged_in(cloud, guest):
    before = storage(cloud)
    cloud.act("suspend", guest)
    with hanging(cloud, guest):
        startid, disk = add(cloud, guest)
        call_off(cloud, startid, "plug the disk in")
        assert os.path.exists(file_of(cloud, disk)), "QEMU is about to open it"
        assert cloud.tenant.ok("GET joblog/{startid}", {"startid": startid}).data["job.result"] == "2"
    job = cloud.tenant.follow(startid, PROMPT)
    assert job.result == "7" and any(WAITS in line for line in job.lines), job.lines
    waits(cloud, guest, startid, disk, before)
    cloud.act("resume", guest)
    finishes(cloud, guest, startid, disk, before)


def macs(cloud, guest, *flags):
    return [mac.get("address") for mac in cloud.sandbox.definition(guest.id, *flags).findall("devices/interface/mac")]


@pytest.mark.parametrize("suspended", [True, False], ids=["suspended", "running"])
def test_a_nic_cancelled_just_as_it_is_plugged_in(cloud, guest, suspended):
    """Else the guest keeps one whose address is somebody else's."""
    if suspended:
        cloud.act("suspend", guest)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with hanging(cloud, guest):
            asked = pool.submit(cloud.tenant.call, "POST cloudvm/vnic/add",
                                {"vnic.vmid": guest.id, "vnic.portgroupid": guest.vpc})
            startid = until(lambda: open_job(cloud, guest), "it is accepted", tick=0.02)
            call_off(cloud, startid, "plug the NIC in")
        assert asked.result().code == "JOB_CANCELLED"
    job = cloud.tenant.follow(startid, PROMPT)
    assert job.result == "7"
    assert any(WAITS in line for line in job.lines) == suspended, job.lines
    if suspended:
        held = nics(cloud, guest)[1]
        assert (undo(cloud, guest), held["vnic.undo.startid"]) == (startid, startid)
        assert held["vnic.macaddress"] in macs(cloud, guest) and len(macs(cloud, guest, "--inactive")) == 1
        assert cloud.server.fsck(hosts=False) == ""
        cloud.act("resume", guest)
        until(lambda: not undo(cloud, guest), "the undo is finished", tick=0.05)
    assert len(macs(cloud, guest)) == len(macs(cloud, guest, "--inactive")) == len(nics(cloud, guest)) == 1
    assert cloud.server.fsck() == "" and guest.wait_agent().sh("ls /sys/class/net | grep -c eth") == "1"


def open_job(cloud, guest):
    rows = cloud.tenant.ok("POST joblog/search", {"job.objid": guest.id}).data
    return next((row["startid"] for row in rows if row["job.result"] in ("2", "3")), None)
