"""Storages on a real host: a second directory that holds guests' disks and runs full, and a Ceph of one node for
disks without a VM."""
import http.client
import json
import os
import shutil
import subprocess

import pytest
from agree import storages
from sandbox import SLOW, until
from starvirt import ROOT, unique
from test_devices import SECTORS, add_disk, delete_disk, disks, grow, read, sectors, write

SIZE_MIB = 200
GIB = 1 << 30


# ------------------------------------------------------------------------------------------------- directories
class Place:
    """A storage on a small file system of its own, which takes all new disks while it is there."""

    def __init__(self, cloud, folder):
        self.cloud, self.path = cloud, str(folder)
        self.box = cloud.sandbox
        self.box.run("mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=711", "tmpfs", self.path)
        self.id = cloud.admin.ok("POST cloudstorage/add", {"storage.name": "small", "storage.type": "dir",
                                                           "storage.location": self.path}).data["storage.id"]
        (self.own,) = [row for row in self.rows() if row["storage.name"] == "local"]
        self.leave("seconds")

    def rows(self):
        return storages(self.cloud.server)

    def row(self):
        return next(row for row in self.rows() if row["storage.id"] == self.id)

    def leave(self, use):
        """New disks stay out of the image directory, or do not."""
        self.cloud.admin.ok("PUT cloudstorage/modify", {"storage.id": self.own["storage.id"],
                                                        "storage.use.type": use})

    def names(self):
        """But for the mark of the storage."""
        return sorted(self.box.run("ls", self.path).split())

    def file(self, disk):
        return f"{self.path}/{disk}.qcow2"

    def fill(self, leave_kib):
        self.free()
        room = int(self.box.run("df", "--output=avail", "-k", self.path).split()[-1])
        self.box.run("fallocate", "-l", f"{room - leave_kib}KiB", self.path + "/fill")

    def free(self):
        self.box.run("rm", "-f", self.path + "/fill")

    def close(self):
        self.free()
        self.leave("main")
        self.cloud.admin.ok("DELETE cloudstorage/{storageId}", {"storageId": self.id})
        self.box.run("umount", self.path)


@pytest.fixture
def place(cloud, tmp_path):
    folder = tmp_path / "more"
    folder.mkdir()
    made = Place(cloud, folder)
    yield made
    made.close()


@pytest.fixture
def guest(cloud):
    if not hasattr(cloud, "lone"):
        cloud.lone = cloud.guest()
    return cloud.lone


def test_a_disk_lands_there_and_is_a_disk_like_any_other(cloud, guest, place):
    disk, name = add_disk(cloud, guest, 1)
    assert place.names() == [disk + ".qcow2"]
    until(lambda: sectors(guest, name) == SECTORS, "the guest sees the disk")
    write(guest, name, "pattern", 7)
    guest.sh(f"dd if=/dev/urandom of=/dev/{name} bs=1M seek=8 count=20 conv=fsync 2>/dev/null")
    grow(cloud, disk, 2)
    until(lambda: sectors(guest, name) == 2 * SECTORS, "the guest sees the growth")
    cloud.admin.ok("PUT cloudstorage/refresh", {"storage.id": place.id})
    assert place.row()["storage.usedsize"] == "1"
    reply = cloud.admin.refused("DELETE cloudstorage/{storageId}", {"storageId": place.id}, "STORAGE_IN_USE")
    assert "1 disks" in reply.text
    cloud.agrees()
    cloud.act("destroy", guest)
    cloud.server.restart()
    cloud.server.wait_connected()
    grow(cloud, disk, 3)  # off, and after a restart
    cloud.act("start", guest)
    guest.wait_agent()
    assert sectors(guest, name) == 3 * SECTORS and read(guest, name, 7, 7) == "pattern"
    place.leave("main")
    delete_disk(cloud, disk)
    assert place.names() == [] and sectors(guest, name) == 0


def test_a_guest_starts_from_there(cloud, place):
    """Its system disk stands on a template in the image directory."""
    guest = cloud.guest()
    boot = disks(cloud, guest)["vda"]["vdisk.id"]
    assert place.names() == [boot + ".qcow2"]
    info = json.loads(cloud.sandbox.run("qemu-img", "info", "-U", "--output=json", place.file(boot)))
    assert info["backing-filename"] == f"{cloud.server.data}/images/{cloud.template}.template.qcow2"
    guest.sh("echo kept >/data/word; sync")
    cloud.act("destroy", guest)
    cloud.act("start", guest)
    guest.wait_agent()
    assert guest.sh("cat /data/word") == "kept"
    cloud.agrees()
    cloud.delete(guest)
    assert place.names() == []


