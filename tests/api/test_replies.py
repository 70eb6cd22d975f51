"""Every operation that is served succeeds here at least once, and its reply is what its rows promise: the keys and no
others, their types, lists and what is in them."""
import pytest
from images import MIB
from schemas import Replies, breaches
from servers import Servers
from starvirt import dump_routes, op_name, wait_until
from test_slb import certificate
from test_storage import ceph_params

SERVED = {op_name(route) for route in dump_routes() if route["served"]}


# Nothing of that is to be had on a cloud without a network: test_in_force.py and test_keeper.py see their rows.
EMPTY = {"POST cloudsegroup/retryrule/search", "PUT cloudnetwork/check"}


class Walk:
    """Calls operations as anybody would, and keeps what their replies had to do with their descriptions."""

    def __init__(self, server):
        self.server, self.admin = server, server.admin
        self.replies = Replies(server.admin)
        self.met, self.wrong = set(), []

    def ok(self, client, op, params=None, **how):
        reply = client.ok(op, params, **how)
        self.met.add(op)
        self.wrong += self.replies.breaches(op, reply)
        if reply.data == [] and self.replies.rows_of(op) and op not in EMPTY:
            self.wrong.append(f"{op}: an empty list says nothing of its rows")
        if "startid" in reply.body:
            client.done(reply.startid)
        return reply

    def run_each(self, client, op, params):
        """An operation that answers with a job for each VM."""
        rows = self.ok(client, op, params).data
        for row in rows:
            client.done(row["jobstartid"])
        return rows


@pytest.fixture(scope="module")
def walked(tmp_path_factory, raw_image):
    servers = Servers(tmp_path_factory.mktemp("walk"))
    server = servers(connect="sim://?hosts=2&control=1&storage=20G&pool=1T", options=["--monitor.interval", "1"])
    server.tellable.add(server.data)  # where its image directories are: administrators are told
    walk = Walk(server)
    try:
        tenant = tenants(walk)
        templates(walk, tenant, raw_image)
        vms(walk, tenant)
        balancers(walk, tenant)
        no_routers(walk, tenant)
        alarms(walk, tenant)
        storages(walk)
        hosts(walk)
        ends(walk, tenant)
        yield walk
    finally:
        servers.finish()


def tenants(w):
    made = w.ok(w.admin, "POST cloudTenant/create", {"app.name": "one", "app.desc": "of the walk"}).data
    w.ok(w.admin, "PUT cloudTenant/modify", {"app.id": made["app.id"], "app.desc": "changed"})
    w.ok(w.admin, "POST cloudTenant/search")
    token = w.ok(w.admin, "POST cloudTenant/token/create", {"app.id": made["app.id"], "token.desc": "second"}).data
    w.ok(w.admin, "POST cloudTenant/token/search", {"app.id": made["app.id"]})
    w.ok(w.admin, "DELETE cloudTenant/token/{tokenId}", {"tokenId": token["token.id"]})
    other = w.ok(w.admin, "POST cloudTenant/create", {"app.name": "other"}).data["app.id"]
    w.ok(w.admin, "DELETE cloudTenant/{appId}", {"appId": other})
    w.ok(w.admin, "PUT resourcequota/modify", {"tenantId": made["app.id"], "cpu": 64, "memory": 65536, "storage": 500,
                                               "ip": 5, "vpc": 20})
    tenant = type(w.admin)(w.server, made["app.token"])
    tenant.id = made["app.id"]
    w.ok(tenant, "POST resourcequota/search")
    w.ok(w.admin, "POST resourcequota/usableQuota", {"tenant.id": tenant.id})
    return tenant


def templates(w, tenant, raw_image):
    w.template = w.ok(w.admin, "POST cloudtemplate/import", {"template.name": "blank", "template.path": raw_image,
                                                             "template.format": "raw"}).data["template.id"]
    up = w.ok(tenant, "POST cloudtemplate/upload", query={"name": "own", "format": "raw"}, body=bytes(MIB),
              type="application/octet-stream").data["template.id"]
    w.ok(tenant, "POST cloudtemplate/search")
    w.ok(tenant, "DELETE cloudtemplate/{templateId}", {"templateId": up})
    w.ok(w.admin, "POST cloudvm/addVhostModelAndType", {"type": "tenant_type", "label": "A type", "value": "kind"})
    for value in ("small", "spare"):
        made = w.ok(w.admin, "POST cloudvm/addVhostModelAndType", {"type": "kind", "label": value, "value": value}).data
    w.ok(w.admin, "POST cloudvm/model/bind", {"vm.tenant.model": "small", "vm.template.id": w.template})
    w.ok(tenant, "GET cloudvm/model")
    w.ok(w.admin, "DELETE cloudvm/delVhostModelAndType/{id}", {"id": made[0]["id"]})


