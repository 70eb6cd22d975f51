"""Images that would have the host read, write or spend what is not theirs (threats 1, 2, 3, 5). The gate looks at
headers by itself; what is behind it, tests/unit/test_image.c and test_image_convert.c try on it directly."""
import struct

import pytest
from images import (DELETE, MIB, UPLOAD, extension, imported, needs_qemu_img, put, qcow2_bytes, qemu_img, row_of, upload,
                    uploads)
from starvirt import wait_until

VMDK_TEXT = b"""# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="%s"
RW 2048 %s "%s" 0
"""


def vmdk_bytes(extent=b'RW 2048 SPARSE "x.vmdk"', kind=b"monolithicSparse", more=b"", at=None, capacity=2048,
               parent=b"ffffffff"):
    """A sparse VMDK with its descriptor inside; `at`: puts `more` past the descriptor's end."""
    head = struct.pack("<4sIIQQQQIQQQB4sH", b"KDMV", 1, 3, capacity, 128, 1, 20 if at is None else 1, 512, 0, 21, 128,
                       0, b"\n \r\n", 0).ljust(512, b"\0")
    text = b"# Disk DescriptorFile\nversion=1\nCID=fffffffe\n"
    text += b'parentCID=%s\ncreateType="%s"\n%s\n' % (parent, kind, extent)
    text += more if at is None else b""
    data = (head + text).ljust(128 * 512, b"\0")
    return data if at is None else data[:at] + more + data[at + len(more):]


def luks_bytes():
    """A LUKS1 image of 1 MiB with one key. The tool makes none reliably: it measures how fast it derives keys, and gives
    up where the clock of its CPU time is coarse."""
    slots = b"".join(struct.pack(">II32sII", 0x00AC71F3 if i == 0 else 0x0000DEAD, 1000, b"salt", 8 + i * 504, 4000)
                     for i in range(8))
    head = struct.pack(">6sH32s32s32sII20s32sI40s", b"LUKS\xba\xbe", 1, b"aes", b"xts-plain64", b"sha256", 4096, 64,
                       b"digest", b"salt", 1000, b"6d1a3ff6-4b4c-4bd2-9a0c-3c9f0d4b2a10") + slots
    return head.ljust((4096 << 9) + MIB, b"\0")


EVIL = {  # what the file is, and a word of the refusal
    # 1: a data file elsewhere; bits nobody knows
    "qcow2-data-file": (qcow2_bytes(incompatible=4, extensions=extension(0x44415441, b"/etc/passwd")), "another file"),
    "qcow2-data-file-name": (qcow2_bytes(extensions=extension(0x44415441, b"/etc/passwd")), "external data file"),
    "qcow2-corrupt": (qcow2_bytes(incompatible=2), "corrupt"),
    "qcow2-unknown-bits": (qcow2_bytes(incompatible=1 << 40), "unknown incompatible"),
    "qcow2-aes": (qcow2_bytes(crypt=1), "encrypted"),
    "qcow2-luks": (qcow2_bytes(crypt=2), "encrypted"),
    # 2: a backing file or a parent
    "qcow2-backing": (qcow2_bytes(backing=b"/etc/passwd"), "backing"),
    "qcow2-backing-url": (qcow2_bytes(backing=b"nbd://127.0.0.1/x"), "backing"),
    "qcow2-backing-json": (qcow2_bytes(backing=b'json:{"driver":"file","filename":"/etc/passwd"}'), "backing"),
    "qcow2-backing-format": (qcow2_bytes(extensions=extension(0xE2792ACA, b"raw")), "backing"),
    "vmdk-parent": (vmdk_bytes(more=b'parentFileNameHint="/etc/passwd"\n'), "parent file"),
    "vmdk-parent-past-the-end": (vmdk_bytes(more=b'PARENTFILENAMEHINT="/etc/passwd"', at=512 + 4096), "parent file"),
    "vmdk-parent-id": (vmdk_bytes(parent=b"12345678"), "parent"),
    # 3: extents and kinds
    "vmdk-extent-path": (vmdk_bytes(b'RW 2048 SPARSE "/etc/passwd"'), "another file"),
    "vmdk-extent-up": (vmdk_bytes(b'RW 2048 SPARSE "../x.vmdk"'), "another file"),
    "vmdk-extent-flat": (vmdk_bytes(b'RW 2048 FLAT "x" 0'), "another file"),
    "vmdk-extent-two": (vmdk_bytes(b'RW 2048 SPARSE "x"\nRW 2048 FLAT "/etc/passwd" 0'), "another file"),
    "vmdk-no-capacity": (vmdk_bytes(capacity=0), "no capacity"),
    "vmdk-kind": (vmdk_bytes(kind=b"twoGbMaxExtentSparse"), "no other"),
    "vmdk-flat": (VMDK_TEXT % (b"monolithicFlat", b"FLAT", b"/etc/passwd"), ""),
    "vmdk-device": (VMDK_TEXT % (b"fullDevice", b"FLAT", b"/dev/sda"), ""),
    "vmdk-vmfs": (VMDK_TEXT % (b"vmfs", b"VMFS", b"x.vmdk"), ""),
    # 5: more than can be
    "qcow2-huge": (qcow2_bytes(size=5 << 40), "4 TiB"),
    "qcow2-largest": (qcow2_bytes(size=(1 << 64) - 1), "4 TiB"),
    "vmdk-huge": (vmdk_bytes(capacity=1 << 60), "4 TiB"),
    "qcow2-empty": (qcow2_bytes(size=0), "zero"),
    "qcow2-clusters": (qcow2_bytes(cluster_bits=63), "absurd"),
    "qcow2-version": (qcow2_bytes(version=9), "version"),
    "qcow2-cut": (qcow2_bytes()[:80], "cut off"),
    # what is known and not taken
    "vhd": (b"\0" * 1024 + b"conectix" + b"\0" * 504, "VHD"),
    "luks": (b"LUKS\xba\xbe\0\1" + b"\0" * 1000, ""),
    "nothing": (b"", ""),
}


