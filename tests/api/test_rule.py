"""Rules of NICs and of the boundaries of VPCs: rows, bounds, refusals."""
import pytest
from test_vnic import NOBODY, add, delete, nics

ADD, SEARCH = "POST cloudnetwork/acessrule/add", "POST cloudnetwork/acessrule/search"
RULES_OF_A_NIC = 256


@pytest.fixture
def vpc(tenant):
    return tenant.vpc()


@pytest.fixture
def vm(tenant, model, vpc):
    return tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model)


@pytest.fixture
def ip(tenant, vm):
    return nics(tenant, vm)[0]["vnic.ipaddress"]


def asked(ip, way="in", kind="net_inner", **how):
    params = {"vm.ip": ip, "aclrule.type": kind, **{f"allow.{key}": value for key, value in how.items()}}
    return {**params, **({"allow.direction": way} if way else {})}


def allow(client, ip, way="in", kind="net_inner", **how):
    return client.ok(ADD, asked(ip, way, kind, **how)).data["rule.id"]


def search(client, **how):
    return client.ok(SEARCH, {"page.startnum": 1, "page.everypagenum": 30, **how})


def test_rules(tenant, vm, vpc, ip):
    inner = tenant.ok(ADD, {**asked(ip, sourceips="10.0.0.0/8", protocol="tcp", internalport="80:83,85,87"),
                            "aclrule.desc": "the web"}).data["rule.id"]
    gate = allow(tenant, ip, "out", "net_gate", dstips="0.0.0.0/0", protocol="icmp")
    name = tenant.show(vm)["vm.name"]
    common = {"aclrule_vrouteid": "", "aclrule_vroutename": "", "aclrule_vnetid": vpc, "vmname": name,
              "aclrule_appid": tenant.id, "aclrule_appname": tenant.name}
    assert search(tenant).data == [
        {**common, "aclrule_id": inner, "aclrule_type": "net_inner", "aclrule_target": ip,
         "aclrule_srcip": "10.0.0.0/8", "aclrule_vmport": "80:83,85,87", "aclrule_protocal": "tcp",
         "aclrule_direction": "in", "aclrule_desc": "the web"},
        {**common, "aclrule_id": gate, "aclrule_type": "net_gate", "aclrule_target": "", "aclrule_srcip": ip,
         "aclrule_vmport": "", "aclrule_protocal": "icmp", "aclrule_direction": "out", "aclrule_desc": ""}]

    def found(**how):
        reply = search(tenant, **{f"aclrule_{key}": value for key, value in how.items()})
        assert reply.count == len(reply.data)
        return [row["aclrule_id"] for row in reply.data]

    assert found(type="net_gate") == [gate] and found(type="net_inner") == [inner]
    assert found(target=ip[:-1]) == [inner] and found(vnetid=vpc[9:20].upper()) == [inner, gate]
    assert found(vmport="85,87,80:83") == [inner] and found(vmport="80") == []
    assert found(vrouteid=NOBODY) == [] and found(vrouteid="x") == []
    page = search(tenant, **{"page.startnum": 2, "page.everypagenum": 1})
    assert [row["aclrule_id"] for row in page.data] == [gate] and page.count == 2
    for rule in (inner, gate):
        tenant.refused("DELETE cloudsegroup/rule/{ruleid}", {"ruleid": rule}, "RULE_NOT_FOUND", "ruleid")
        tenant.ok("DELETE cloudnetwork/acessrule/{ruleId}", {"ruleId": rule})
        tenant.refused("DELETE cloudnetwork/acessrule/{ruleId}", {"ruleId": rule}, "RULE_NOT_FOUND", "ruleId")
    assert search(tenant).data == []


