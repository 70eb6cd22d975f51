"""What clients get wrong, and what they are told: keys, values, paths and places that are not there."""
import http.client
import re
import urllib.parse

import pytest
from starvirt import BASE, cli, encode, form_body, unique

FORM = "application/x-www-form-urlencoded"
CREATE = "POST cloudnetwork/vpc/create"
NOBODY = "01a2b3c4-0000-7000-8000-00000000000a"


def raw(client, method, path, body=b"", headers=()):
    """A request with these headers alone; http.client would add some."""
    connection = http.client.HTTPConnection(*client.server.address, timeout=60)
    connection.putrequest(method, BASE + path, skip_accept_encoding=True)
    for name, value in [("KEY_TOKEN", client.token), ("Accept-Language", client.lang),
                        ("Content-Length", str(len(body))), *headers]:
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    from starvirt import Reply
    reply = client.server.heard(Reply(response.status, response.headers, response.read()))
    connection.close()
    return reply


# ----------------------------------------------------------------------------------------- the type of a body
@pytest.mark.parametrize("type", [None, "", " "])
@pytest.mark.parametrize("method,path", [
    ("PUT", "cloudvm/start"), ("PUT", "cloudvm/modify"), ("PUT", "cloudvm/vdisk/extend"), ("POST", "cloudvm/search"),
    ("PUT", "cloudvm/backup/restore")])
def test_a_body_without_a_type_is_a_form(tenant, method, path, type):
    """As Java's HttpURLConnection sends every PUT."""
    params = {"vm.id": NOBODY, "vdisk.id": NOBODY, "backup.id": NOBODY, "vdisk.size": 1}
    reply = raw(tenant, method, path, form_body(params)[1], [("Content-Type", type)] if type is not None else [])
    assert reply.status == 200 and reply.code in (None, "VM_NOT_FOUND", "DISK_NOT_FOUND", "BACKUP_NOT_FOUND"), reply
    if path == "cloudvm/search":
        assert reply.ok and reply.count == 0


def test_json_without_a_type_is_told_what_is_missing(tenant):
    reply = raw(tenant, "PUT", "cloudvm/start", b'{"vm.id":"x"}')
    assert (reply.status, reply.code) == (400, "BAD_REQUEST") and "no field KEY_PARAM" in reply.text


# ---------------------------------------------------------------------------------------------------- the query
def in_query(params):
    return "KEY_PARAM=" + urllib.parse.quote(encode(params), safe="")


def test_parameters_in_the_query(tenant):
    for text in (in_query({"vpc.name": "in the query"}), "KEY_PARAM=" + encode({"vpc.name": "in the query"}),
                 "KEY_TOKEN=x&" + in_query({"vpc.name": "in the query"})):
        made = tenant.ok("POST cloudnetwork/vpc/create?" + text).data
        assert made["vpc.name"] == "in the query"
    assert tenant.ok("POST cloudvm/search?" + in_query({"vm.name": "none"}), body=b"", type=FORM).count == 0
    assert tenant.refused("PUT cloudvm/start?" + in_query({"vm.id": "x"}), code="VM_NOT_FOUND").field == "vm.id"
    assert tenant.refused(f"DELETE cloudvm/{NOBODY}?" + in_query({"x": 1}), code="VM_NOT_FOUND").field == "vmId"
    assert "warning" in tenant.ok("GET cloudvm/model?" + in_query({"typo": 1})).body


def test_parameters_in_query_and_body(tenant):
    for body in (form_body({"vpc.name": "b"})[1], b"KEY_PARAM="):
        reply = tenant.refused("POST cloudnetwork/vpc/create?" + in_query({"vpc.name": "a"}), code="BAD_REQUEST",
                               body=body, type=FORM)
        assert "in the query and in the body" in reply.text
    reply = tenant.refused("POST cloudnetwork/vpc/create?KEY_PARAM=e30=&KEY_PARAM=e30=", code="BAD_REQUEST")
    assert "twice" in reply.text
    tenant.refused("POST cloudnetwork/vpc/create?KEY_PARAM=!", code="BAD_BASE64")
    assert tenant.ok("POST cloudnetwork/vpc/search").data == []


