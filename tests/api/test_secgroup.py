"""Security groups, their NICs and rules: rows, bounds, refusals, and what goes with a NIC."""
import uuid

import pytest
from servers import Servers
from test_vnic import NOBODY, add, delete, nics

GROUPS_OF_A_NIC = 16


def group(client, name="web", **more):
    return client.ok("POST cloudsegroup/create", {"securitygroup.name": name, **more}).data["securitygroup.id"]


def groups(client, **how):
    return client.ok("POST cloudsegroup/search", how).data


def members(client, gid, **how):
    return [row["vnic.id"] for row in client.ok("POST cloudsegroup/vnic/search", {"securitygroup.id": gid, **how}).data]


def bind(client, gid, *ids):
    return client.ok("POST cloudsegroup/vnic/bind", {"securitygroup.id": gid, "vnic.id": ",".join(ids)})


def unbind(client, gid, *ids):
    return client.ok("POST cloudsegroup/vnic/unbind", {"securitygroup.id": gid, "vnic.id": ",".join(ids)})


def asked(gid, way="in", **how):
    return {"aclrule.securitygroupid": gid, "aclrule.direction": way,
            **{f"aclrule.{key}": value for key, value in how.items()}}


def allow(client, gid, way="in", **how):
    return client.ok("POST cloudsegroup/rule/add", asked(gid, way, **how)).data["aclrule.id"]


def rules(client, gid, **how):
    return client.ok("POST cloudsegroup/rule/search", {"aclrule.securitygroupid": gid, **how})


@pytest.fixture
def nic(tenant, model):
    tenant.own_vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)
    return nics(tenant, tenant.own_vm)[0]["vnic.id"]


# ------------------------------------------------------------------------------------------------ groups
def test_groups(tenant, admin):
    one = group(tenant, "front", **{"securitygroup.desc": "of the web"})
    two = group(admin, "back", **{"securitygroup.appid": tenant.id})
    first, second = groups(tenant)
    assert first["securitygroup.id"] == one and first["securitygroup.name"] == "front"
    assert first["securitygroup.desc"] == "of the web" and first["securitygroup.createtime"]
    assert first["securitygroup.appid"] == tenant.id and first["securitygroup.appname"] == tenant.name
    assert second["securitygroup.id"] == two and second["securitygroup.desc"] == ""
    assert groups(tenant, **{"securitygroup.name": "FRON"}) == [first]
    assert groups(tenant, **{"securitygroup.id": two}) == [second]
    assert groups(tenant, **{"securitygroup.id": "none"}) == []
    page = tenant.ok("POST cloudsegroup/search", {"page.startnum": 2, "page.everypagenum": 1})
    assert page.data == [second] and page.count == 2
    tenant.ok("DELETE cloudsegroup/{securitygroupid}", {"securitygroupid": one})
    tenant.refused("DELETE cloudsegroup/{securitygroupid}", {"securitygroupid": one}, "GROUP_NOT_FOUND",
                   "securitygroupid")
    assert groups(tenant) == [second]


@pytest.mark.parametrize("params,code,field", [
    ({}, "PARAM_MISSING", "securitygroup.name"),
    ({"securitygroup.name": "a\nb"}, "PARAM_CHARS", "securitygroup.name"),
    ({"securitygroup.name": "x" * 129}, "PARAM_LENGTH", "securitygroup.name"),
    ({"securitygroup.name": "a", "securitygroup.desc": "x" * 1025}, "PARAM_LENGTH", "securitygroup.desc"),
    ({"securitygroup.name": "a", "securitygroup.appid": NOBODY}, "TENANT_NOT_FOUND", "securitygroup.appid"),
])
def test_groups_that_are_refused(tenant, params, code, field):
    tenant.refused("POST cloudsegroup/create", params, code, field)
    assert groups(tenant) == []