def test_a_full_storage_leaves_nothing(cloud, guest, place):
    place.fill(64)
    reply = cloud.tenant.ok("POST cloudvm/vdisk/add", {"vdisk.vmid": guest.id, "vdisk.size": 1})
    job = cloud.tenant.follow(reply.startid, SLOW)
    assert job.result == "1" and "the storage is full" in job.info, job
    assert place.names() == ["fill"] and set(disks(cloud, guest)) == {"vda"}
    place.free()
    disk, _ = add_disk(cloud, guest, 1)
    assert place.names() == [disk + ".qcow2"]
    delete_disk(cloud, disk)


REFUSED = r'route="cloudstorage/add" status="200" result="STORAGE"'


def test_a_mount_that_is_missing(cloud, guest, place, tmp_path):
    """Nothing is made, and nothing taken for gone, in the directory under it."""
    cloud.server.expect(r'event=job.undo .*kind="disk.add" step="volume" error="STORAGE"')  # left for later
    disk, _ = add_disk(cloud, guest, 1)
    keep = tmp_path / "keep"
    keep.mkdir()
    place.box.run("mount", "--bind", place.path, str(keep))
    cloud.act("destroy", guest)
    place.box.run("umount", place.path)
    cloud.server.restart()
    cloud.server.wait_connected()
    for op, params in (("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 2}),
                       ("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disk}),
                       ("POST cloudvm/vdisk/add", {"vdisk.vmid": guest.id, "vdisk.size": 1})):
        job = cloud.tenant.follow(cloud.tenant.ok(op, params).startid, SLOW)
        assert job.result == "1" and "is it mounted?" in job.info, job
    assert os.listdir(place.path) == []
    assert cloud.tenant.show(guest.id)["vm.undo.startid"] == job["startid"], "what it made may lie there"
    place.box.run("mount", "--bind", str(keep), place.path)
    place.box.run("umount", str(keep))
    until(lambda: not cloud.tenant.show(guest.id)["vm.undo.startid"], "the undo is finished")
    cloud.act("start", guest)
    guest.wait_agent()
    delete_disk(cloud, disk)
    assert place.names() == []


def refused(cloud, location, kind="dir"):
    cloud.server.expect(REFUSED)
    return cloud.admin.refused("POST cloudstorage/add", {"storage.name": "x", "storage.type": kind,
                                                         "storage.location": location}, "STORAGE")


def test_what_is_no_directory(cloud, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for name in ("file", "link", "link/below", "missing/below", "file/below"):
        refused(cloud, f"{tmp_path}/{name}")
    assert sorted(os.listdir(tmp_path)) == ["file", "link", "real"] and not os.listdir(tmp_path / "real")
    made = cloud.admin.ok("POST cloudstorage/add", {"storage.name": "x", "storage.type": "dir",
                                                    "storage.location": f"{tmp_path}/new"}).data["storage.id"]
    assert os.stat(tmp_path / "new").st_mode & 0o777 == 0o711
    cloud.admin.ok("DELETE cloudstorage/{storageId}", {"storageId": made})
    assert not os.path.exists(tmp_path / "new")


def libvirt_holds(cloud):
    return cloud.sandbox.virsh("pool-list", "--all", "--name").split() + \
        cloud.sandbox.virsh("secret-list").split()


def test_an_export_that_cannot_be_mounted(cloud):
    """All that this kernel can be asked: it has no NFS."""
    refused(cloud, "127.0.0.1:/export", "nfs")
    assert libvirt_holds(cloud) == []
    assert not [name for name in os.listdir(cloud.server.data + "/images") if name.endswith(".nfs")]


# -------------------------------------------------------------------------------------------------------- Ceph
BACKEND = "libvirt/storage-backend/libvirt_storage_backend_rbd.so"


def why_no_ceph():
    for tool in ("ceph-mon", "ceph-mgr", "ceph-osd", "rbd"):
        if not shutil.which(tool):
            return f"{tool} is missing and could not be installed: scripts/install-packages ceph"
    found = subprocess.run(["dpkg-query", "-L", "libvirt-daemon-driver-storage-rbd"], capture_output=True, text=True)
    return None if BACKEND in found.stdout else "libvirt-daemon-driver-storage-rbd is missing"


class Ceph:
    def __init__(self, sandbox, folder):
        self.box, self.folder = sandbox, str(folder / "ceph")
        self.log = str(folder / "log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*sandbox.enter, os.path.join(ROOT, "scripts", "ceph-sandbox"), "--here", self.folder],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        ready = self.folder + "/ready"
        until(lambda: os.path.exists(ready) or self.process.poll() is not None, "the Ceph is there")
        assert self.process.poll() is None, open(self.log).read()
        with open(ready) as f:
            self.how = json.load(f)

    def params(self, **more):
        return {"storage.name": unique("ceph"), "storage.type": "ceph", "storage.location": "ceph/" + self.how["pool"],
                "storage.ceph.monitorip": self.how["monitor"], "storage.ceph.poolname": self.how["pool"],
                "storage.ceph.user": self.how["user"], "storage.ceph.key": self.how["key"], **more}

    def rbd(self, *argv):
        """As its administrator."""
        return self.box.run("rbd", "-c", self.how["conf"], "-p", self.how["pool"], *argv)

    def close(self):
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def ceph(sandbox, tmp_path_factory):
    reason = why_no_ceph()
    if reason:
        pytest.skip(reason)
    made = Ceph(sandbox, tmp_path_factory.mktemp("ceph"))
    yield made
    made.close()


@pytest.fixture
def storage(cloud, ceph):
    found = cloud.admin.ok("POST cloudstorage/add", ceph.params()).data["storage.id"]
    yield found
    cloud.admin.ok("DELETE cloudstorage/{storageId}", {"storageId": found})
    assert libvirt_holds(cloud) == []
    assert ceph.how["key"] not in cloud.server.log()


def test_a_disk_for_a_cluster(cloud, ceph, storage, tmp_path):
    """What create/pv returns is all that a client of Ceph needs."""
    row = next(row for row in storages(cloud.server) if row["storage.id"] == storage)
    assert row["storage.type"] == "CEPH" and int(row["storage.size"]) in (3, 4), row
    owner = cloud.admin.tenant(storage=10)
    (found,) = cloud.admin.ok("POST cloudvm/vdisk/create/pv", {
        "vdisk.name": "pv", "vdisk.size": 1, "vdisk.storageid": storage, "vdisk.use.type": "volume",
        "tenant.id": owner.id}).data
    disk = found["vdisk.id"]
    keyfile = tmp_path / "key"
    keyfile.write_text(found["ceph.key"])

    def mine(*argv):
        return cloud.sandbox.run("rbd", "-c", "/dev/null", "-m", found["ceph.monitor"], "--id", found["ceph.user"],
                                 "--keyfile", str(keyfile), "-p", found["ceph.poolname"], *argv)

    assert json.loads(mine("info", disk, "--format", "json"))["size"] == GIB
    mine("bench", "--io-type", "write", "--io-size", "4K", "--io-total", "256K", disk)
    owner.run("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 2}, SLOW)
    assert json.loads(mine("info", disk, "--format", "json"))["size"] == 2 * GIB
    # libvirtd forgets its secrets with its end
    cloud.sandbox.stop_libvirtd()
    cloud.sandbox.start_libvirtd()
    cloud.server.restart()
    cloud.server.wait_connected()
    owner.run("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 3}, SLOW)
    assert json.loads(mine("info", disk, "--format", "json"))["size"] == 3 * GIB
    assert owner.usable()["storage"] == 7
    cloud.admin.refused("DELETE cloudstorage/{storageId}", {"storageId": storage}, "STORAGE_IN_USE")
    owner.run("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disk}, SLOW)
    assert ceph.rbd("ls") == "" and owner.usable()["storage"] == 10


@pytest.mark.parametrize("point", ["disk.pv:volume:before", "disk.pv:volume:after", "disk.pv:end:before"])
def test_a_crash_while_it_is_made(cloud, ceph, storage, point):
    server = cloud.server
    server.stop()
    server.crash_point = point
    server.start().wait_connected()
    with pytest.raises((OSError, http.client.HTTPException)):
        cloud.admin.ok("POST cloudvm/vdisk/create/pv", {"vdisk.name": "pv", "vdisk.size": 1,
                                                        "vdisk.storageid": storage})
    server.crashed()
    server.crash_point = None
    server.start().wait_connected()
    job = cloud.admin.follow(cloud.admin.ok("POST joblog/search").data[-1]["startid"], SLOW)
    assert job.result == "0", job.lines
    assert ceph.rbd("ls").split() == [job["job.objid"]]
    cloud.admin.run("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": job["job.objid"]}, SLOW)
    assert ceph.rbd("ls") == ""


@pytest.mark.parametrize("change", [{"storage.ceph.key": "AQBkYWtleWFueWtleWFueWtleWFueQ=="},
                                    {"storage.ceph.poolname": "none"}], ids=["key", "pool"])
def test_who_may_not(cloud, ceph, change):
    cloud.server.expect(REFUSED)
    before = cloud.server.secrets()
    reply = cloud.admin.refused("POST cloudstorage/add", ceph.params(**change), "STORAGE")
    assert ceph.how["key"] not in str(reply) and libvirt_holds(cloud) == []
    assert cloud.server.secrets() == before
