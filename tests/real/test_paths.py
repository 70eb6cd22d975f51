"""A server that was given relative paths: QEMU and libvirtd, which have working directories of their own, find all."""
import os

import pytest
from conftest import Cloud
from sandbox import SLOW
from test_devices import read, write


class Elsewhere(Cloud):
    """Started in a folder, told only of what lies in it."""

    def __init__(self, folder, box, image):
        self.folder = folder
        super().__init__(folder, box, image, ["--data", "./data", "--backup.dir", "all backups"])

    def make_server(self, data, options):
        made = super().make_server(data, options)
        made.prefix = [*made.prefix, "env", "-C", str(self.folder)]
        return made


@pytest.fixture
def cloud(tmp_path_factory, sandbox, image):
    made = Elsewhere(tmp_path_factory.mktemp("real"), sandbox, image)
    try:
        yield made
        made.empty()
        complaints = made.server.finish()
        assert not complaints, "\n".join(complaints)
    except BaseException:
        made.discard()
        raise
    made.server.erase()


def test_a_running_guest_is_backed_up_and_copied(cloud):
    guest = cloud.guest(**{"vm.vdisk.num": 1, "vm.vdisk.size": 1})
    write(guest, "vdb", "then", 5)
    reply = cloud.tenant.ok("POST cloudvm/backup/create", {"backup.vmid": guest.id, "backup.name": "one"})
    cloud.tenant.done(reply.startid, SLOW)
    assert os.listdir(cloud.folder / "all backups" / reply.data["backup.id"])
    made = cloud.tenant.ok("POST cloudtemplate/create", {"vm.id": guest.id, "template.name": "of it"})
    cloud.tenant.done(made.startid, SLOW)
    write(guest, "vdb", "now!", 5)
    cloud.tenant.run("PUT cloudvm/backup/restore", {"backup.id": reply.data["backup.id"]}, SLOW)
    assert read(guest.ready(), "vdb", 5, 4) == "then"
    cloud.delete(guest)
    cloud.tenant.run("DELETE cloudtemplate/{templateId}", {"templateId": made.data["template.id"]}, SLOW)
