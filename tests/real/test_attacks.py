"""What a real guest may try with its disks, and what deletion leaves of them (threats 4, 9, 10)."""
import concurrent.futures
import hashlib
import os
import struct

import pytest
from agree import virtual_size
from sandbox import SLOW, until

CALLS = "/run/qemu-img-calls"
WRAPPER = f"""#!/bin/sh
echo "$*" >>{CALLS}
exec {{tool}} "$@"
"""


def disks(cloud, vm):
    rows = cloud.tenant.ok("POST cloudvm/vdisk/search", {"vdisk.vmid": vm}).data
    return {row["vdisk.devname"]: row for row in rows}


def add_disk(cloud, guest, size=1):
    reply = cloud.tenant.ok("POST cloudvm/vdisk/add", {"vdisk.vmid": guest.id, "vdisk.size": size})
    cloud.tenant.done(reply.startid, SLOW)
    name = reply.data["vdisk.devname"]
    until(lambda: guest.exec(f"test -b /dev/{name}")[0] == 0, f"the guest sees {name}")
    return reply.data["vdisk.id"], name


def delete_disk(cloud, disk):
    cloud.tenant.run("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disk}, SLOW)


@pytest.fixture
def guest(cloud):
    """One guest for all tests here; each leaves it running, with its first disk only."""
    if not hasattr(cloud, "lone"):
        cloud.lone = cloud.guest()
    return cloud.lone


def header(backing):
    """The qcow2 header of an image of a PiB on top of a file of the host."""
    head = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 3, 112, len(backing), 16, 1 << 50, 0, 1, 3 << 16, 1 << 16, 1, 0,
                       0)
    return head + struct.pack(">QQQIIII", 0, 0, 0, 4, 104, 0, 0) + backing.encode()


@pytest.fixture
def calls(sandbox):
    """What qemu-img was called with, inside, while the test ran."""
    tool = sandbox.run("sh", "-c", "command -v qemu-img").strip()
    sandbox.run("sh", "-c", f"mkdir -p /run/tool && cp {tool} /run/tool/real && cat >/run/tool/qemu-img <<'END'\n" +
                WRAPPER.format(tool="/run/tool/real") + "END\n" + f"chmod 755 /run/tool/qemu-img; : >{CALLS}; "
                f"mount --bind /run/tool/qemu-img {tool}")
    yield lambda: sandbox.run("cat", CALLS).splitlines()
    sandbox.run("umount", tool)


def test_a_header_in_a_disk_is_only_data(cloud, guest, calls):
    """Threat 4. What follows it - growth, hot and cold, a stop, a start, copies - sees a disk with these bytes."""
    disk, name = add_disk(cloud, guest)
    wrote = header("/etc/shadow")
    text = "".join(f"\\{byte:03o}" for byte in wrote)
    guest.sh(f"printf '{text}' | dd of=/dev/{name} bs=512 conv=notrunc,fsync")
    path = os.path.join(cloud.server.data, "images", disk + ".qcow2")

    def same(size):
        assert guest.sh(f"head -c {len(wrote)} /dev/{name} | sha256sum | cut -c1-64") == guest.sh(
            f"printf '{text}' | sha256sum | cut -c1-64")
        assert int(guest.sh(f"cat /sys/block/{name}/size")) == size << 21
        assert virtual_size(path) == size << 30
        chain = cloud.sandbox.json("/run/tool/real", "info", "-U", "--backing-chain", "--output=json", "-f", "qcow2",
                                   path)
        assert len(chain) == 1 and chain[0]["format"] == "qcow2"
        xml = [cloud.sandbox.definition(guest.id), cloud.sandbox.definition(guest.id, "--inactive")]
        assert {driver.get("type") for one in xml for driver in one.findall("devices/disk/driver")} == {"qcow2"}
        assert not any("shadow" in (source.get("file") or "") for one in xml
                       for source in one.findall("devices/disk//source"))

    same(1)
    grow = {"vdisk.id": disk, "vdisk.size": 2}
    cloud.tenant.run("PUT cloudvm/vdisk/extend", grow, SLOW)
    until(lambda: int(guest.sh(f"cat /sys/block/{name}/size")) == 2 << 21, "the guest sees the growth")
    same(2)
    for what in ("snapshot", "backup"):
        made = cloud.tenant.ok(f"POST cloudvm/{what}/create", {f"{what}.vmid": guest.id, f"{what}.name": "x"})
        cloud.tenant.done(made.startid, SLOW)
        same(2)
        cloud.act("destroy", guest)
        cloud.tenant.run(f"PUT cloudvm/{what}/restore", {f"{what}.id": made.data[f"{what}.id"]}, SLOW)
        cloud.act("start", guest)
        guest.wait_agent()
        same(2)
        cloud.tenant.ok(f"DELETE cloudvm/{what}/{{{what}Id}}", {f"{what}Id": made.data[f"{what}.id"]})
    cloud.act("destroy", guest)
    cloud.tenant.run("PUT cloudvm/vdisk/extend", {**grow, "vdisk.size": 3}, SLOW)
    cloud.act("start", guest)
    guest.wait_agent()
    same(3)
    delete_disk(cloud, disk)
    seen = calls()
    assert seen, "the wrapper was used"
    for call in seen:
        assert " -f " in call or "driver=qcow2" in call, f"qemu-img {call} names no format"


