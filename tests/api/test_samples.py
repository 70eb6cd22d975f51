"""The requests that the document prints (tests/api-data/samples.jsonl, character by character), of every section that
is served: as they stand, and doing what they say once their words are real."""
import json
import os
import re

import pytest
from outside import router
from starvirt import ROOT, unique
from test_slb import certificate

with open(os.path.join(ROOT, "tests", "api-data", "samples.jsonl"), encoding="utf-8") as lines:
    SAMPLES = {row["section"]: row for row in map(json.loads, lines)}
READING = ("BAD_REQUEST", "BAD_BASE64", "BAD_JSON", "MEDIA_TYPE", "PARAM_UNKNOWN", "PARAM_CONFLICT")
# What is no JSON in any reading: a quote that is not closed, a remark behind a value. Where it is, and what was meant.
SLIPS = {
    "2.10.2": ("raw control character in a string, found U+000A", re.compile(r'\(MB\)\*,()\n'), '(MB)*",\n'),
    "2.2.19": ("',' or '}' expected, found '(' (U+0028)", re.compile(r'(?<="字典类型")()\([^\n]*\)(?=\n})'), ""),
}


def op_of(section):
    return f"{SAMPLES[section]['method']} {SAMPLES[section]['path']}"


@pytest.mark.parametrize("section", SAMPLES)
def test_as_printed(admin, section):
    """It is read; what it then says is "no such VM" and the like."""
    sample = SAMPLES[section]["sample"]
    reply = admin.call(op_of(section), sample)
    if section not in SLIPS:
        assert reply.status == 200 and reply.code not in READING, reply
        return
    said, where, _ = SLIPS[section]
    byte = len(sample[:where.search(sample).start(1)].encode()) + 1
    assert reply.code == "BAD_JSON" and f"{said} at byte {byte}" in reply.text, (reply, byte)


def fill(section, values):
    """The sample with its descriptions replaced; commas, colons, blanks and stars stay as printed. None: left out."""
    text = SAMPLES[section]["sample"]
    if section in SLIPS:
        text = SLIPS[section][1].sub(SLIPS[section][2], text)
    for key, value in values.items():
        found = re.compile(r'("\s*%s\s*\*?\s*"\s*[:\uff1a]\s*)"[^"\n]*"' % re.escape(key))
        assert found.search(text), (section, key)
        text = found.sub(lambda m, v=value: m.group(1) + json.dumps(v), text)
    return text


@pytest.fixture(scope="module")
def world(cloud, admin, model):
    """A tenant with one of everything."""
    tenant = admin.tenant()
    made = {"tenant": tenant.id, "vpc": tenant.vpc(), "spare": tenant.vpc()}
    made["vm"] = tenant.vm(vnic_portgroupid=made["vpc"], vm_tenant_model=model)
    made["second"] = tenant.vm(vnic_portgroupid=made["vpc"], vm_tenant_model=model)
    for kind in ("snapshot", "backup"):
        reply = tenant.ok(f"POST cloudvm/{kind}/create", {f"{kind}.vmid": made["second"], f"{kind}.name": "x"})
        tenant.done(reply.startid)
        made[kind] = reply.data[f"{kind}.id"]
    reply = tenant.ok("POST cloudvm/vdisk/add", {"vdisk.vmid": made["vm"], "vdisk.size": 1})
    tenant.done(reply.startid)
    made["disk"] = reply.data["vdisk.id"]
    balancers(tenant, made)
    return tenant, made


def balancers(tenant, made):
    made["router"], made["ip"] = router(tenant, made["vpc"]), tenant.show(made["second"])["vm.ip"]
    made["front"] = made["ip"].rsplit(".", 1)[0] + ".200"
    made["cert"], made["key"] = certificate()
    made["slb"] = tenant.ok("POST cloudslb/add", {
        "slb.name": "https", "slb.appid": tenant.id, "slb.vmid": made["router"], "slb.protocal.type": "https",
        "slb.network.type": "inner", "slb.directip": made["front"], "slb.directport": 443,
        "slb.https.cert.text": made["cert"], "slb.https.cert.key": made["key"]}).data["slb.id"]
    made["node"] = tenant.ok("POST cloudslb/realnode/add", {
        "realnode.slbid": made["slb"], "realnode.ip": made["ip"], "realnode.port": 80,
        "realnode.vmid": made["second"]}).data["realnode.id"]


HEALTH = {"slb.policy.type": "wlc", "slb.health.retrytime": "2", "slb.health.check.interval": "1",
          "slb.health.check.timeout": "1", "slb.health.emptylink.timeout": "120", "slb.maxoccurs": "10000"}
NODE = {"realnode.slbid": "{slb}", "realnode.ip": "{ip}", "realnode.port": "8080", "realnode.vmid": "{second}",
        "realnode.weight": "10"}