def test_the_query_counts_for_an_idempotency_key(tenant):
    key = {"Idempotency-Key": unique("key")}
    tenant.ok("POST cloudnetwork/vpc/create?" + in_query({"vpc.name": "a"}), headers=key)
    tenant.refused("POST cloudnetwork/vpc/create?" + in_query({"vpc.name": "b"}), code="IDEMPOTENCY_MISMATCH",
                   headers=key)


@pytest.mark.parametrize("op,key,near", [
    (f"DELETE cloudvm/{NOBODY}?backup=delete", "backup", "backups"),
    (f"DELETE cloudvm/{NOBODY}?backups=keep&x=1", "x", None),
    (f"DELETE cloudvm/{NOBODY}?Backups=delete", "Backups", "backups"),
    ("PUT cloudvm/start?vm.id=x", "vm.id", None),
    ("POST cloudvm/search?vm.name=x", "vm.name", None),
    ("POST cloudvm/search?key_param=e30=", "key_param", None),
    ("POST cloudtemplate/upload?name=x&fromat=raw", "fromat", "format"),
    ("POST cloudtemplate/upload?name=x&KEY_PARAM=e30=", "KEY_PARAM", None),
])
def test_unknown_keys_in_the_query(admin, op, key, near):
    reply = admin.refused(op, code="PARAM_UNKNOWN", field=key)
    assert reply.status == 200 and reply.body["error"]["retry"] == "no"
    assert reply.text == f"there is no query parameter {key}" + (f", did you mean {near}?" if near else "")


def test_a_misspelt_query_deletes_nothing(admin, tenant, model):
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)
    tenant.refused(f"DELETE cloudvm/{vm}?backup=delete", code="PARAM_UNKNOWN")
    tenant.refused(f"DELETE cloudvm/{vm}?backups=keep&backups=delete", code="PARAM_CONFLICT", field="backups")
    assert tenant.show(vm)["vm.state"] == "1"


def test_a_get_goes_on(tenant):
    reply = tenant.ok("GET events?sinec=5&_=123")
    assert reply.body["warning"] == "ignored, no such parameter: sinec (did you mean since?), _"


# ----------------------------------------------------------------------------------------------- ids in capitals
def test_ids_in_either_case(admin, tenant, model):
    """Wherever an id names an object: in the path, among the parameters, in a search."""
    vpc = tenant.vpc()
    vm = tenant.vm(vnic_portgroupid=vpc.upper(), vm_tenant_model=model)
    mixed = "".join(c.upper() if i % 2 else c for i, c in enumerate(vm))
    assert tenant.show(vm.upper()) == tenant.show(mixed) == tenant.show(vm)
    tenant.run("PUT cloudvm/destroy", {"vm.id": vm.upper()})
    assert tenant.run("PUT cloudvm/start", {"vm.id": mixed})["startid"]
    disk = tenant.ok("POST cloudvm/vdisk/add", {"vdisk.vmid": mixed, "vdisk.size": 1})
    tenant.done(disk.startid.upper())
    assert {row["vdisk.vmid"] for row in tenant.ok("POST cloudvm/vdisk/search", {"vdisk.vmid": vm.upper()}).data} == {vm}
    tenant.run("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disk.data["vdisk.id"].upper()})
    assert tenant.ok("POST cloudvm/search", {"vm.id": vm.upper()}).count == 1
    assert admin.ok("POST cloudvm/search", {"vm.id": vm, "tenant.id": tenant.id.upper()}).count == 1
    assert tenant.ok("POST joblog/search", {"startid": disk.startid.upper(), "job.objid": vm.upper()}).count == 1
    backup = tenant.ok("POST cloudvm/backup/create", {"backup.vmid": vm.upper(), "backup.name": "b"})
    tenant.done(backup.startid)
    assert tenant.ok("GET cloudvm/backup/{vmId}", {"vmId": vm.upper()}).data[0]["backup.vmid"] == vm
    tenant.ok("PUT cloudvm/backup/modify", {"backup.id": backup.data["backup.id"].upper(), "backup.desc": "d"})
    assert admin.usable(tenant.id.upper()) == admin.usable(tenant.id)
    shown = cli("vm", "show", vm.upper(), server=tenant.server, token=tenant.token)
    assert shown.returncode == 0 and vm in shown.stdout, shown
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm.upper()})
    tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc.upper()})


