"""Templates: in by path and by upload, through the image gate (threats 1-7), and out when nothing uses them."""
import hashlib
import os
import shutil
import socket
import struct
import subprocess

import pytest
from starvirt import BASE, wait_until

IMPORT, UPLOAD, SEARCH, DELETE = ("POST cloudtemplate/import", "POST cloudtemplate/upload", "POST cloudtemplate/search",
                                  "DELETE cloudtemplate/{templateId}")
QEMU_IMG = shutil.which("qemu-img")
needs_qemu_img = pytest.mark.skipif(not QEMU_IMG, reason="no qemu-img")
MIB = 1 << 20


def qemu_img(*argv):
    subprocess.run([QEMU_IMG, *argv], check=True, capture_output=True)


def qcow2_bytes(version=3, backing=b"", incompatible=0, crypt=0, size=MIB, extensions=b"", cluster_bits=16):
    """A header as small as the format allows; enough to be judged, never to be started."""
    body = struct.pack(">8sII", b"\0" * 8, 0, 0)  # end of extensions, padding
    offset = 104 + len(extensions) + len(body) if backing else 0
    head = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", version, offset, len(backing), cluster_bits, size, crypt, 1,
                       3 << 16, 1 << 16, 1, 0, 0)
    head += struct.pack(">QQQII", incompatible, 0, 0, 4, 104)
    data = head + extensions + body + backing
    return data + bytes((4 << 16) - len(data))


def extension(kind, data):
    return struct.pack(">II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


VMDK_TEXT = b"""# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="%s"
RW 2048 %s "%s" 0
"""
EVIL = {  # what the file is, and a word of the refusal
    "qcow2-backing": (qcow2_bytes(backing=b"/etc/passwd"), "backing"),
    "qcow2-backing-format": (qcow2_bytes(extensions=extension(0xE2792ACA, b"raw")), "backing"),
    "qcow2-data-file": (qcow2_bytes(incompatible=4, extensions=extension(0x44415441, b"/etc/passwd")), "another file"),
    "qcow2-data-file-name": (qcow2_bytes(extensions=extension(0x44415441, b"/etc/passwd")), "external data file"),
    "qcow2-corrupt": (qcow2_bytes(incompatible=2), "corrupt"),
    "qcow2-unknown-bits": (qcow2_bytes(incompatible=1 << 40), "unknown incompatible"),
    "qcow2-aes": (qcow2_bytes(crypt=1), "encrypted"),
    "qcow2-luks": (qcow2_bytes(crypt=2), "encrypted"),
    "qcow2-huge": (qcow2_bytes(size=5 << 40), "4 TiB"),
    "qcow2-largest": (qcow2_bytes(size=(1 << 64) - 1), "4 TiB"),
    "qcow2-empty": (qcow2_bytes(size=0), "zero"),
    "qcow2-clusters": (qcow2_bytes(cluster_bits=63), "absurd"),
    "qcow2-version": (qcow2_bytes(version=9), "version"),
    "qcow2-cut": (qcow2_bytes()[:80], "cut off"),
    "vmdk-flat": (VMDK_TEXT % (b"monolithicFlat", b"FLAT", b"/etc/passwd"), ""),
    "vmdk-device": (VMDK_TEXT % (b"fullDevice", b"FLAT", b"/dev/sda"), ""),
    "vmdk-vmfs": (VMDK_TEXT % (b"vmfs", b"VMFS", b"x.vmdk"), ""),
    "vhd": (b"\0" * 1024 + b"conectix" + b"\0" * 504, "VHD"),
    "gzip": (b"\x1f\x8b\x08" + b"\0" * 1000, ""),
    "luks": (b"LUKS\xba\xbe\0\1" + b"\0" * 1000, ""),
    "nothing": (b"", ""),
}


def put(tmp_path, data, name="image"):
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


def imported(client, path, **more):
    reply = client.ok(IMPORT, {"template.name": "t", "template.path": path, **more})
    return reply.data["template.id"], client.follow(reply.startid)


def row_of(client, template):
    rows = client.ok(SEARCH, {"template.id": template}).data
    return rows[0] if rows else None


def upload(client, data, **query):
    return client.ok(UPLOAD, query={"name": "up", **query}, body=data, type="application/octet-stream")


def uploads(server):
    return os.listdir(os.path.join(server.data, "upload"))


# ------------------------------------------------------------------------------------------------- the good
def test_an_import_by_path(admin, tmp_path):
    data = os.urandom(MIB)
    data = b"\0" + data[1:]
    template, job = imported(admin, put(tmp_path, data), **{
        "template.format": "raw", "template.os": "Debian 12", "template.desc": "d",
        "template.md5": hashlib.md5(data).hexdigest().upper()})
    assert job.result == "0", job.info
    row = row_of(admin, template)
    assert row.pop("template.createtime")
    assert row == {"template.id": template, "template.name": "t", "template.desc": "d", "template.os": "Debian 12",
                   "template.format": "raw", "template.size": str(MIB), "template.state": "ready",
                   "template.md5": hashlib.md5(data).hexdigest()}
    assert hashlib.sha256(data).hexdigest() in " ".join(job.lines)
    admin.run(DELETE, {"templateId": template})
    assert row_of(admin, template) is None
    admin.refused(DELETE, {"templateId": template}, "TEMPLATE_NOT_FOUND", "templateId")
    assert os.path.exists(tmp_path / "image"), "the original is its owner's"


@needs_qemu_img
@pytest.mark.parametrize("format,options", [("qcow2", []), ("qcow2", ["-o", "compat=0.10"]), ("vmdk", []),
                                            ("vmdk", ["-o", "subformat=streamOptimized"]), ("raw", [])])
@pytest.mark.parametrize("named", [True, False])
def test_formats(admin, tmp_path, format, options, named):
    path = str(tmp_path / "image")
    qemu_img("create", "-f", "raw", path + ".raw", "64M")
    qemu_img("convert", "-f", "raw", "-O", format, *options, path + ".raw", path)
    template, job = imported(admin, path, **({"template.format": format} if named else {}))
    assert job.result == "0", job.info
    assert row_of(admin, template)["template.size"] == str(64 * MIB)
    admin.run(DELETE, {"templateId": template})


def test_a_tenants_upload(cloud, tenant):
    reply = upload(tenant, bytes(3 * MIB), format="raw", name="名称 1")
    template = reply.data["template.id"]
    assert tenant.done(reply.startid)["job.objid"] == template
    row = row_of(tenant, template)
    assert (row["template.name"], row["template.state"], row["template.size"]) == ("名称 1", "ready", str(3 * MIB))
    assert uploads(cloud) == [], "what was uploaded is used up"
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_template_id=template)
    assert "1" in tenant.refused(DELETE, {"templateId": template}, "TEMPLATE_IN_USE", "templateId").text
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    tenant.run(DELETE, {"templateId": template})


