"""Another tenant's id in every id-bearing field of every operation answers, byte for byte, as an id that
nobody has (threats 19, 20); and nothing of one tenant is seen or changed by another."""
import json
import uuid

import pytest
from outside import pool, router
from starvirt import dump_routes, op_name, wait_until
from test_negative import params_of

SERVED = [route for route in dump_routes() if route["served"]]
# text parameters of searches that ids go into
TEXT_IDS = {"POST cloudvm/search": ["vm.id", "vm.ip", "vm.name"],
            "POST cloudnetwork/acessrule/add": ["vm.ip"], "POST cloudnetwork/acessrule/search": ["aclrule_vnetid"],
            "POST cloudsegroup/vnic/bind": ["vnic.id"], "POST cloudsegroup/vnic/unbind": ["vnic.id"],
            "POST cloudsegroup/rule/search": ["aclrule.securitygroupid"], "POST cloudvm/create": ["vm.affinity.id"]}


class World:
    """Two tenants with the same things each, and what each key may name."""

    def __init__(self, server, admin, raw_image):
        self.server, self.admin = server, admin
        self.api = json.loads(admin.request("GET", "/openapi.json").raw)["paths"]
        self.model = admin.model()
        pool(admin, "outer", 10, 20)
        self.one, self.other = self.tenant(), self.tenant()

    def tenant(self):
        who = self.admin.tenant()
        upload = who.ok("POST cloudtemplate/upload", query={"name": "own", "format": "raw"}, body=bytes(1 << 20),
                        type="application/octet-stream")
        who.template_id = upload.data["template.id"]
        who.done(upload.startid)
        vpc = who.vpc()
        made = who.create(vnic_portgroupid=vpc, vm_tenant_model=self.model).data[0]
        who.done(made["jobstartid"])
        row = who.show(made["vm.id"])
        disk = who.ok("POST cloudvm/vdisk/search", {"vdisk.vmid": made["vm.id"]}).data[0]["vdisk.id"]
        nic = who.ok("POST cloudvm/vnic/search", {"vnic.vmid": made["vm.id"]}).data[0]["vnic.id"]
        snapshot = who.ok("POST cloudvm/snapshot/create", {"snapshot.vmid": made["vm.id"], "snapshot.name": "past"})
        who.done(snapshot.startid)
        backup = who.ok("POST cloudvm/backup/create", {"backup.vmid": made["vm.id"], "backup.name": "kept"})
        who.done(backup.startid)
        alarm = self.crash(who, made["vm.id"])
        gateway = router(who, vpc)
        slb = who.ok("POST cloudslb/add", {
            "slb.name": "own", "slb.appid": who.id, "slb.protocal.type": "tcp", "slb.network.type": "inner",
            "slb.directip": row["vm.ip"].rsplit(".", 1)[0] + ".200", "slb.directport": 80, "slb.vmid": gateway,
            "realnode": [{"realnode.ip": row["vm.ip"], "realnode.port": 80, "realnode.vmid": made["vm.id"]}]})
        node = who.ok("POST cloudslb/realnode/search").data[0]["realnode.id"]
        mapping = who.ok("POST cloudnetwork/portMapping/create", {
            "innerIp": row["vm.ip"], "innerPort": 80, "outerPort": 80, "protocal": "tcp",
            "ipaddress": who.ok("POST cloudip/mapping/outerIp/search", {"nat.type": "port"}).data[-1]["ipaddress"]})
        tokens = self.admin.ok("POST cloudTenant/token/search", {"app.id": who.id}).data
        group = who.ok("POST cloudsegroup/create", {"securitygroup.name": "web"}).data["securitygroup.id"]
        who.ok("POST cloudsegroup/vnic/bind", {"securitygroup.id": group, "vnic.id": nic})
        of_group = who.ok("POST cloudsegroup/rule/add", {"aclrule.securitygroupid": group, "aclrule.direction": "in",
                                                         "aclrule.protocal": "icmp"}).data["aclrule.id"]
        affinity = who.ok("POST cloudaffinity/create", {"affinity.name": "own", "affinity.policy": "apart"}).data
        rule = who.ok("POST cloudnetwork/acessrule/add", {"vm.ip": row["vm.ip"], "aclrule.type": "net_inner",
                                                          "allow.direction": "in"}).data["rule.id"]
        who.ids = {
            "affinityId": affinity["affinity.id"], "vm.affinity.id": affinity["affinity.id"],
            **dict.fromkeys(("securitygroup.id", "securitygroupid", "aclrule.securitygroupid"), group),
            **dict.fromkeys(("aclrule.id", "ruleid"), of_group), "ruleId": rule, "securitygroup.appid": who.id,
            "vnic.id": nic, "aclrule_vnetid": vpc, "aclrule_vrouteid": gateway,
            "vm.id": made["vm.id"], "vmId": made["vm.id"], "job.objid": made["vm.id"], "startid": made["jobstartid"],
            "vnic.portgroupid": vpc, "vpc.id": vpc, "portgroup.id": vpc, "vroute": gateway,
            "template.id": who.template_id, "templateId": who.template_id,
            "vm.template.id": who.template_id, "tenant.id": who.id, "app.id": who.id, "appId": who.id,
            "tenantId": who.id, "tokenId": tokens[0]["token.id"], "vm.ip": row["vm.ip"], "vm.name": row["vm.name"],
            "vnic.vmid": made["vm.id"], "vdisk.vmid": made["vm.id"], "vdisk.id": disk, "vdiskId": disk, "vnicId": nic,
            "monitor.obj": made["vm.id"], "snapshot.vmid": made["vm.id"], "snapshot.id": snapshot.data["snapshot.id"],
            "snapshotId": snapshot.data["snapshot.id"],
            "backup.vmid": made["vm.id"], "backup.id": backup.data["backup.id"],
            "backupId": backup.data["backup.id"],
            **dict.fromkeys(("storage.id", "storageId", "vdisk.storageid", "storage.hostid", "host.id", "hostId"), str(uuid.uuid4())),
            **dict.fromkeys(("slb.id", "slbid", "realnode.slbid"), slb.data["slb.id"]), "slb.vmid": gateway,
            **dict.fromkeys(("realnode.id", "realnodeid"), node), "slb.appid": who.id, "realnode.vmid": made["vm.id"],
            "realnode.ip": row["vm.ip"], "slb.network.type": "inner",
            "slb.directip": row["vm.ip"].rsplit(".", 1)[0] + ".201",
            "natId": mapping.data["nat.id"], "natVrouteid": gateway, "natAppid": who.id, "poolId": str(uuid.uuid4()),
            "alarm.id": alarm, "alarm.objid": made["vm.id"], "vm.hostid": str(uuid.uuid4()), "id": str(uuid.uuid4()),
        }
        return who


    def crash(self, who, vm):
        """The alarm of a VM that crashed; it runs again."""
        for host in ("host1", "host2"):  # the one that has it not takes it for nothing
            self.server.control(f"crash={vm}", host)
        params = {"alarm.objid": vm, "isfindPage": "true"}
        wait_until(lambda: who.ok("POST cloudalarm/search", params).data, "the alarm of the crash")
        who.run("PUT cloudvm/start", {"vm.id": vm})
        return who.ok("POST cloudalarm/search", params).data[0]["alarm.id"]