# ------------------------------------------------------------------------------------------------ their NICs
def test_members(tenant, model, nic):
    gid = group(tenant)
    second = add(tenant, tenant.own_vm, tenant.vpc())
    tenant.ok("POST cloudsegroup/vnic/bind", {"securitygroup.id": gid, "vnic.id": f"{nic} , {second}"})
    assert members(tenant, gid) == sorted([nic, second])
    rows = {row["vnic.id"]: row for row in nics(tenant, tenant.own_vm)}
    (row,) = tenant.ok("POST cloudsegroup/vnic/search",
                       {"securitygroup.id": gid, "vnic.ipaddress": rows[second]["vnic.ipaddress"]}).data
    assert row == rows[second]
    page = tenant.ok("POST cloudsegroup/vnic/search",
                     {"securitygroup.id": gid, "page.startnum": 2, "page.everypagenum": 1})
    assert [r["vnic.id"] for r in page.data] == sorted([nic, second])[1:] and page.count == 2
    bind(tenant, gid, nic, nic)
    assert len(members(tenant, gid)) == 2
    tenant.refused("DELETE cloudsegroup/{securitygroupid}", {"securitygroupid": gid}, "GROUP_IN_USE",
                   "securitygroupid")
    delete(tenant, second)
    assert members(tenant, gid) == [nic]
    unbind(tenant, gid, nic)
    unbind(tenant, gid, nic)
    assert members(tenant, gid) == []
    tenant.ok("DELETE cloudsegroup/{securitygroupid}", {"securitygroupid": gid})


def test_all_or_none(tenant, model, nic):
    gid, other = group(tenant), group(tenant)
    bind(tenant, other, nic)
    for wrong in (NOBODY, "x", ""):
        tenant.refused("POST cloudsegroup/vnic/bind", {"securitygroup.id": gid, "vnic.id": f"{nic},{wrong}"},
                       "NIC_NOT_FOUND", "vnic.id")
        tenant.refused("POST cloudsegroup/vnic/unbind", {"securitygroup.id": other, "vnic.id": f"{nic},{wrong}"},
                       "NIC_NOT_FOUND", "vnic.id")
    tenant.refused("POST cloudsegroup/vnic/bind", {"securitygroup.id": NOBODY, "vnic.id": nic}, "GROUP_NOT_FOUND",
                   "securitygroup.id")
    assert members(tenant, gid) == [] and members(tenant, other) == [nic]


def test_a_nic_and_a_group_are_of_one_tenant(admin, tenant, nic):
    other = admin.tenant()
    theirs = group(other)
    for client in (tenant, other, admin):
        client.refused("POST cloudsegroup/vnic/bind", {"securitygroup.id": theirs, "vnic.id": nic})
    assert members(other, theirs) == []


def test_a_nic_is_in_so_many_groups(tenant, nic):
    for n in range(GROUPS_OF_A_NIC):
        bind(tenant, group(tenant, f"g{n}"), nic)
    more = group(tenant, "more")
    tenant.refused("POST cloudsegroup/vnic/bind", {"securitygroup.id": more, "vnic.id": nic}, "NIC_GROUPS", "vnic.id")
    assert members(tenant, more) == []


# ------------------------------------------------------------------------------------------------ their rules
def test_rules(tenant):
    gid, other = group(tenant), group(tenant)
    web = allow(tenant, gid, protocal="tcp", vmport="443, 80:81,82", srcip="10.1.0.128/25,10.1.0.0/25")
    ping = allow(tenant, gid, "out", protocal="icmp", target="10.0.0.9,10.0.0.8,10.0.0.10")
    every = allow(tenant, other)
    assert rules(tenant, gid).data == [
        {"aclrule_id": web, "aclrule_srcip": "10.1.0.0/24", "aclrule_target": "", "aclrule_direction": "in",
         "aclrule_vmport": "80:82,443", "aclrule_protocal": "tcp", "aclrule_securitygroupid": gid},
        {"aclrule_id": ping, "aclrule_srcip": "", "aclrule_target": "10.0.0.8-10.0.0.10", "aclrule_direction": "out",
         "aclrule_vmport": "", "aclrule_protocal": "icmp", "aclrule_securitygroupid": gid}]

    def found(**how):
        reply = rules(tenant, f"{gid},{other}", **{f"aclrule.{key}": value for key, value in how.items()})
        assert reply.count == len(reply.data)
        return [row["aclrule_id"] for row in reply.data]

    assert found() == [web, ping, every]
    assert found(id=ping) == [ping] and found(id="x") == []
    assert found(vmport="443,80:82") == [web] and found(vmport="80") == []
    assert found(protocal="icmp") == [ping] and found(direction="in") == [web, every]
    assert found(srcip="1.0.0") == [web] and found(target="10.0.0.8") == [ping]
    page = rules(tenant, f"{gid},{other}", **{"page.startnum": 2, "page.everypagenum": 2})
    assert [row["aclrule_id"] for row in page.data] == [every] and page.count == 3
    tenant.refused("POST cloudsegroup/rule/search", {"aclrule.securitygroupid": f"{gid},{NOBODY}"}, "GROUP_NOT_FOUND",
                   "aclrule.securitygroupid")
    tenant.ok("DELETE cloudsegroup/rule/{ruleid}", {"ruleid": ping})
    tenant.refused("DELETE cloudsegroup/rule/{ruleid}", {"ruleid": ping}, "RULE_NOT_FOUND", "ruleid")
    tenant.refused("DELETE cloudnetwork/acessrule/{ruleId}", {"ruleId": web}, "RULE_NOT_FOUND", "ruleId")
    tenant.ok("DELETE cloudsegroup/{securitygroupid}", {"securitygroupid": gid})
    assert [row["aclrule_id"] for row in rules(tenant, other).data] == [every]