def monitoring(w, tenant):
    vm = {"monitor.obj.type": "vm", "monitor.obj": w.vm}
    for what in ("compute", "everydisk", "everynet"):
        w.ok(tenant, f"POST cloudmonitor/{what}/current", vm)
    history = {**vm, "lineType": "minute"}
    wait_until(lambda: tenant.ok("POST cloudmonitor/compute/history", history).data, "a sample")
    for what in ("compute", "disk", "net"):
        w.ok(tenant, f"POST cloudmonitor/{what}/history", history)
    w.ok(tenant, "POST cloudmonitor/compute/currents", {"monitor.obj.type": "vm", "monitor.objids": [w.vm]})


def vms(w, tenant):
    w.vpc = w.ok(tenant, "POST cloudnetwork/vpc/create", {"vpc.name": "net", "vpc.desc": "x"}).data["vpc.id"]
    w.ok(tenant, "PUT cloudnetwork/vpc/modify", {"vpc.id": w.vpc, "vpc.desc": "changed"})
    w.ok(tenant, "POST cloudnetwork/vpc/search")
    spare = w.ok(tenant, "POST cloudnetwork/vpc/create", {"vpc.name": "spare"}).data["vpc.id"]
    w.ok(tenant, "POST cloudnetwork/vpc/delete", {"vpc.id": spare})
    w.vm = w.run_each(tenant, "POST cloudvm/create", {"vnic.portgroupid": w.vpc, "vm.tenant.model": "small",
                                                      "vm.vcpu.num": 1, "vm.memory.mem": 64})[0]["vm.id"]
    routers(w, tenant)
    monitoring(w, tenant)
    vm = {"vm.id": w.vm}
    w.ok(tenant, "PUT cloudvm/modify", {**vm, "vm.name": "named", "vm.desc": "described"})
    w.ok(tenant, "POST cloudvm/switchfirewalld", {**vm, "vm.firewalld.enable": "false"})
    w.ok(tenant, "GET cloudvm/connection/{vmId}", {"vmId": w.vm})
    w.ok(tenant, "POST cloudvm/resumeCloudAgent", vm)
    w.ok(tenant, "POST cloudvm/setadminpwd", {**vm, "pwd": "gEheim-123"})
    w.ok(tenant, "POST cloudvm/editvncpwd", {**vm, "vm.vncpasswd": "gEheim12"})
    w.ok(tenant, "POST cloudvm/setvncpwd", vm)
    for verb in ("suspend", "resume", "restart", "shutdown", "start"):
        w.ok(tenant, f"PUT cloudvm/{verb}", vm)
    w.ok(tenant, "PUT cloudvm/cpu/modify", {**vm, "vm.vcpu.num": 2})
    w.ok(tenant, "PUT cloudvm/mem/modify", {**vm, "vm.memory.mem": 192})
    w.ok(tenant, "GET cloudvm/{vmId}", {"vmId": w.vm})
    w.ok(tenant, "POST cloudvm/search", vm)
    disk = w.ok(tenant, "POST cloudvm/vdisk/add", {"vdisk.vmid": w.vm, "vdisk.name": "data", "vdisk.size": 1}).data
    w.ok(tenant, "PUT cloudvm/vdisk/extend", {"vdisk.id": disk["vdisk.id"], "vdisk.size": 2})
    w.ok(tenant, "POST cloudvm/vdisk/search", {"vdisk.vmid": w.vm})
    w.ok(tenant, "DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disk["vdisk.id"]})
    nic = w.ok(tenant, "POST cloudvm/vnic/add", {"vnic.vmid": w.vm, "vnic.portgroupid": w.vpc}).data["vnic.id"]
    w.ok(tenant, "POST cloudvm/vnic/search", {"vnic.vmid": w.vm})
    firewall(w, tenant, nic)
    w.ok(tenant, "DELETE cloudvm/vnic/{vnicId}", {"vnicId": nic})
    addresses(w, tenant)
    copies(w, tenant)


def firewall(w, tenant, nic):
    affinity = w.ok(tenant, "POST cloudaffinity/create", {"affinity.name": "web", "affinity.policy": "apart"}).data
    w.ok(tenant, "POST cloudaffinity/search")
    w.ok(tenant, "DELETE cloudaffinity/{affinityId}", {"affinityId": affinity["affinity.id"]})
    group = w.ok(tenant, "POST cloudsegroup/create", {"securitygroup.name": "web"}).data["securitygroup.id"]
    w.ok(tenant, "POST cloudsegroup/search")
    w.ok(tenant, "POST cloudsegroup/vnic/bind", {"securitygroup.id": group, "vnic.id": nic})
    w.ok(tenant, "POST cloudsegroup/vnic/search", {"securitygroup.id": group})
    rule = w.ok(tenant, "POST cloudsegroup/rule/add", {"aclrule.securitygroupid": group, "aclrule.direction": "in",
                                                       "aclrule.vmport": "80"}).data["aclrule.id"]
    w.ok(tenant, "POST cloudsegroup/rule/search", {"aclrule.securitygroupid": group})
    w.ok(tenant, "POST cloudsegroup/rule/vm", {"vm.id": w.vm})
    w.ok(tenant, "DELETE cloudsegroup/rule/{ruleid}", {"ruleid": rule})
    w.ok(tenant, "POST cloudsegroup/retryrule/search")
    w.ok(tenant, "PUT cloudsegroup/retryrule/reset")
    w.ok(w.admin, "PUT cloudnetwork/check")
    w.ok(tenant, "POST cloudsegroup/vnic/unbind", {"securitygroup.id": group, "vnic.id": nic})
    w.ok(tenant, "DELETE cloudsegroup/{securitygroupid}", {"securitygroupid": group})
    address = tenant.show(w.vm)["vm.ip"]
    rule = w.ok(tenant, "POST cloudnetwork/acessrule/add", {"vm.ip": address, "aclrule.type": "net_gate"}).data
    w.ok(tenant, "POST cloudnetwork/acessrule/search", {"page.startnum": 1, "page.everypagenum": 30})
    w.ok(tenant, "DELETE cloudnetwork/acessrule/{ruleId}", {"ruleId": rule["rule.id"]})


def addresses(w, tenant):
    """Pools, and mappings onto the VM's first NIC."""
    for kind, first in (("outer", 10), ("share", 20)):
        w.ok(w.admin, "POST cloudip/pool/add", {
            "pool.type": kind, "pool.start": f"198.51.100.{first}", "pool.end": f"198.51.100.{first + 3}",
            "pool.gateway": "198.51.100.1", "pool.netmask": "255.255.255.0", "pool.desc": "outside"})
    pools = w.ok(w.admin, "POST cloudip/pool/search").data
    inner = tenant.show(w.vm)["vm.ip"]
    for kind in ("ip", "port"):
        w.ok(tenant, "POST cloudip/mapping/outerIp/search", {"nat.type": kind})
    w.ok(tenant, "POST cloudnetwork/sharenet/connect", {"vm.id": w.vm, "vm.allow.srcip": "192.0.2.0/24", "desc": "x"})
    w.ok(tenant, "POST cloudnetwork/sharenet/search", {"page.startnum": 1, "page.everypagenum": 30})
    w.ok(tenant, "POST cloudnetwork/portMapping/create", {
        "innerIp": inner, "innerPort": 80, "ipaddress": "198.51.100.12", "outerPort": 8080, "protocal": "both"})
    w.ok(tenant, "POST cloudip/mapping/outerIp/search")
    for row in w.ok(tenant, "POST vroute/Mapping/search").data:
        w.ok(tenant, "DELETE cloudnetwork/ipmapping/{natId}", {"natId": row["nat_id"]})
    w.ok(w.admin, "DELETE cloudip/pool/{poolId}", {"poolId": pools[1]["pool.id"]})


def copies(w, tenant):
    past = w.ok(tenant, "POST cloudvm/snapshot/create", {"snapshot.vmid": w.vm, "snapshot.name": "past"}).data
    w.ok(tenant, "PUT cloudvm/snapshot/modify", {"snapshot.id": past["snapshot.id"], "snapshot.name": "long past"})
    w.ok(tenant, "GET cloudvm/snapshot/{vmId}", {"vmId": w.vm})
    w.ok(tenant, "PUT cloudvm/snapshot/restore", {"snapshot.id": past["snapshot.id"]})
    w.ok(tenant, "DELETE cloudvm/snapshot/{snapshotId}", {"snapshotId": past["snapshot.id"]})
    kept = w.ok(tenant, "POST cloudvm/backup/create", {"backup.vmid": w.vm, "backup.name": "kept"}).data["backup.id"]
    w.ok(tenant, "PUT cloudvm/backup/modify", {"backup.id": kept, "backup.name": "well kept"})
    w.ok(tenant, "GET cloudvm/backup/{vmId}", {"vmId": w.vm})
    w.ok(tenant, "PUT cloudvm/backup/restore", {"backup.id": kept})
    clone = w.run_each(tenant, "POST cloudvm/backup/clone", {"backup.id": kept, "vm.name": "clone"})[0]["vm.id"]
    w.ok(tenant, "DELETE cloudvm/backup/{backupId}", {"backupId": kept})
    w.ok(tenant, "POST cloudtemplate/create", {"vm.id": w.vm, "template.name": "of it"})
    w.ok(tenant, "DELETE cloudvm/{vmId}", {"vmId": clone})


def routers(w, tenant):
    (first, second) = w.run_each(tenant, "POST vroute/create", {"vroute.name": "way out", "vroute.ha.enable": True})
    w.router = first["vm.id"]
    w.ok(tenant, "GET vroute/{vmId}", {"vmId": second["vm.id"]})
    w.ok(tenant, "POST vroute/search")
    w.ok(tenant, "POST vroute/vpcAdd", {"portgroup.id": w.vpc})
    w.ok(tenant, "POST cloudnetwork/netgate", {"portgroup.id": w.vpc, "type": "close"})
    w.ok(tenant, "POST cloudnetwork/netgate", {"portgroup.id": w.vpc, "type": "open"})


def no_routers(w, tenant):
    w.ok(tenant, "POST vroute/vpcDelete", {"portgroup.id": w.vpc})
    w.ok(tenant, "DELETE vroute/{vmId}", {"vmId": w.router})


def balancers(w, tenant):
    ip = tenant.show(w.vm)["vm.ip"]
    add = {"slb.appid": tenant.id, "slb.vmid": w.router, "slb.network.type": "inner",
           "slb.directip": ip.rsplit(".", 1)[0] + ".200"}
    cert, key = certificate()
    slb = w.ok(tenant, "POST cloudslb/add", {**add, "slb.name": "web", "slb.protocal.type": "https",
                                             "slb.directport": 443, "slb.https.cert.text": cert,
                                             "slb.https.cert.key": key}).data["slb.id"]
    w.ok(tenant, "PUT cloudslb/https/cert/conf", {"slb.id": slb, "slb.https.cert.text": cert,
                                                  "slb.https.cert.key": key})
    w.ok(tenant, "PUT cloudslb/modify", {"slb.id": slb, "slb.policy.type": "wrr"})
    w.ok(tenant, "POST cloudslb/stop", {"slb.id": slb})
    w.ok(tenant, "POST cloudslb/start", {"slb.id": slb})
    node = w.ok(tenant, "POST cloudslb/realnode/add", {"realnode.slbid": slb, "realnode.ip": ip, "realnode.port": 80,
                                                       "realnode.vmid": w.vm}).data["realnode.id"]
    w.ok(tenant, "PUT cloudslb/realnode/modify", {"realnode.id": node, "realnode.weight": 2})
    w.ok(tenant, "POST cloudslb/search")
    w.ok(tenant, "POST cloudslb/realnode/search")
    w.ok(tenant, "DELETE cloudslb/realnode/{realnodeid}", {"realnodeid": node})
    w.ok(tenant, "DELETE cloudslb/{slbid}", {"slbid": slb})


def alarms(w, tenant):
    for host in ("host1", "host2"):  # the one that has it not takes it for nothing
        w.server.control(f"crash={w.vm}", host)
    params = {"alarm.relieve.way": "none", "page.startnum": 1, "page.everypagenum": 30}
    wait_until(lambda: tenant.ok("POST cloudalarm/search", params).data, "the alarm of the crash")
    (row,) = w.ok(tenant, "POST cloudalarm/search", params).data
    w.ok(tenant, "PUT cloudalarm/relieve", {"alarm.id": row["alarm.id"]})
    w.ok(tenant, "PUT cloudvm/start", {"vm.id": w.vm})
    w.ok(w.admin, "POST cloudalarm/threshold/search")
    w.ok(w.admin, "PUT cloudalarm/threshold/modify", {"alarm.type": "vm.cpu", "threshold.value": 80})


def storages(w):
    ceph = w.ok(w.admin, "POST cloudstorage/add", ceph_params()).data["storage.id"]
    w.ok(w.admin, "PUT cloudstorage/modify", {"storage.id": ceph, "storage.name": "for clusters"})
    w.ok(w.admin, "PUT cloudstorage/refresh", {"storage.id": ceph})
    w.ok(w.admin, "POST cloudstorage/search")
    (made,) = w.ok(w.admin, "POST cloudvm/vdisk/create/pv", {"vdisk.name": "pv", "vdisk.size": 1,
                                                             "vdisk.storageid": ceph}).data
    w.ok(w.admin, "DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": made["vdisk.id"]})
    w.ok(w.admin, "DELETE cloudstorage/{storageId}", {"storageId": ceph})