@pytest.mark.parametrize("form", ["{{{}}}", "urn:uuid:{}", " {}", "{} ", "{}0"])
def test_what_is_no_id(tenant, form):
    vpc = tenant.vpc()
    name = form.format(vpc)
    reply = tenant.refused("PUT cloudnetwork/vpc/modify", {"vpc.id": name, "vpc.name": "n"}, "VPC_NOT_FOUND", "vpc.id")
    assert reply.text == f"no such VPC: vpc.id={name}"
    tenant.refused("PUT cloudnetwork/vpc/modify", {"vpc.id": vpc.replace("-", ""), "vpc.name": "n"}, "VPC_NOT_FOUND")


def test_an_idempotency_key_is_no_id(tenant):
    made = [tenant.ok(CREATE, {"vpc.name": "n"}, headers={"Idempotency-Key": key}).data["vpc.id"]
            for key in (NOBODY, NOBODY.upper(), NOBODY)]
    assert made[0] == made[2] != made[1]


# -------------------------------------------------------------------------------------------- what was not found
def test_not_found_names_field_and_value(admin, tenant):
    for op, params, text in [
            ("GET cloudvm/{vmId}", {"vmId": NOBODY}, f"no such VM: vmId={NOBODY}"),
            ("GET cloudvm/{vmId}", {"vmId": NOBODY.upper()}, f"no such VM: vmId={NOBODY}"),
            ("GET cloudvm/{vmId}", {"vmId": "a=b c"}, "no such VM: vmId=a=b c"),
            ("PUT cloudvm/start", {"vm.id": NOBODY}, f"no such VM: vm.id={NOBODY}"),
            ("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": "x"}, "no such disk: vdiskId=x"),
            ("GET joblog/{startid}", {"startid": "x"}, "no such job: startid=x"),
            ("PUT cloudvm/snapshot/restore", {"snapshot.id": "x"}, "no such snapshot: snapshot.id=x"),
            ("PUT cloudvm/backup/restore", {"backup.id": "x"}, "no such backup: backup.id=x"),
            ("POST cloudvm/create", {"vm.vcpu.num": 1, "vm.memory.mem": 1, "vm.tenant.model": "nomodel",
                                     "vnic.portgroupid": tenant.vpc()}, "no such model: vm.tenant.model=nomodel"),
            ("POST cloudvm/create", {"vm.vcpu.num": 1, "vm.memory.mem": 1, "vm.tenant.model": "x",
                                     "vnic.portgroupid": "云"}, "no such VPC: vnic.portgroupid=云")]:
        assert tenant.refused(op, params).text == text
    assert admin.refused("DELETE cloudvm/delVhostModelAndType/{id}", {"id": NOBODY}).text == \
        f"no such model: id={NOBODY}"
    assert admin.refused("DELETE cloudTenant/{appId}", {"appId": NOBODY}).text == f"no such tenant: appId={NOBODY}"
    assert admin.refused("DELETE cloudTenant/token/{tokenId}", {"tokenId": "x"}).text == "no such token: tokenId=x"
    assert admin.refused("DELETE cloudstorage/{storageId}", {"storageId": "x"}).text == \
        "no such storage: storageId=x"
    chinese = tenant.refused("PUT cloudvm/start", {"vm.id": "x"}, headers={"Accept-Language": "zh"})
    assert chinese.text == "云主机不存在:vm.id=x"


@pytest.mark.parametrize("value,shown", [
    ("x" * 64, "x" * 64), ("x" * 65, "x" * 64 + "…"), ("云" * 100, "云" * 64 + "…"), ("😀" * 70, "😀" * 64 + "…"),
    ("a\u202eb\u200b", "a\\u202eb\\u200b"), ("\u0085" * 3, "\\u0085" * 3)])