@pytest.fixture(scope="module")
def world(cloud, admin, raw_image):
    return World(cloud, admin, raw_image)


def picture(who):
    """All that this tenant owns; the rest of the cloud may go on."""
    ops = ["POST cloudvm/search", "POST cloudnetwork/vpc/search", "POST cloudtemplate/search", "POST joblog/search",
           "GET events", "POST cloudslb/search", "POST cloudslb/realnode/search", "POST cloudsegroup/search",
           "POST vroute/Mapping/search", "POST vroute/search", "POST cloudaffinity/search"]
    own = [who.ok(f"GET cloudvm/{what}/{{vmId}}", {"vmId": who.ids["vmId"]}).body for what in ("snapshot", "backup")]
    own.append(who.usable())
    own.append(who.ok("POST cloudnetwork/acessrule/search", {"page.startnum": 1, "page.everypagenum": 30}).data)
    own += [who.ok(f"POST cloudsegroup/{what}/search", {"securitygroup.id": who.ids["securitygroup.id"],
                                                        "aclrule.securitygroupid": who.ids["securitygroup.id"]}).data
            for what in ("vnic", "rule")]
    return json.dumps([who.ok(op).body for op in ops] + own)


# What every operation needs besides, where its parameters alone do not say so.
ALSO = {
    "POST cloudvm/create": {"vm.vcpu.num": 1, "vm.memory.mem": 64, "vm.tenant.model": "MODEL"},
    "PUT cloudvm/cpu/modify": {"vm.vcpu.num": 2},
    "POST cloudalarm/search": {"isfindPage": "true"},
    "PUT cloudvm/mem/modify": {"vm.memory.mem": 128},
}


def cases():
    for route in SERVED:
        op = op_name(route)
        keys = [p["name"] for p in route["params"] if p["type"] == "id"] + TEXT_IDS.get(op, [])
        keys += [part[1:-1] for part in route["path"].split("/") if part.startswith("{")]
        if "tenant.id" not in keys and op in ("POST cloudvm/create", "POST cloudvm/search",
                                              "POST cloudnetwork/vpc/create",
                                             "POST cloudnetwork/vpc/search"):
            keys.append("tenant.id")  # ours: not in the document's list
        for key in keys:
            yield pytest.param(route, key, id=f"{op} {key}")


def id_of(who, route, key):
    """What the key names: of a router, whose paths call it a VM, the router."""
    return who.ids["vroute" if key == "vmId" and route["path"].startswith("vroute/") else key]