def test_a_disk_is_no_smaller_than_its_template(admin, tmp_path):
    path = put(tmp_path, qcow2_bytes(size=5 << 30))
    tenant = admin.tenant(storage=100, cpu=9, memory=9999, portgroup=1)
    template, job = imported(admin, path)
    assert job.result == "0", job.info
    tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=admin.model(template=template, size=2))
    assert tenant.usable()["storage"] == 95


# ------------------------------------------------------------------------------------------------- the evil
@pytest.mark.parametrize("kind", EVIL)
@pytest.mark.parametrize("named", [True, False])
def test_evil_images_are_refused(cloud, tenant, kind, named):
    data, word = EVIL[kind]
    format = {"format": kind.split("-")[0]} if named and "-" in kind else {"format": "raw"} if named else {}
    if kind.startswith("vmdk") and not named:
        format = {"format": "vmdk"}  # its text is nothing else that is known: raw bytes, which is harmless
    reply = upload(tenant, data, **format)
    job = tenant.follow(reply.startid)
    assert job.result == "1" and word in job.info, job
    assert "/etc/passwd" not in str(job) and "root:" not in str(job) and cloud.data not in str(job)
    row = row_of(tenant, reply.data["template.id"])
    assert row["template.state"] == "failed"
    tenant.refused("POST cloudvm/create", {"vnic.portgroupid": tenant.vpc(), "vm.template.id": row["template.id"],
                                           "vm.vcpu.num": 1, "vm.memory.mem": 64}, "TEMPLATE_STATE", "vm.template.id")
    assert uploads(cloud) == []
    tenant.run(DELETE, {"templateId": row["template.id"]})


@needs_qemu_img
@pytest.mark.parametrize("options", [
    ["-b", "/etc/passwd", "-F", "raw"], ["-o", "data_file={dir}/data,data_file_raw=on"]], ids=["backing", "data-file"])
def test_evil_images_as_the_tool_makes_them(admin, tmp_path, options):
    path = str(tmp_path / "image")
    qemu_img("create", "-f", "qcow2", *[o.format(dir=tmp_path) for o in options], path, "1M")
    template, job = imported(admin, path)
    assert job.result == "1" and "refused" in job.info
    assert row_of(admin, template)["template.state"] == "failed"
    admin.run(DELETE, {"templateId": template})


@pytest.mark.parametrize("said,data", [("raw", qcow2_bytes()), ("qcow2", bytes(MIB)), ("vmdk", qcow2_bytes())])
def test_what_is_named_otherwise_than_it_is(tenant, said, data):
    job = tenant.follow(upload(tenant, data, format=said).startid)
    assert job.result == "1" and f"named {said}" in job.info


