"""Templates: in by path and by upload, and out when nothing uses them; what must not get in: tests/security."""
import bz2
import gzip
import hashlib
import io
import lzma
import os
import random
import socket
import struct
import tarfile
import zipfile

import pytest
from images import (DELETE, IMPORT, MIB, SEARCH, UPLOAD, imported, needs_qemu_img, no_uploads, put, qcow2_bytes, qemu_img,
                    row_of, upload, uploads)
from starvirt import BASE, Client, wait_until


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
                   "template.md5": hashlib.md5(data).hexdigest(), "template.error": ""}
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
    no_uploads(cloud)
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


# ------------------------------------------------------------------------------------------------- not whole
def disk_bytes(size=MIB):
    """A disk with a partition to its end, and data all over it."""
    mbr = bytes(446) + struct.pack("<B3sB3sII", 0x80, b"", 0x83, b"", 1, size // 512 - 1) + bytes(48) + b"\x55\xaa"
    return mbr + random.Random(size).randbytes(size - 512)


def open_discards(server):
    rows = server.admin.ok("POST joblog/search", {}).data
    return [row for row in rows if row["job.name"] == "discard an upload" and row["job.result"] != "0"]


def failed(client, template, job, *words):
    assert job.result == "1", job
    for word in ("refused", *words):
        assert word in job.info, job.info
    row = row_of(client, template)
    assert (row["template.state"], row["template.error"]) == ("failed", job.info)
    wait_until(lambda: not open_discards(client.server), "what was uploaded is discarded")


MAKES = {"qcow2": [], "qcow2-v2": ["-o", "compat=0.10"], "qcow2-packed": ["-c"],
         "qcow2-zstd": ["-c", "-o", "compression_type=zstd"], "qcow2-subclusters": ["-o", "extended_l2=on"], "vmdk": [],
         "vmdk-stream": ["-o", "subformat=streamOptimized"], "raw": []}


@needs_qemu_img
@pytest.mark.parametrize("kind", MAKES)
def test_an_image_cut_short(admin, tenant, tmp_path, kind):
    """Each format in each option: tests/unit/test_image_gate.c; here the ways in."""
    path, disk = str(tmp_path / "image"), put(tmp_path, disk_bytes(), "disk")
    format = kind.split("-")[0]
    qemu_img("convert", "-f", "raw", "-O", format, *MAKES[kind], disk, path)
    with open(path, "rb") as f:
        whole = f.read()
    reply = upload(tenant, whole)
    tenant.done(reply.startid)
    assert row_of(tenant, reply.data["template.id"])["template.format"] == format, "what was found is kept"
    for size in (len(whole) // 2, len(whole) - 1, len(whole) - 512):
        reply = upload(tenant, whole[:size])
        failed(tenant, reply.data["template.id"], tenant.follow(reply.startid), "cut short")
    for named in ({}, {"template.format": format}):
        failed(admin, *imported(admin, put(tmp_path, whole[:len(whole) // 2], "half"), **named), "cut short")


def broken(data, at, value):
    return data[:at] + value + data[at + len(value):]


def test_an_image_with_tables_past_its_end(tenant):
    good = qcow2_bytes()
    for at, value in ((1 << 16, 9 << 16), (3 << 16, 1 << 63 | 9 << 16), (40, 9 << 16), (48, 9 << 16)):
        reply = upload(tenant, broken(good, at, struct.pack(">Q", value)))
        failed(tenant, reply.data["template.id"], tenant.follow(reply.startid))


@needs_qemu_img
def test_an_image_that_its_tool_calls_damaged(tenant):
    reply = upload(tenant, broken(qcow2_bytes(), 2 << 16, bytes(8)))  # nothing is counted
    failed(tenant, reply.data["template.id"], tenant.follow(reply.startid), "damaged", "qemu-img check")


# ------------------------------------------------------------------------------------------------- no image
def ova_bytes():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in (("box.ovf", b"<Envelope/>"), ("box.vmdk", b"KDMV" + bytes(1000))):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def zip_bytes():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("disk.raw", disk_bytes())
    return out.getvalue()


NO_IMAGES = {
    "ova": (ova_bytes(), "OVA"),
    "tar": (ova_bytes().replace(b"box.ovf", b"box.txt", 1), "tar"),
    "html": (b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n", "HTML"),
    "json": (b'{"message":"Not Found","documentation_url":"https://docs"}', "JSON"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "error message"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n", "Git LFS"),
    "gzip": (gzip.compress(disk_bytes()), "gzip"), "xz": (lzma.compress(disk_bytes()), "xz"),
    "bzip2": (bz2.compress(disk_bytes()), "bzip2"), "zip": (zip_bytes(), "zip"),
    "zstd": (b"\x28\xb5\x2f\xfd" + os.urandom(1000), "zstd"), "text": (b"sha256  disk.qcow2\n", "text"),
    "pdf": (b"%PDF-1.7\n\x80" + bytes(600), "PDF"), "noise": (b"\0\1\2\3" * 1000, "no kind of disk image"),
}


@pytest.mark.parametrize("kind", NO_IMAGES)
def test_what_is_no_image(admin, tenant, tmp_path, kind):
    data, word = NO_IMAGES[kind]
    reply = upload(tenant, data)
    failed(tenant, reply.data["template.id"], tenant.follow(reply.startid), word)
    failed(admin, *imported(admin, put(tmp_path, data)), word)
    reply = upload(tenant, data, format="raw")  # whoever says so gets it
    tenant.done(reply.startid)
    row = row_of(tenant, reply.data["template.id"])
    assert (row["template.state"], row["template.format"]) == ("ready", "raw")
    assert int(row["template.size"]) == -(-len(data) // 512) * 512


def test_the_reason_in_the_readers_language(tenant):
    reply = upload(tenant, NO_IMAGES["html"][0])
    template, job = reply.data["template.id"], tenant.follow(reply.startid)
    failed(tenant, template, job)
    reader = Client(tenant.server, tenant.token, "zh")
    chinese = reader.ok(SEARCH, {"template.id": template}).data[0]["template.error"]
    assert job.info == "the image was refused: this is an HTML page, not a disk image"
    assert chinese == "镜像被拒绝:这是 HTML 网页,不是磁盘镜像"


# ------------------------------------------------------------------------------------------------- paths
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
    no_uploads(cloud)
    assert tenant.ok(SEARCH, {"template.name": "x"}).count == 0


def test_an_upload_that_breaks_off_leaves_nothing(cloud, tenant):
    head = (f"POST {BASE}cloudtemplate/upload?name=broken HTTP/1.1\r\nHost: x\r\nKEY_TOKEN: {tenant.token}\r\n"
            f"Content-Length: {50 * MIB}\r\n\r\n").encode()
    with cloud.socket() as s:
        s.sendall(head + bytes(3 * MIB))
        wait_until(lambda: uploads(cloud), "the upload began")
        s.shutdown(socket.SHUT_RDWR)
    no_uploads(cloud)
    assert tenant.ok(SEARCH, {"template.name": "broken"}).count == 0


@pytest.mark.parametrize("when", ["before", "after", "recorded"])
def test_the_file_of_a_refused_upload_goes_though_the_server_dies(server, when):
    one = server(crash_point=":".join(["template.discard", "discard", when]))
    one.through_crash(lambda: upload(one.admin, qcow2_bytes(), format="raw"))
    (job,) = [row for row in one.admin.ok("POST joblog/search", {}).data if row["job.name"] != "discard an upload"]
    assert one.admin.follow(job["startid"]).result == "1"
    wait_until(lambda: not open_discards(one), "the job that removes it has ended")
    no_uploads(one)


def test_an_upload_that_is_cancelled_before_its_turn(server):
    one = server(options=["--jobs.slots_per_host", "1"], connect="sim://?control=1")
    one.control("hang=1")
    first, second = (upload(one.admin, bytes(MIB), format="raw", name=name) for name in ("a", "b"))
    one.admin.ok("PUT joblog/cancel", {"startid": second.startid})
    assert one.admin.follow(second.startid).result == "7"
    one.control("hang=0")
    assert one.admin.follow(first.startid).result == "0"
    no_uploads(one)


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
