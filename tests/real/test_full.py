"""The image directory is full: what cannot be made is refused by name and leaves nothing, what runs waits."""
import os

import pytest
from sandbox import SLOW, until

SIZE_MIB = 300


class Directory:
    """The image directory on a small file system of its own, inside the sandbox."""

    def __init__(self, sandbox, path):
        self.sandbox, self.path = sandbox, path
        self.filler = path + "/../filler"  # not among the images: a second mount of the same file system

    def mount(self):
        os.makedirs(self.path, mode=0o711)
        os.makedirs(self.filler)
        self.sandbox.run("mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", self.filler)
        self.sandbox.run("mkdir", "-m", "711", self.filler + "/images")
        self.sandbox.run("mount", "--bind", self.filler + "/images", self.path)

    def unmount(self):
        for path in (self.path, self.filler):
            self.sandbox.try_run("umount", path)

    def fill(self, leave_kib):
        """All but this much is taken."""
        self.free()
        free = int(self.sandbox.run("df", "--output=avail", "-k", self.filler).split()[-1])
        self.sandbox.run("fallocate", "-l", f"{free - leave_kib}KiB", self.filler + "/fill")

    def free(self):
        self.sandbox.run("rm", "-f", self.filler + "/fill")


@pytest.fixture(scope="module")
def small(clouds, sandbox):
    """A cloud whose images have little room."""
    made = []

    def prepare(data):
        folder = Directory(sandbox, os.path.join(data, "images"))
        folder.mount()
        made.append(folder)

    clouds.prepare = prepare
    yield made
    for folder in made:
        folder.free()
    clouds.close()
    for folder in made:
        folder.unmount()


@pytest.fixture
def full(small, cloud):
    """Full while the test runs, but for a few KiB."""
    small[-1].fill(64)
    yield small[-1]
    small[-1].free()


def everything(cloud):
    return sorted(cloud.sandbox.run("ls", "-A", cloud.server.data + "/images").split())


def full_storage(job):
    assert job.result == "1" and "the storage is full" in job.info, job
    return True


def test_import(cloud, full):
    before = everything(cloud)
    made = cloud.admin.ok("POST cloudtemplate/import", {"template.name": "more", "template.path": cloud.image})
    assert full_storage(cloud.admin.follow(made.startid, SLOW))
    assert everything(cloud) == before
    cloud.admin.run("DELETE cloudtemplate/{templateId}", {"templateId": made.data["template.id"]}, SLOW)


@pytest.mark.parametrize("disks", [0, 3])
def test_create(cloud, full, disks):
    before, vpc = everything(cloud), cloud.tenant.vpc()
    params = {"vnic.portgroupid": vpc, "vm.tenant.model": cloud.model, "vm.memory.mem": 128}
    if disks:
        full.fill(450)  # room for some of them
        params.update({"vm.vdisk.num": disks, "vm.vdisk.size": 1})
    made = cloud.tenant.create(**params).data[0]
    assert full_storage(cloud.tenant.follow(made["jobstartid"], SLOW))
    assert cloud.tenant.show(made["vm.id"])["vm.state"] == "-2"
    assert everything(cloud) == before
    cloud.agrees()
    full.free()
    cloud.tenant.run("DELETE cloudvm/{vmId}", {"vmId": made["vm.id"]}, SLOW)
    (guest,) = cloud.guests(vpc, wait=False)
    cloud.delete(guest)
    cloud.tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})


@pytest.fixture
def lone(small, cloud):
    """One guest for the tests that change nothing of it."""
    small[-1].free()
    if not hasattr(cloud, "lone"):
        cloud.lone = cloud.guest()
    return cloud.lone


@pytest.mark.parametrize("hot", [True, False], ids=["hot", "cold"])
def test_disk_added(cloud, small, lone, hot):
    if not hot:
        cloud.act("destroy", lone)
    params = {"vdisk.vmid": lone.id, "vdisk.size": 1}
    before, rows = everything(cloud), cloud.tenant.ok("POST cloudvm/vdisk/search", params).data
    left = cloud.tenant.usable()
    small[-1].fill(64)
    assert full_storage(cloud.tenant.follow(cloud.tenant.ok("POST cloudvm/vdisk/add", params).startid, SLOW))
    assert everything(cloud) == before and cloud.tenant.usable() == left
    assert cloud.tenant.ok("POST cloudvm/vdisk/search", params).data == rows
    cloud.agrees()
    small[-1].free()
    made = cloud.tenant.ok("POST cloudvm/vdisk/add", params)
    cloud.tenant.done(made.startid, SLOW)
    cloud.tenant.run("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": made.data["vdisk.id"]}, SLOW)
    assert everything(cloud) == before
    cloud.act("start", lone)
    lone.wait_agent()