@pytest.mark.parametrize("md5,code", [("0" * 32, None), ("x" * 32, "PARAM_FORMAT"), ("0" * 31, "PARAM_FORMAT")])
def test_a_wrong_checksum(admin, raw_image, md5, code):
    params = {"template.name": "t", "template.path": raw_image, "template.md5": md5}
    if code:
        admin.refused(IMPORT, params, code, "template.md5")
        return
    job = admin.follow(admin.ok(IMPORT, params).startid)
    assert job.result == "1" and "checksum" in job.info


# ------------------------------------------------------------------------------------------------- paths
def test_paths_that_cannot_be(admin, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in ("relative", "", "/nonexistent/x", str(tmp_path), str(tmp_path / "fifo"), "/dev/null", "/dev/zero",
                 "/" + "a" * 300, "-f", "/etc/\u202epasswd"):
        code = "PARAM_MISSING" if not path else "TEMPLATE_PATH"
        admin.refused(IMPORT, {"template.name": "t", "template.path": path}, code, "template.path")
    assert "template.url" in admin.refused(IMPORT, {"template.name": "t", "template.url": "http://127.0.0.1/x"},
                                           "UNSUPPORTED").text


def test_imports_stay_below_their_directories(server, tmp_path, raw_image):
    inside, outside = tmp_path / "in", tmp_path / "in-not"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "image").write_bytes(bytes(MIB))
    (inside / "link").symlink_to(outside / "image")
    (inside / "up").symlink_to(tmp_path)
    one = server(options=["--import.dirs", f"/nonexistent,{inside}/"])
    one.admin.template(str(inside / "image"))
    one.admin.template(str(inside / ".." / "in" / "image"))
    for path in (outside / "image", inside / "link", inside / "up" / "in-not" / "image", f"{inside}/../in-not/image",
                 raw_image):
        text = one.admin.refused(IMPORT, {"template.name": "t", "template.path": str(path)}, "TEMPLATE_PATH",
                                 "template.path").text
        assert "outside" in text


def test_a_file_that_went_meanwhile(server, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(bytes(MIB))
    one = server(connect="sim://?control=1")
    one.control("hang=1")
    reply = one.admin.ok(IMPORT, {"template.name": "t", "template.path": str(path)})
    one.admin.wait_line(reply.startid, "import the image")
    path.unlink()
    one.control("hang=0")
    job = one.admin.follow(reply.startid)
    assert job.result in ("0", "1")  # read before or not; never half
    state = row_of(one.admin, reply.data["template.id"])["template.state"]
    assert state == ("ready" if job.result == "0" else "failed")


# ------------------------------------------------------------------------------------------------- uploads
def test_uploads_need_a_name_and_a_token_first(cloud, tenant):
    body = {"body": b"x" * 10 * MIB, "type": "application/octet-stream"}
    tenant.refused(UPLOAD, code="PARAM_MISSING", field="name", **body)
    tenant.refused(UPLOAD, code="PARAM_ENUM", field="format", query={"name": "x", "format": "iso"}, **body)
    tenant.refused(UPLOAD, code="TOKEN_INVALID", query={"name": "x"}, token="0" * 64, **body)
    assert uploads(cloud) == [] and tenant.ok(SEARCH, {"template.name": "x"}).count == 0


def test_an_upload_that_breaks_off_leaves_nothing(cloud, tenant):
    head = (f"POST {BASE}cloudtemplate/upload?name=broken HTTP/1.1\r\nHost: x\r\nKEY_TOKEN: {tenant.token}\r\n"
            f"Content-Length: {50 * MIB}\r\n\r\n").encode()
    with cloud.socket() as s:
        s.sendall(head + bytes(3 * MIB))
        wait_until(lambda: uploads(cloud), "the upload began")
        s.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: not uploads(cloud), "what was left of it is gone", 90)
    assert tenant.ok(SEARCH, {"template.name": "broken"}).count == 0


def test_an_upload_begun_before_a_crash_is_cleared_away(server):
    one = server()
    head = (f"POST {BASE}cloudtemplate/upload?name=broken HTTP/1.1\r\nHost: x\r\nKEY_TOKEN: {one.admin.token}\r\n"
            f"Content-Length: {50 * MIB}\r\n\r\n").encode()
    with one.socket() as s:
        s.sendall(head + bytes(3 * MIB))
        wait_until(lambda: uploads(one), "the upload began")
        one.kill()
    assert uploads(one)
    one.start()
    assert uploads(one) == []


def test_search(admin, tenant, template):
    mine = upload(tenant, bytes(MIB), name="a%b_c").data["template.id"]
    tenant.follow(tenant.ok("POST joblog/search", {"job.objid": mine}).data[0]["startid"])
    assert [row["template.id"] for row in tenant.ok(SEARCH, {"template.name": "%b_"}).data] == [mine]
    assert tenant.ok(SEARCH, {"template.name": "a_b"}).count == 0
    assert tenant.ok(SEARCH, {"template.id": "x"}).count == 0
    both = [row["template.id"] for row in tenant.ok(SEARCH).data]
    assert mine in both and template in both
    assert admin.ok(SEARCH, {"template.id": mine}).count == 1
