"""Templates: in by path and by upload, and out when nothing uses them; what must not get in: tests/security."""
import hashlib
import os
import socket

import pytest
from images import (DELETE, IMPORT, MIB, SEARCH, UPLOAD, imported, needs_qemu_img, put, qcow2_bytes, qemu_img, row_of,
                    upload, uploads)
from starvirt import BASE, wait_until


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
