"""Another tenant's id in every id-bearing field of every operation answers, byte for byte, as an id that
nobody has (threats 19, 20); and nothing of one tenant is seen or changed by another."""
import json
import uuid

import pytest
from starvirt import dump_routes, op_name
from test_negative import params_of

SERVED = [route for route in dump_routes() if route["served"]]
# text parameters of searches that ids go into
TEXT_IDS = {"POST cloudvm/search": ["vm.id", "vm.ip", "vm.name"]}


class World:
    """Two tenants with the same things each, and what each key may name."""

    def __init__(self, admin, raw_image):
        self.admin = admin
        self.api = json.loads(admin.request("GET", "/openapi.json").raw)["paths"]
        self.model = admin.model()
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
        tokens = self.admin.ok("POST cloudTenant/token/search", {"app.id": who.id}).data
        who.ids = {
            "vm.id": made["vm.id"], "vmId": made["vm.id"], "job.objid": made["vm.id"], "startid": made["jobstartid"],
            "vnic.portgroupid": vpc, "vpc.id": vpc, "template.id": who.template_id, "templateId": who.template_id,
            "vm.template.id": who.template_id, "tenant.id": who.id, "app.id": who.id, "appId": who.id,
            "tenantId": who.id, "tokenId": tokens[0]["token.id"], "vm.ip": row["vm.ip"], "vm.name": row["vm.name"],
            "vnic.vmid": made["vm.id"], "vdisk.vmid": made["vm.id"], "vdisk.id": disk, "vdiskId": disk, "vnicId": nic,
            "snapshot.vmid": made["vm.id"], "snapshot.id": snapshot.data["snapshot.id"],
            "snapshotId": snapshot.data["snapshot.id"],
            "backup.vmid": made["vm.id"], "backup.id": backup.data["backup.id"],
            "backupId": backup.data["backup.id"],
            **dict.fromkeys(("storage.id", "storageId", "vdisk.storageid", "storage.hostid"), str(uuid.uuid4())),
            "vm.hostid": str(uuid.uuid4()), "id": str(uuid.uuid4()),
        }
        return who


@pytest.fixture(scope="module")
def world(admin, raw_image):
    return World(admin, raw_image)


def picture(who):
    """All that this tenant owns; the rest of the cloud may go on."""
    ops = ["POST cloudvm/search", "POST cloudnetwork/vpc/search", "POST cloudtemplate/search", "POST joblog/search",
           "GET events"]
    own = [who.ok(f"GET cloudvm/{what}/{{vmId}}", {"vmId": who.ids["vmId"]}).body for what in ("snapshot", "backup")]
    own.append(who.usable())
    return json.dumps([who.ok(op).body for op in ops] + own)


# What every operation needs besides, where its parameters alone do not say so.
ALSO = {
    "POST cloudvm/create": {"vm.vcpu.num": 1, "vm.memory.mem": 64, "vm.tenant.model": "MODEL"},
    "PUT cloudvm/cpu/modify": {"vm.vcpu.num": 2},
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
    theirs = world.other.ids[key]
    nobody = "01900000-0000-7000-8000-" + uuid.uuid4().hex[:12]
    unknown = {"vm.ip": "10.255.255.9", "vm.name": "vm-00000000"}.get(key, nobody)
    before = picture(world.one), picture(world.other)
    foreign = ask(world, route, key, theirs)
    nobodys = ask(world, route, key, unknown)
    assert (foreign.status, foreign.raw) == (nobodys.status, nobodys.raw), f"{foreign!r}\n{nobodys!r}"
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
    assert one.ok("POST joblog/search", {"job.objid": one.ids["vm.id"]}).count == 3
    assert one.ok("POST joblog/search", {"startid": one.ids["startid"]}).count == 1
    assert one.ok("GET joblog/{startid}", {"startid": one.ids["startid"]}).data["startid"] == one.ids["startid"]
    assert one.ok("POST cloudtemplate/search", {"template.id": one.template_id}).count == 1


def test_lists_hold_ones_own_only(world):
    one, other = world.one, world.other
    for op in ("POST cloudvm/search", "POST cloudnetwork/vpc/search", "POST joblog/search", "GET events"):
        text = json.dumps(one.ok(op).body)
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