def hosts(w):
    mine = w.ok(w.admin, "POST cloudhost/add", {"host.name": "third", "host.uri": "sim://?name=third"}).data["host.id"]
    w.ok(w.admin, "POST cloudhost/search")
    w.ok(w.admin, "PUT cloudhost/modify", {"host.id": mine, "host.labels": "zone=b"})
    w.ok(w.admin, "PUT cloudhost/mending", {"host.id": mine, "host.ismending": True})
    w.ok(w.admin, "DELETE cloudhost/{hostId}", {"hostId": mine})


def ends(w, tenant):
    """The power cut, a job that is called off, and what is left to look at."""
    w.ok(tenant, "PUT cloudvm/destroy", {"vm.id": w.vm})
    w.server.control("hang=1", "host1")
    w.server.control("hang=1", "host2")
    startid = tenant.ok("PUT cloudvm/start", {"vm.id": w.vm}).startid
    w.ok(tenant, "PUT joblog/cancel", {"startid": startid})
    w.server.control("hang=0", "host1")
    w.server.control("hang=0", "host2")
    tenant.follow(startid)
    w.ok(tenant, "POST joblog/search")
    w.ok(tenant, "GET joblog/{startid}", {"startid": startid})
    w.ok(tenant, "GET events")


def test_every_operation_succeeds_somewhere(walked):
    assert walked.met == SERVED, f"never met: {sorted(SERVED - walked.met)}; not served: {sorted(walked.met - SERVED)}"


def test_every_reply_is_as_described(walked):
    assert walked.wrong == [], "\n".join(walked.wrong)


@pytest.mark.parametrize("schema,value,said", [
    ({"type": "string"}, "x", []),
    ({"type": "string"}, 1, ["data: 1 is no string"]),
    ({"type": "number"}, True, ["data: True is no number"]),
    ({"const": ""}, {}, ["data: {} is not ''"]),
    ({"type": "object", "properties": {"a": {"type": "string"}}}, {}, ["data: 'a' is missing"]),
    ({"type": "object", "properties": {"a": {"type": "string"}}, "required": []}, {}, []),
    ({"type": "object", "properties": {}}, {"b": 1}, ["data: 'b' is not described"]),
    ({"type": "array", "items": {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}}},
     [{"a": ["x"]}, {"a": ["x", 2]}], ["data[1].a[1]: 2 is no string"]),
    ({"type": "array"}, {}, ["data: {} is no array"]),
])
def test_breaches_are_found(schema, value, said):
    assert breaches(schema, value) == said