def ask(world, route, key, value):
    op = op_name(route)
    params = params_of(world.api, route)
    values = {p.name: world.one.ids.get(p.name, p.good()) for p in params if p.required and p.place != "query"}
    values.update({k: world.model if v == "MODEL" else v for k, v in ALSO.get(op, {}).items()})
    if key == "vm.template.id":
        values.pop("vm.tenant.model", None)
    return world.one.call(op, {**values, key: value})


@pytest.mark.parametrize("route,key", cases())
def test_anothers_id_is_nobodys(world, route, key):
    theirs = id_of(world.other, route, key)
    nobody = "01900000-0000-7000-8000-" + uuid.uuid4().hex[:12]
    unknown = {"vm.ip": "10.255.255.9", "vm.name": "vm-00000000"}.get(key, nobody)
    before = picture(world.one), picture(world.other)
    foreign = ask(world, route, key, theirs)
    nobodys = ask(world, route, key, unknown)
    told = [json.dumps(reply.body).replace(asked, "ASKED") for reply, asked in ((foreign, theirs), (nobodys, unknown))]
    assert foreign.status == nobodys.status and told[0] == told[1], f"{foreign!r}\n{nobodys!r}"
    assert foreign.status == 200
    assert not foreign.ok or foreign.body.get("dataCount") == 0, f"{foreign!r}"
    assert (picture(world.one), picture(world.other)) == before


def test_enough_is_derived():
    keys = {case.values[1] for case in cases()}
    assert len(list(cases())) >= 38
    assert keys >= {"vm.id", "vmId", "vpc.id", "vnic.portgroupid", "vm.template.id", "templateId", "startid",
                    "job.objid",
                    "tenant.id", "vm.ip", "vm.name"}


def test_own_ids_are_somebodys(world):
    """The same questions about one's own: otherwise the tests above would show nothing."""
    one = world.one
    assert one.ok("POST cloudvm/search", {"vm.id": one.ids["vm.id"]}).count == 1
    assert one.ok("POST cloudvm/search", {"vm.ip": one.ids["vm.ip"]}).count == 1
    assert one.ok("POST joblog/search", {"job.objid": one.ids["vm.id"]}).count == 4
    assert one.ok("POST cloudalarm/search", {"alarm.objid": one.ids["vm.id"], "isfindPage": "true"}).count == 1
    assert one.ok("POST joblog/search", {"startid": one.ids["startid"]}).count == 1
    assert one.ok("GET joblog/{startid}", {"startid": one.ids["startid"]}).data["startid"] == one.ids["startid"]
    assert one.ok("POST cloudtemplate/search", {"template.id": one.template_id}).count == 1
    group = one.ids["securitygroup.id"]
    assert one.ok("POST cloudsegroup/search", {"securitygroup.id": group}).count == 1
    assert one.ok("POST cloudsegroup/vnic/search", {"securitygroup.id": group}).count == 1
    assert one.ok("POST cloudsegroup/rule/search", {"aclrule.securitygroupid": group}).count == 1
    assert one.ok("POST cloudsegroup/rule/vm", {"vm.id": one.ids["vm.id"]}).count == 1


def test_lists_hold_ones_own_only(world):
    one, other = world.one, world.other
    for op in ("POST cloudvm/search", "POST cloudnetwork/vpc/search", "POST joblog/search", "GET events",
               "POST cloudalarm/search"):
        text = json.dumps(one.ok(op, ALSO.get(op)).body)
        assert one.ids["vm.id"] in text or one.ids["vpc.id"] in text
        for key in ("vm.id", "vpc.id", "tenant.id", "startid", "template.id"):
            assert other.ids[key] not in text, (op, key)
    owned = [row["template.id"] for row in one.ok("POST cloudtemplate/search").data]
    assert one.template_id in owned and other.template_id not in owned


def test_a_model_does_not_lend_a_tenants_template(world):
    world.admin.refused("POST cloudvm/model/bind",
                        {"vm.tenant.model": world.model, "vm.template.id": world.other.template_id},
                        "TEMPLATE_STATE", "vm.template.id")


def test_an_admins_template_is_for_all_and_theirs_to_delete(world, template):
    one = world.one
    assert one.ok("POST cloudtemplate/search", {"template.id": template}).count == 1
    one.refused("DELETE cloudtemplate/{templateId}", {"templateId": template}, "ADMIN_ONLY")
    vm = one.vm(vnic_portgroupid=one.ids["vpc.id"], vm_template_id=template)
    one.run("DELETE cloudvm/{vmId}", {"vmId": vm})


def test_a_tenant_does_not_read_the_servers_files(world):
    for path in ("/etc/passwd", "/nonexistent", "relative", world.admin.server.data + "/admin.token"):
        reply = world.one.refused("POST cloudtemplate/import", {"template.name": "x", "template.path": path},
                                  "ADMIN_ONLY")
        assert path not in reply.text
