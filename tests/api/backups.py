"""Taking, restoring and looking at backups; a guest whose disks are written to and read."""
import os

import pytest
from simhost import SimHost
from test_vdisk import disks, host_of

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