def test_a_long_or_hidden_value_is_cut_and_shown(tenant, value, shown):
    assert tenant.refused("PUT cloudvm/start", {"vm.id": value}).text == "no such VM: vm.id=" + shown


# --------------------------------------------------------------------------------------------------------- paths
@pytest.mark.parametrize("method,path,near", [
    ("POST", "cloudvm/strat", "start"), ("PUT", "cloudvm/strat", "start"), ("PUT", "cloudvm/x", None),
    ("POST", "cloudvm/serach", "search"), ("PUT", "cloudvm/backup/retsore", "restore"),
    ("POST", "cloudTenant/craete", "create"), ("POST", "cloudvms/search", "cloudvm"), ("PATCH", "cloudvm/zzzzzz", None)])
def test_a_word_that_is_no_path(tenant, method, path, near):
    reply = tenant.request(method, BASE + path, None, tenant.headers())
    assert (reply.status, reply.code) == (404, "NOT_FOUND") and "Allow" not in reply.headers
    assert reply.text == f"no such path: {BASE}{path}" + (f", did you mean {near}?" if near else "")
    if near:
        chinese = tenant.request(method, BASE + path, None, tenant.headers(**{"Accept-Language": "zh"}))
        assert chinese.text == f"请求路径不存在:{BASE}{path},是否指 {near}?"


@pytest.mark.parametrize("path,allow", [
    (f"cloudvm/{NOBODY}", "GET, DELETE, HEAD, OPTIONS"), (f"cloudvm/{NOBODY.upper()}", "GET, DELETE, HEAD, OPTIONS"),
    (f"cloudvm/vdisk/{NOBODY}", "DELETE, OPTIONS"), ("cloudvm/create", "POST, OPTIONS"),
    (f"joblog/{NOBODY}", "GET, HEAD, OPTIONS")])
def test_a_method_that_is_not_allowed(tenant, path, allow):
    reply = tenant.request("PUT", BASE + path, None, tenant.headers())
    assert (reply.status, reply.code, reply.headers["Allow"]) == (405, "METHOD_NOT_ALLOWED", allow)


# ---------------------------------------------------------------------------------------- keys that no row knows
def test_unknown_keys_are_a_warning(tenant, model):
    vpc = tenant.vpc()
    made = tenant.create(vnic_portgroupid=vpc, vm_tenant_model=model, **{"vm.vcpus": 4, "vm.Name": "x", "zzz": 1})
    assert made.body["warning"] == ("ignored, no such parameter: vm.vcpus (did you mean vm.vcpu.num?), "
                                    "vm.Name (did you mean vm.name?), zzz")
    tenant.done(made.data[0]["jobstartid"])
    assert tenant.show(made.data[0]["vm.id"])["vm.vcpu.num"] == "1"
    assert list(made.body) == ["result", "data", "warning"]
    chinese = tenant.ok(CREATE, {"vpc.nmae": "x"}, headers={"Accept-Language": "zh"})
    assert chinese.body["warning"] == "已忽略未知参数:vpc.nmae(是否指 vpc.name?)"
    assert "warning" not in tenant.ok(CREATE, {"vpc.name": "x"}).body


def test_a_warning_is_bounded_and_harmless(tenant):
    many = tenant.ok(CREATE, {f"key number {i}": i for i in range(100)}).body["warning"]
    assert many.count("key number") == 8 and many.endswith(" and 92 more")
    long = tenant.ok(CREATE, {"k" * 5000: 1, "a\nb\x1b": 2}).body["warning"]
    assert len(long) < 200 and "\n" not in long and "\x1b" not in long


def test_a_warning_comes_again_with_the_reply(tenant):
    key = {"Idempotency-Key": unique("key")}
    first, again = (tenant.ok(CREATE, {"typo": 1}, headers=key).body for _ in range(2))
    assert first == again and "typo" in first["warning"]


def test_a_request_that_waits_for_its_job_is_warned(tenant):
    vpc = tenant.vpc()
    assert "vpc.idd" in tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc, "vpc.idd": 1}).body["warning"]