# In an order that suits the VM; a name in {} is an object of the world.
DOES = [
    ("2.2.1", {"vm.name": "sample", "vm.tenant.model": "{model}", "vm.template.id": "", "vm.vcpu.num": "1",
               "vm.memory.mem": "64", "vnic.portgroupid": "{vpc}", "vm.num": "1", "vm.vncpasswd": "secret",
               "vm.account.pwd": "", "vm.hyperv.enable": "false", "vm.vdisk.num": "0", "vm.vdisk.size": ""}),
    ("2.2.2", {"vm.name": "", "vm.id": "{vm}", "vm.state": "1", "vm.ip": "", "vm.hostid": "", "page.startnum": "1",
               "page.everypagenum": "30"}),
    ("2.2.8", {"vm.id": "{vm}"}),
    ("2.2.10", {"vm.id": "{vm}", "username": "root", "pwd": "new-secret"}),
    ("2.2.11", {"vm.id": "{vm}"}),
    ("2.2.12", {"vm.id": "{vm}", "vm.vncpasswd": "secret"}),
    ("2.2.13", {"vm.id": "{vm}"}),
    ("2.2.15", {"vm.id": "{vm}", "vm.vcpu.num": "2"}),
    ("2.2.16", {"vm.id": "{vm}", "vm.memory.mem": "128"}),
    ("2.2.18", {"vm.id": "{vm}", "vm.firewalld.enable": "false"}),
    ("2.4.1", {"vdisk.vmid": "{vm}", "vdisk.size": "1"}),
    ("2.4.3", {"vdisk.id": "{disk}", "vdisk.size": "2"}),
    ("2.4.4", {"vdisk.vmid": "{vm}"}),
    ("2.5.1", {"vnic.vmid": "{vm}"}),
    ("2.5.2", {"vnic.vmid": "{vm}", "vnic.portgroupid": "{vpc}"}),
    ("2.2.14", {"vm.id": "{vm}"}),
    ("2.2.6", {"vm.id": "{vm}"}),
    ("2.2.4", {"vm.id": "{vm}"}),
    ("2.2.5", {"vm.id": "{vm}"}),
    ("2.6.2", {"backup.vmid": "{vm}"}),
    ("2.6.5", {"backup.id": "{backup}"}),
    ("2.7.2", {"snapshot.vmid": "{vm}"}),
    ("2.7.3", {"snapshot.id": "{snapshot}"}),
    ("2.7.5", {"snapshot.id": "{snapshot}"}),
    ("2.3.1", {}),
    ("2.3.2", {"vpc.id": "{spare}"}),
    ("2.3.3", {"vpc.id": "{spare}"}),
    ("2.12.2", {"slb.id": "", "slb.appid": "{tenant}", "slb.protocal.type": "HTTP", "slb.network.type": "inner",
                "slb.directip": "{front}", "slb.directip.self": "", "slb.directport": "80", "slb.realport": "8080",
                "slb.vmid": "{router}", "slb.http.urlpath": "/", "slb.health.check.path": "/health",
                "slb.https.cert.text": "", "slb.https.cert.key": "", **HEALTH, **NODE}),
    ("2.12.3", {"slb.id": "{slb}", "slb.directip": "{front}", "slb.directip.self": "", "slb.directport": "8443",
                "slb.health.check.path": "", **HEALTH}),
    ("2.12.6", {"slb.id": "{slb}"}),
    ("2.12.5", {"slb.id": "{slb}"}),
    ("2.12.7", {"slb.id": "{slb}", "slb.https.cert.text": "{cert}", "slb.https.cert.key": "{key}"}),
    ("2.13.2", NODE),
    ("2.13.3", {"realnode.id": "{node}", "realnode.port": "81", "realnode.weight": "3"}),
    ("2.13.1", {"realnode.id": "{node}", "realnode.name": "", "realnode.ip": "{ip}", "realnode.port": "81",
                "search.orderby": "name", "page.startnum": "1", "page.everypagenum": "30"}),
    ("2.12.1", {"slb.id": "{slb}", "slb.appid": "{tenant}", "slb.enable": "true", "slb.protocal.type": "https",
                "slb.network.type": "inner", "slb.directip": "{front}", "slb.directport": "8443", "slb.name": "",
                "search.orderby": "createtime", "page.startnum": "1", "page.everypagenum": "30"}),
    ("2.10.3", {"tenant.id": "{tenant}"}),
]
BY_ADMIN = [
    ("2.1.1", {"app.name": "{fresh}", "app.cpu.quota": "5", "app.memory.quota": "5", "app.storage.quota": "5",
               "app.portgroup.quota": "5", "app.outerip.quota": "5"}),
    ("2.2.19", {"type": "tenant_type", "label": "{fresh}", "value": "{fresh}"}),
    ("2.10.2", {"tenantId": "{tenant}", "cpu": "99", "memory": "99999", "storage": "999", "ip": "9", "vpc": "9"}),
    ("2.16.1", {"page.startnum": "1", "page.everypagenum": "30"}),
]
NOT_HERE = {"2.4.5": "needs a Ceph pool (tests/real)", "2.6.4": "not over the snapshot of 2.7 (test_backup.py)"}


def test_every_served_sample_is_one_of_these():
    assert set(SAMPLES) == {section for section, _ in DOES + BY_ADMIN} | set(NOT_HERE)


def test_they_do_what_they_say(cloud, admin, world, model):
    tenant, made = world
    cloud.tellable.add(cloud.data)  # 2.16.1 tells administrators where a storage is
    for section, values in DOES + BY_ADMIN:
        names = {**made, "model": model, "fresh": unique("sample")}
        client = admin if (section, values) in BY_ADMIN else tenant
        text = fill(section, {key: value.format(**names) for key, value in values.items()})
        reply = client.call(op_of(section), text)
        assert reply.ok and "warning" not in reply.body, (section, text, reply)
        for startid in [reply.body.get("startid")] + [row.get("jobstartid") for row in reply.data
                                                      if isinstance(row, dict)]:
            if startid:
                client.done(startid)
    cloud.tellable.discard(cloud.data)
    shown = tenant.show(made["vm"])
    assert (shown["vm.vcpu.num"], shown["vm.memory.mem"], shown["vm.name"], shown["vm.state"]) == \
        ("2", "128", "名称", "0")
    assert shown["vm.firewalld.enable"] == "false"