def test_the_guests_side_is_its_own_address(tenant, ip):
    allow(tenant, ip, "in", dstips=ip)
    allow(tenant, ip, "out", sourceips=ip)
    allow(tenant, ip, None, "net_gate")
    assert [(row["aclrule_srcip"], row["aclrule_target"], row["aclrule_direction"]) for row in search(tenant).data] == [
        ("", ip, "in"), (ip, "", "out"), ("", ip, "in")]
    for way, key in (("in", "allow.dstips"), ("out", "allow.sourceips")):
        for wrong in ("10.0.0.0/8", f"{ip},10.0.0.9"):
            tenant.refused(ADD, {**asked(ip, way), key: wrong}, "PARAM_CONFLICT", key)
    assert search(tenant).count == 3


@pytest.mark.parametrize("more,code,field", [
    ({"vm.ip": "10.255.255.9"}, "NIC_NOT_FOUND", "vm.ip"),
    ({"vm.ip": "x"}, "PARAM_FORMAT", "vm.ip"),
    ({"vm.ip": ""}, "PARAM_MISSING", "vm.ip"),
    ({"aclrule.type": "net_outer"}, "PARAM_ENUM", "aclrule.type"),
    ({"allow.direction": ""}, "PARAM_MISSING", "allow.direction"),
    ({"allow.internalport": "80"}, "PARAM_MISSING", "allow.protocol"),
    ({"allow.internalport": "80", "allow.protocol": "icmp"}, "PARAM_CONFLICT", "allow.internalport"),
    ({"allow.internalport": "0", "allow.protocol": "tcp"}, "PARAM_FORMAT", "allow.internalport"),
    ({"allow.internalport": "1:65536", "allow.protocol": "tcp"}, "PARAM_FORMAT", "allow.internalport"),
    ({"allow.internalport": "83:80", "allow.protocol": "tcp"}, "PARAM_FORMAT", "allow.internalport"),
    ({"allow.sourceips": "10.0.0.1/8"}, "PARAM_FORMAT", "allow.sourceips"),
    ({"allow.sourceips": "fe80::1"}, "PARAM_FORMAT", "allow.sourceips"),
    ({"aclrule.desc": "x" * 1025}, "PARAM_LENGTH", "aclrule.desc"),
])
def test_rules_that_are_refused(tenant, ip, more, code, field):
    tenant.refused(ADD, {**asked(ip), **more}, code, field)
    assert search(tenant).count == 0


def test_the_same_twice(tenant, model, vpc, ip):
    first = allow(tenant, ip, sourceips="10.0.0.0/24", protocol="tcp", internalport="80,81")
    same = asked(ip, sourceips="10.0.0.128/25,10.0.0.0/25", protocol="tcp", internalport="80:81")
    assert first in tenant.refused(ADD, same, "RULE_EXISTS").text
    assert first not in allow(tenant, ip, "in", "net_gate", sourceips="10.0.0.0/24", protocol="tcp",
                              internalport="80:81")
    assert search(tenant).count == 2


def test_a_nic_has_so_many(tenant, ip):
    for port in range(1, RULES_OF_A_NIC + 1):
        allow(tenant, ip, protocol="udp", internalport=port)
    tenant.refused(ADD, asked(ip, protocol="tcp", internalport="1"), "RULE_LIMIT", "vm.ip")
    allow(tenant, ip, "in", "net_gate", protocol="tcp", internalport="1")
    assert search(tenant).count == RULES_OF_A_NIC + 1


def test_they_go_with_the_nic(tenant, vm, ip):
    kept = allow(tenant, ip)
    second = add(tenant, vm, tenant.vpc())
    (address,) = [row["vnic.ipaddress"] for row in nics(tenant, vm) if row["vnic.id"] == second]
    allow(tenant, address)
    allow(tenant, address, "in", "net_gate")
    assert search(tenant).count == 3
    delete(tenant, second)
    assert [row["aclrule_id"] for row in search(tenant).data] == [kept]
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    assert search(tenant).data == []


def test_the_switch_leaves_rules_alone(tenant, vm, ip):
    allow(tenant, ip)
    before = search(tenant).data
    for on in ("false", "true"):
        tenant.ok("POST cloudvm/switchfirewalld", {"vm.id": vm, "vm.firewalld.enable": on})
        assert search(tenant).data == before