@pytest.mark.parametrize("hot", [True, False], ids=["hot", "cold"])
def test_disk_grown(cloud, small, lone, hot):
    """Disks are thin: growing one writes a few bytes. Grown or refused by name, size and quota are true."""
    made = cloud.tenant.ok("POST cloudvm/vdisk/add", {"vdisk.vmid": lone.id, "vdisk.size": 1})
    cloud.tenant.done(made.startid, SLOW)
    if not hot:
        cloud.act("destroy", lone)
    small[-1].fill(0)
    disk = made.data["vdisk.id"]
    job = cloud.tenant.follow(cloud.tenant.ok("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 300}
                                              ).startid, SLOW)
    assert job.result == "0" or full_storage(job)
    cloud.agrees()  # sizes of files against rows, and quotas against both
    small[-1].free()
    cloud.tenant.run("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 300}, SLOW)
    cloud.tenant.run("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disk}, SLOW)
    cloud.act("start", lone)
    lone.wait_agent()


@pytest.mark.parametrize("where", ["images", "copy"])
def test_a_template_of_a_running_guest(cloud, small, lone, where):
    """Either the copy finds no room or the image that is made of it: nothing stays, and the guest lives."""
    folder, boot = cloud.server.data + "/copy", lone.boot_id()
    before = everything(cloud)
    if where == "images":
        small[-1].fill(3000)  # the guest itself must not run out of it
    else:
        cloud.sandbox.run("mkdir", "-p", folder)
        cloud.sandbox.run("mount", "-t", "tmpfs", "-o", "size=1m,mode=711", "tmpfs", folder)
    try:
        made = cloud.tenant.ok("POST cloudtemplate/create", {"vm.id": lone.id, "template.name": "x"})
        assert full_storage(cloud.tenant.follow(made.startid, SLOW))
        assert cloud.sandbox.run("ls", "-A", folder) == ""
    finally:
        small[-1].free()
        if where == "copy":
            cloud.sandbox.run("umount", folder)
    assert everything(cloud) == before and lone.boot_id() == boot
    assert lone.agent("guest-fsfreeze-status") == "thawed"
    cloud.tenant.run("DELETE cloudtemplate/{templateId}", {"templateId": made.data["template.id"]}, SLOW)


def test_a_full_clone(cloud, small, lone):
    before = everything(cloud)
    small[-1].fill(3000)
    made = cloud.tenant.create(**{"vnic.portgroupid": lone.vpc, "vm.template.id": cloud.template,
                                  "vm.memory.mem": 128, "vm.clone": "full"}).data[0]
    assert full_storage(cloud.tenant.follow(made["jobstartid"], SLOW))
    assert everything(cloud) == before
    cloud.agrees()
    small[-1].free()
    cloud.tenant.run("DELETE cloudvm/{vmId}", {"vmId": made["vm.id"]}, SLOW)


def test_running_guest_waits_and_goes_on(cloud, small):
    """A write that has no room stops the guest and not its data; the API shows it suspended."""
    folder = small[-1]
    guest = cloud.guest()
    boot = guest.boot_id()
    folder.fill(1024)
    guest.agent("guest-exec", path="/bin/sh", arg=["-c", "dd if=/dev/urandom of=/data/big bs=64k count=200; sync"])
    cloud.wait_state(guest, "2")
    assert cloud.sandbox.domains()[guest.id] == "paused"
    folder.free()
    cloud.act("resume", guest)
    assert cloud.state(guest) == "1"
    assert guest.wait_agent().boot_id() == boot
    until(lambda: guest.exec("pidof dd sync")[0] != 0, "the guest has written all of it")
    assert guest.sh("wc -c </data/big") == str(200 * 65536)
    cloud.delete(guest)


def test_delete_and_stop_need_no_room(cloud, small):
    guests = cloud.guests(cloud.tenant.vpc(), 2, wait=False)
    small[-1].fill(0)
    cloud.act("destroy", guests[0])
    cloud.act("start", guests[0])
    for guest in guests:
        cloud.delete(guest)
    small[-1].free()