def test_what_the_evil_ones_are_made_from_is_good(tenant):
    for data in (qcow2_bytes(), vmdk_bytes()):
        tenant.done(upload(tenant, data).startid)


def refused(cloud, client, template, job, word):
    assert job.result == "1" and word in job.info, job
    assert "/etc/passwd" not in str(job) and "root:" not in str(job) and cloud.data not in str(job)
    row = row_of(client, template)
    assert row["template.state"] == "failed"
    client.refused("POST cloudvm/create", {"vnic.portgroupid": client.vpc(), "vm.template.id": template,
                                           "vm.vcpu.num": 1, "vm.memory.mem": 64}, "TEMPLATE_STATE", "vm.template.id")
    client.run(DELETE, {"templateId": template})


def format_of(kind, key, named):
    if kind.startswith("vmdk") and not named:
        return {key: "vmdk"}  # a text alone is nothing else that is known: raw bytes, which are harmless
    if not named:
        return {}
    return {key: kind.split("-")[0] if "-" in kind else "raw"}


@pytest.mark.parametrize("named", [True, False], ids=["named", "found"])
@pytest.mark.parametrize("kind", [kind for kind in EVIL if kind != "nothing"])  # the request itself is refused
def test_evil_images_that_tenants_upload(cloud, tenant, kind, named):
    data, word = EVIL[kind]
    reply = upload(tenant, data, **format_of(kind, "format", named))
    refused(cloud, tenant, reply.data["template.id"], tenant.follow(reply.startid), word)
    wait_until(lambda: not uploads(cloud), "the file is gone")


def test_an_upload_of_nothing(cloud, tenant):
    tenant.refused(UPLOAD, code="BAD_REQUEST", query={"name": "x"}, body=b"", type="application/octet-stream")
    assert not uploads(cloud)


@pytest.mark.parametrize("kind", EVIL)
def test_evil_images_that_are_imported_by_path(cloud, admin, tmp_path, kind):
    data, word = EVIL[kind]
    template, job = imported(admin, put(tmp_path, data), **format_of(kind, "template.format", True))
    refused(cloud, admin, template, job, word)


MADE = {"backing": ["-f", "qcow2", "-b", "/etc/passwd", "-F", "raw"],
        "data-file": ["-f", "qcow2", "-o", "data_file={dir}/data,data_file_raw=on"],
        "vmdk-flat": ["-f", "vmdk", "-o", "subformat=monolithicFlat"],
        "vmdk-pieces": ["-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse"],
        "vmdk-parent": ["-f", "vmdk", "-b", "{dir}/base", "-F", "vmdk"],
        "qed": ["-f", "qed"], "vdi": ["-f", "vdi"], "vhdx": ["-f", "vhdx"], "vpc": ["-f", "vpc"]}


@needs_qemu_img
@pytest.mark.parametrize("kind", MADE)
def test_evil_images_as_the_tool_makes_them(admin, tmp_path, kind):
    path = str(tmp_path / "image")
    qemu_img("create", "-f", "vmdk", str(tmp_path / "base"), "1M")
    size = [] if kind == "vmdk-parent" else ["1M"]
    create = ["create", *[option.format(dir=tmp_path) for option in MADE[kind]], path, *size]
    qemu_img(*create)
    refuse(admin, path)


@needs_qemu_img
def test_an_evil_image_that_the_tool_knows(admin, tmp_path):
    path = put(tmp_path, luks_bytes())
    assert b"file format: luks" in qemu_img("info", path)
    refuse(admin, path)


def refuse(admin, path):
    template, job = imported(admin, path)
    assert job.result == "1" and "refused" in job.info, job
    assert row_of(admin, template)["template.state"] == "failed"
    admin.run(DELETE, {"templateId": template})


def test_a_small_file_with_a_large_disk_costs_its_quota(admin, tenant):
    """4 TiB in some hundred KiB is a good image; who starts it pays for what it says (threat 5)."""
    reply = upload(tenant, qcow2_bytes(size=4 << 40))
    tenant.done(reply.startid)
    poor = admin.tenant(storage=100, cpu=9, memory=9999, portgroup=1)
    mine = upload(poor, qcow2_bytes(size=4 << 40))
    poor.done(mine.startid)
    poor.refused("POST cloudvm/create", {"vnic.portgroupid": poor.vpc(), "vm.template.id": mine.data["template.id"],
                                         "vm.vcpu.num": 1, "vm.memory.mem": 64}, "QUOTA_STORAGE")
    assert int(poor.usable()["storage"]) == 100
