"""Files that somebody took away: whatever needs one says which it is, and goes again when it is back."""
import contextlib
import os

import pytest
from conftest import MEMORY
from sandbox import SLOW


@contextlib.contextmanager
def away(*paths):
    for path in paths:
        os.rename(path, path + ".away")
    try:
        yield
    finally:
        for path in paths:
            os.rename(path + ".away", path)


def refused(client, op, params, *words):
    job = client.follow(client.ok(op, params).startid, SLOW)
    assert job.result == "1", job
    for word in words:
        assert word in job.info, job.info
    assert "not supported" not in job.info


BACKUP = "POST cloudvm/backup/create"


def uses(guest):
    """What needs all of its files."""
    return {"PUT cloudvm/start": {"vm.id": guest.id}, BACKUP: {"backup.vmid": guest.id, "backup.name": "b"},
            "POST cloudvm/snapshot/create": {"snapshot.vmid": guest.id, "snapshot.name": "s"}}


@pytest.fixture
def stopped(cloud):
    """A guest that is off; the files of its disks."""
    (guest,) = cloud.guests(cloud.tenant.vpc(), wait=False, **{"vm.vdisk.num": 1, "vm.vdisk.size": 1})
    cloud.act("destroy", guest)
    xml = cloud.sandbox.definition(guest.id, "--inactive")
    guest.files = [source.get("file") for source in xml.findall("devices/disk/source")]
    assert len(guest.files) == 2
    yield guest
    cloud.act("start", guest)  # nothing of it is broken for good
    cloud.delete(guest)


def test_a_disk_without_its_file(cloud, stopped):
    client = cloud.tenant
    for path in stopped.files:
        disk = os.path.basename(path)[:36]
        with away(path):
            for op, params in uses(stopped).items():
                refused(client, op, params, disk, "is not on the host")
    with away(stopped.files[1]):
        refused(client, "PUT cloudvm/vdisk/extend", {"vdisk.id": os.path.basename(stopped.files[1])[:36], "vdisk.size": 2},
                "is not on the host")


def test_a_running_guest_without_a_file(cloud, stopped):
    """It goes on; a copy of it is refused in words that fit."""
    cloud.act("start", stopped)
    with away(stopped.files[1]):
        refused(cloud.tenant, BACKUP, uses(stopped)[BACKUP], os.path.basename(stopped.files[1])[:36], "is not on the host")
    cloud.act("destroy", stopped)


def test_a_template_without_its_file(cloud, stopped):
    client, template = cloud.tenant, cloud.template
    path = os.path.join(os.path.dirname(stopped.files[0]), f"{template}.template.qcow2")
    vpc = client.vpc()
    with away(path):
        for op in ("PUT cloudvm/start", BACKUP):
            refused(client, op, uses(stopped)[op], template, "is not on the host")
        for clone in ("linked", "full"):
            made = client.create(**{"vnic.portgroupid": vpc, "vm.tenant.model": cloud.model, "vm.memory.mem": MEMORY,
                                    "vm.clone": clone}).data[0]
            job = client.follow(made["jobstartid"], SLOW)
            assert job.result == "1" and template in job.info and "is not on the host" in job.info, job.info
            client.run("DELETE cloudvm/{vmId}", {"vmId": made["vm.id"]}, SLOW)