# ----------------------------------------------------------------------------------------------------- one of two
def test_one_of_two_names_both(tenant):
    params = {"vm.vcpu.num": 1, "vm.memory.mem": 1, "vnic.portgroupid": tenant.vpc()}
    reply = tenant.refused("POST cloudvm/create", params, "PARAM_MISSING", "vm.tenant.model")
    assert reply.text == "the required parameter vm.tenant.model / vm.template.id is missing"


def test_a_state_that_is_no_code(tenant):
    codes = "-2 failed, -1 unknown, 0 stopped, 1 running, 2 paused, 3 installing, 4 cloning"
    for value, code in (("running", "PARAM_TYPE"), (9, "PARAM_ENUM"), ("9", "PARAM_ENUM"), (1.5, "PARAM_TYPE")):
        reply = tenant.refused("POST cloudvm/search", {"vm.state": value}, code, "vm.state")
        assert codes in reply.text, reply
    chinese = tenant.refused("POST cloudvm/search", {"vm.state": "running"}, headers={"Accept-Language": "zh"})
    assert "-2 创建失败, -1 故障检测中, 0 停止, 1 运行, 2 休眠, 3 安装中, 4 克隆中" in chinese.text
    for value in (-2, "-1", 0, 1, 2, 3, "4"):
        tenant.ok("POST cloudvm/search", {"vm.state": value})
    for value in ("done", 8, -1):
        reply = tenant.refused("POST joblog/search", {"job.result": value}, field="job.result")
        assert "0 done, 1 failed, 2 running, 3 queued, 4 lost, 5 timed out, 6 aborted, 7 cancelled" in reply.text


# ------------------------------------------------------------------------------------ Chinese texts are Chinese
ENGLISH = re.compile(r"[A-Za-z]{2,}")
NAMES = {"VM", "VPC", "NIC", "vCPU", "CPU", "MB", "GB", "ID", "GiB", "vmid", "import", "dirs", "Base", "JSON"}


def english_in(text):
    return set(ENGLISH.findall(text)) - NAMES


def test_refusals_in_chinese(cloud, admin, model):
    """Reasons come from below in English; who reads Chinese reads none of it."""
    tenant = admin.tenant()
    zh = {"Accept-Language": "zh"}
    vpc = tenant.vpc()
    vm = tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model)

    def told(client, op, params, code):
        text = client.refused(op, params, code, headers=zh).text
        assert not english_in(text.replace(vm, "").replace("template.path", "")), text
        return text

    assert told(admin, "DELETE cloudTenant/{appId}", {"appId": tenant.id}, "TENANT_IN_USE") == \
        "租户仍有资源:1 台云主机、1 个私网、1 块磁盘"
    assert "文件或目录不存在" in told(admin, "POST cloudtemplate/import",
                                     {"template.name": "x", "template.path": "/nowhere/x.img"}, "TEMPLATE_PATH")
    assert told(admin, "POST cloudtemplate/import", {"template.name": "x", "template.path": "x.img"},
                "TEMPLATE_PATH").endswith("不是绝对路径")
    tenant.run("PUT cloudvm/destroy", {"vm.id": vm})
    assert told(tenant, "PUT cloudvm/suspend", {"vm.id": vm}, "VM_STATE") == \
        "云主机状态为 已停止,不允许该操作"


def test_job_logs_in_chinese(tenant, model):
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)
    startids = []
    for op, params in (("PUT cloudvm/restart", {"vm.id": vm}),
                       ("PUT cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": 2}),
                       ("PUT cloudvm/mem/modify", {"vm.id": vm, "vm.memory.mem": 128}),
                       ("POST cloudvm/snapshot/create", {"snapshot.vmid": vm, "snapshot.name": "x"}),
                       ("PUT cloudvm/shutdown", {"vm.id": vm})):
        startids.append(tenant.ok(op, params).startid)
        tenant.done(startids[-1])
    names = NAMES | {"ACPI", "host"}
    for startid in startids:
        job = tenant.ok("GET joblog/{startid}", {"startid": startid}, headers={"Accept-Language": "zh"}).data
        for line in job["job.logs"]:
            text = re.sub(r"host\d+|[0-9a-f]{8,}", "", line["log.content"])
            assert not set(ENGLISH.findall(text)) - names, line