@pytest.mark.parametrize("more,code,field", [
    ({"aclrule.vmport": "0"}, "PARAM_FORMAT", "aclrule.vmport"),
    ({"aclrule.vmport": "65536"}, "PARAM_FORMAT", "aclrule.vmport"),
    ({"aclrule.vmport": "81:80"}, "PARAM_FORMAT", "aclrule.vmport"),
    ({"aclrule.vmport": "80\n81"}, "PARAM_CHARS", "aclrule.vmport"),
    ({"aclrule.vmport": ",".join(map(str, range(1, 131, 2)))}, "PARAM_RANGE", "aclrule.vmport"),
    ({"aclrule.vmport": "80", "aclrule.protocal": "icmp"}, "PARAM_CONFLICT", "aclrule.vmport"),
    ({"aclrule.srcip": "10.0.0.1/24"}, "PARAM_FORMAT", "aclrule.srcip"),
    ({"aclrule.srcip": "10.0.0.9-10.0.0.1"}, "PARAM_FORMAT", "aclrule.srcip"),
    ({"aclrule.srcip": "::1"}, "PARAM_FORMAT", "aclrule.srcip"),
    ({"aclrule.target": "10.0.0.256"}, "PARAM_FORMAT", "aclrule.target"),
    ({"aclrule.target": "10.0.0.1,"}, "PARAM_FORMAT", "aclrule.target"),
    ({"aclrule.protocal": "sctp"}, "PARAM_ENUM", "aclrule.protocal"),
    ({"aclrule.direction": "both"}, "PARAM_ENUM", "aclrule.direction"),
    ({"aclrule.direction": ""}, "PARAM_MISSING", "aclrule.direction"),
    ({"aclrule.securitygroupid": NOBODY}, "GROUP_NOT_FOUND", "aclrule.securitygroupid"),
])
def test_rules_that_are_refused(tenant, more, code, field):
    gid = group(tenant)
    tenant.refused("POST cloudsegroup/rule/add", {**asked(gid), **more}, code, field)
    assert rules(tenant, gid).data == []


def test_host_bits_are_shown_the_network(tenant):
    reply = tenant.refused("POST cloudsegroup/rule/add", asked(group(tenant), srcip="10.0.0.1/24"), "PARAM_FORMAT")
    assert "10.0.0.0/24" in reply.text


def test_the_same_twice(tenant):
    gid = group(tenant)
    first = allow(tenant, gid, protocal="tcp", vmport="80,81", srcip="10.0.0.0/24")
    reply = tenant.refused("POST cloudsegroup/rule/add",
                           asked(gid, protocal="tcp", vmport="80:81", srcip="10.0.0.128/25,10.0.0.0/25"),
                           "RULE_EXISTS")
    assert first in reply.text
    allow(tenant, gid, "out", protocal="tcp", vmport="80:81", srcip="10.0.0.0/24")
    allow(tenant, group(tenant), protocal="tcp", vmport="80:81", srcip="10.0.0.0/24")
    assert rules(tenant, gid).count == 2