MIB = 1 << 20
PART = 8  # [MiB] read at once; a guest is slow at it


def blank(cloud, guest, name, disk, begin):
    """From this MiB on: nothing in the file, and zeroes where the guest reads."""
    path = os.path.join(cloud.server.data, "images", disk + ".qcow2")
    for piece in cloud.sandbox.json("qemu-img", "map", "-U", "--output=json", "-f", "qcow2", path):
        if piece["start"] + piece["length"] > begin * MIB:
            assert piece["zero"] and not piece["data"], piece
    end = int(guest.sh(f"cat /sys/block/{name}/size")) // 2048
    for at in (begin, end - PART):
        read = guest.sh(f"dd if=/dev/{name} bs=1M skip={at} count={PART} 2>/dev/null | md5sum | cut -c1-32")
        assert read == hashlib.md5(bytes(PART * MIB)).hexdigest()


def write_canaries(guest, name):
    """At both ends, as far as blank() looks."""
    for at in (0, 1024 - PART):
        guest.sh(f"yes canary-of-a-tenant | dd of=/dev/{name} bs=1M seek={at} count={PART} iflag=fullblock "
                 "conv=notrunc,fsync 2>/dev/null")
    assert guest.sh(f"head -c 6 /dev/{name}") == "canary"


def test_a_new_disk_holds_nothing_of_an_old_one(cloud, guest):
    """Threat 9: written, deleted, made anew of the same size: zeroes."""
    for _ in range(2):
        disk, name = add_disk(cloud, guest)
        blank(cloud, guest, name, disk, 0)
        write_canaries(guest, name)
        delete_disk(cloud, disk)


def test_a_grown_part_holds_nothing(cloud, guest):
    """What a disk gains is zeroes, too."""
    disk, name = add_disk(cloud, guest)
    write_canaries(guest, name)
    cloud.tenant.run("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 2}, SLOW)
    until(lambda: int(guest.sh(f"cat /sys/block/{name}/size")) == 2 << 21, "the guest sees the growth")
    blank(cloud, guest, name, disk, 1024)
    delete_disk(cloud, disk)


def test_deletion_against_everything(cloud):
    """Threat 10: guests deleted at the moment they are changed; not a file, not a domain is left."""
    vpc = cloud.tenant.vpc()
    guests = cloud.guests(vpc, 4, wait=False)
    extra = {}
    for one in guests[:2]:
        reply = cloud.tenant.ok("POST cloudvm/vdisk/add", {"vdisk.vmid": one.id, "vdisk.size": 1})
        cloud.tenant.done(reply.startid, SLOW)
        extra[one.id] = reply.data["vdisk.id"]
    tenant, work = cloud.tenant, []
    for one in guests:
        work += [("DELETE cloudvm/{vmId}", {"vmId": one.id}),
                 ("POST cloudvm/snapshot/create", {"snapshot.vmid": one.id, "snapshot.name": "x"}),
                 ("POST cloudvm/backup/create", {"backup.vmid": one.id, "backup.name": "x"}),
                 ("POST cloudvm/vdisk/add", {"vdisk.vmid": one.id, "vdisk.size": 1}),
                 ("PUT cloudvm/destroy", {"vm.id": one.id})]
        if one.id in extra:
            work.insert(0, ("PUT cloudvm/vdisk/extend", {"vdisk.id": extra[one.id], "vdisk.size": 2}))
    with concurrent.futures.ThreadPoolExecutor(len(work)) as pool:
        replies = list(pool.map(lambda row: tenant.call(*row), work))
    for reply in replies:
        if reply.ok and reply.body.get("startid"):
            tenant.follow(reply.startid, SLOW)
    for one in guests:
        kept = tenant.call("GET cloudvm/backup/{vmId}", {"vmId": one.id})  # they outlive their VM
        for row in kept.data if kept.ok else ():
            tenant.ok("DELETE cloudvm/backup/{backupId}", {"backupId": row["backup.id"]})
        if tenant.call("GET cloudvm/{vmId}", {"vmId": one.id}).ok:
            cloud.delete(one)
    assert not {one.id for one in guests} & set(cloud.sandbox.domains())
    cloud.agrees()  # each file and each device is somebody's