def test_a_tenant_has_so_many_rules(server):
    """Of all its groups, NICs and boundaries together. What is written beside the server stands for 9,999 requests."""
    one = server()
    tenant = one.admin.tenant()
    gids = [group(tenant, f"g{n}") for n in range(11)]
    allow(tenant, gids[0], protocal="tcp", vmport=1)
    with one.database("rw") as db, db:
        (row,) = db.execute("SELECT * FROM rule").fetchall()
        db.executemany("INSERT INTO rule VALUES(" + ",".join("?" * len(row)) + ")", [
            (str(uuid.uuid4()), *row[1:4], gids[n // 1000], *row[5:9], str(n % 1000 + 1), *row[10:])
            for n in range(1, 9999)])
    last = allow(tenant, gids[10], protocal="tcp", vmport=1)
    reply = tenant.refused("POST cloudsegroup/rule/add", asked(gids[10], protocal="tcp", vmport="2"), "RULE_LIMIT",
                           "aclrule.securitygroupid")
    assert "10000" in reply.text
    tenant.ok("DELETE cloudsegroup/rule/{ruleid}", {"ruleid": last})
    allow(tenant, gids[10], protocal="tcp", vmport=2)


def test_a_group_has_so_many_rules(tenant):
    gid = group(tenant)
    for port in range(1, 1001):
        allow(tenant, gid, protocal="tcp", vmport=port)
    tenant.refused("POST cloudsegroup/rule/add", asked(gid, protocal="udp", vmport="1"), "RULE_LIMIT",
                   "aclrule.securitygroupid")
    assert rules(tenant, gid, **{"page.startnum": 34, "page.everypagenum": 30}).count == 1000


# ------------------------------------------------------------------------------------------------ of a VM
def test_rules_of_a_vm(tenant, model, nic):
    """Nothing is in force where there is no network; what there is is told all the same."""
    gid, other, none = group(tenant, "a"), group(tenant, "b"), group(tenant, "c")
    second = add(tenant, tenant.own_vm, tenant.vpc())
    bind(tenant, gid, nic, second)
    bind(tenant, other, second)
    first, then = allow(tenant, gid, protocal="udp"), allow(tenant, other, protocal="tcp")
    allow(tenant, none, protocal="icmp")
    reply = tenant.ok("POST cloudsegroup/rule/vm", {"vm.id": tenant.own_vm})
    assert [(row["aclrule_id"], row["aclrule_securitygroupname"], row["aclrule_status"]) for row in reply.data] == [
        (first, "a", "false"), (then, "b", "false")]
    assert reply.count == 2
    page = tenant.ok("POST cloudsegroup/rule/vm",
                     {"vm.id": tenant.own_vm, "page.startnum": 2, "page.everypagenum": 1})
    assert [row["aclrule_id"] for row in page.data] == [then] and page.count == 2
    tenant.refused("POST cloudsegroup/rule/vm", {"vm.id": NOBODY}, "VM_NOT_FOUND", "vm.id")
    bare = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)
    assert tenant.ok("POST cloudsegroup/rule/vm", {"vm.id": bare}).data == []


def test_what_goes_with_a_vm(tenant, nic):
    gid = group(tenant)
    bind(tenant, gid, nic)
    allow(tenant, gid)
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": tenant.own_vm})
    assert members(tenant, gid) == [] and rules(tenant, gid).count == 1
    tenant.ok("DELETE cloudsegroup/{securitygroupid}", {"securitygroupid": gid})


def test_rows_outlive_the_server(tmp_path):
    servers = Servers(tmp_path)
    server = servers(connect="sim://?control=1")
    tenant = server.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=server.admin.model())
    nic = nics(tenant, vm)[0]["vnic.id"]
    gid = group(tenant)
    bind(tenant, gid, nic)
    allow(tenant, gid, protocal="tcp", vmport="22")
    before = rules(tenant, gid).data
    server.kill()
    server.start()
    assert members(tenant, gid) == [nic] and rules(tenant, gid).data == before
    servers.finish()
