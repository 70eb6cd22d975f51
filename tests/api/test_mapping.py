"""Mappings of outer addresses, one to one and by port: what they need, what they may not be beside, who sees them;
addresses and quotas are exact whatever comes and goes."""

import pytest
from outside import pool, router
from starvirt import unique

NOBODY = "01900000-0000-7000-8000-000000000000"
CONNECT, CREATE = "POST cloudnetwork/sharenet/connect", "POST cloudnetwork/portMapping/create"
SHARES, MAPPINGS = "POST cloudnetwork/sharenet/search", "POST vroute/Mapping/search"
REMOVE, CHOICES = "DELETE cloudnetwork/ipmapping/{natId}", "POST cloudip/mapping/outerIp/search"
PAGE = {"page.startnum": 1, "page.everypagenum": 30}


class Net:
    """A tenant with a VM in a VPC at its router, and pools of its own: `outer` .10 - .13, `share` .30 - .31."""

    def __init__(self, admin, model, **quota):
        self.admin, self.model = admin, model
        self.outer_pool, self.outer = pool(admin, "outer", 10, 13)
        self.share_pool, self.share = pool(admin, "share", 30, 31)
        self.who = admin.tenant(**quota)
        self.vpc = self.who.vpc()
        self.vm, self.ip = self.make_vm(self.vpc)
        self.router = router(self.who, self.vpc)
        self.start = self.used()

    def make_vm(self, vpc):
        vm = self.who.vm(vnic_portgroupid=vpc, vm_tenant_model=self.model)
        return vm, self.who.show(vm)["vm.ip"]

    def used(self):
        left = self.who.usable()
        return left["countOuterIpSize"] - left["outerIpSize"]

    def in_pool(self, which):
        return in_use(self.admin, which)

    def connect(self, vm=None, **more):
        return self.who.ok(CONNECT, {"vm.id": vm or self.vm, **more}).data["tenant.shareip"]

    def port(self, last, outer, proto="tcp", inner=80, **more):
        return self.who.ok(CREATE, self.port_of(last, outer, proto, inner, **more)).data["nat.id"]

    def port_of(self, last, outer, proto="tcp", inner=80, **more):
        return {"innerIp": self.ip, "innerPort": inner, "ipaddress": f"{self.outer}.{last}", "outerPort": outer,
                "protocal": proto, **more}

    def row(self, nat):
        (found,) = [row for row in self.who.ok(MAPPINGS).data if row["nat_id"] == nat]
        return found

    def only(self):
        (found,) = self.who.ok(MAPPINGS).data
        return found

    def remove(self, nat):
        assert self.who.ok(REMOVE, {"natId": nat}).data == {}


@pytest.fixture
def net(server):
    """A server of its own: the next free address is the test's."""
    admin = server().admin
    return Net(admin, admin.model(), outerip=10)


# ------------------------------------------------------------------------------------------------ one to one
def test_connect_takes_the_lowest_of_the_shared(net):
    assert net.connect(desc="web") == f"{net.share}.30"
    row = net.only()
    assert row["nat_usedtime"]
    assert row == {
        "nat_id": row["nat_id"], "nat_type": "ip", "nat_protocal": "", "nat_outerip": f"{net.share}.30",
        "nat_outerport": "", "nat_innerip": net.ip, "nat_innerport": "", "nat_usedtime": row["nat_usedtime"],
        "net_vmid": net.vm, "net_vmname": net.who.show(net.vm)["vm.name"], "nat_vnetid": net.vpc,
        "nat_vrouteid": net.router, "nat_desc": "web", "nat_srcip": ""}
    assert net.who.ok(SHARES, PAGE).data == [{
        "nat.id": row["nat_id"], "vm.id": net.vm, "vm.name": row["net_vmname"], "tenant.shareip": f"{net.share}.30"}]
    assert net.used() == net.start + 1 and net.in_pool(net.share_pool) == 1
    other, _ = net.make_vm(net.vpc)
    assert net.connect(other) == f"{net.share}.31"
    third, _ = net.make_vm(net.vpc)
    net.who.refused(CONNECT, {"vm.id": third}, "OUTER_IP_NONE")
    net.remove(row["nat_id"])
    assert net.connect(third) == f"{net.share}.30"
    told = [e["event.type"] for e in net.who.events() if e["event.objid"] == row["nat_id"]]
    assert told == ["mapping.create", "mapping.delete"]


def test_connect_takes_what_is_named(net):
    assert net.connect(**{"vm.outer.ipaddress": f"{net.outer}.13", "vm.allow.srcip": "10.9.0.1, 10.8.0.0/16"}
                       ) == f"{net.outer}.13"
    assert net.only()["nat_srcip"] == "10.8.0.0/16,10.9.0.1"
    assert net.in_pool(net.share_pool) == 0
    net.who.refused(CONNECT, {"vm.id": net.vm}, "NIC_MAPPED", "vm.id")
    other, _ = net.make_vm(net.vpc)
    for ip, code in ((f"{net.outer}.13", "OUTER_IP_TAKEN"), (f"{net.outer}.14", "OUTER_IP_NOT_FOUND"),
                     (f"{net.outer}.1", "OUTER_IP_NOT_FOUND"), ("2001:db8::1", "PARAM_FORMAT"), ("x", "PARAM_FORMAT")):
        net.who.refused(CONNECT, {"vm.id": other, "vm.outer.ipaddress": ip}, code, "vm.outer.ipaddress")
    for sources in ("10.0.0.1/8", "2001:db8::/32", "10.0.0.1,,x", "10.0.0.0/33"):
        net.who.refused(CONNECT, {"vm.id": other, "vm.allow.srcip": sources}, "PARAM_FORMAT", "vm.allow.srcip")
    assert net.used() == net.start + 1


def test_connect_needs_a_way(net):
    lonely = net.who.vpc()
    vm, _ = net.make_vm(lonely)
    text = net.who.refused(CONNECT, {"vm.id": vm}, "ROUTER_NO_LEG", "vm.id").text
    assert lonely in text
    stranger = net.admin.tenant()
    theirs = stranger.vm(vnic_portgroupid=stranger.vpc(), vm_tenant_model=net.model)
    stranger.refused(CONNECT, {"vm.id": theirs}, "ROUTER_NONE", "vm.id")
    (nic,) = net.who.ok("POST cloudvm/vnic/search", {"vnic.vmid": vm}).data
    net.who.ok("DELETE cloudvm/vnic/{vnicId}", {"vnicId": nic["vnic.id"]})
    net.who.refused(CONNECT, {"vm.id": vm}, "VM_NO_NIC", "vm.id")
    net.who.refused(CONNECT, {"vm.id": theirs}, "VM_NOT_FOUND", "vm.id")
    assert net.used() == net.start


# ------------------------------------------------------------------------------------------------ by port
def test_ports_share_an_address(net):
    one = net.port(12, 8080, desc="first", sourceIp="192.0.2.7")
    row = net.row(one)
    assert row == {
        "nat_id": one, "nat_type": "port", "nat_protocal": "tcp", "nat_outerip": f"{net.outer}.12",
        "nat_outerport": "8080", "nat_innerip": net.ip, "nat_innerport": "80", "nat_usedtime": row["nat_usedtime"],
        "net_vmid": net.vm, "net_vmname": row["net_vmname"], "nat_vnetid": net.vpc, "nat_vrouteid": net.router,
        "nat_desc": "first", "nat_srcip": "192.0.2.7"}
    used = net.used()
    made = [one, net.port(12, 8080, "udp"), net.port(12, 81), net.port(12, 53, "both", 53)]
    assert net.row(made[3])["nat_protocal"] == "both"
    assert net.used() == used == net.start + 1
    assert net.who.ok(SHARES, PAGE).data == []
    for nat in made[:-1]:
        net.remove(nat)
        assert net.used() == used
    net.remove(made[-1])
    assert net.used() == net.start
    net.who.refused(REMOVE, {"natId": one}, "NAT_NOT_FOUND", "natId")


def test_conflicts_have_names(net):
    both = net.port(12, 53, "both")
    tcp = net.port(12, 80)
    before = net.who.ok(MAPPINGS).body
    for proto in ("tcp", "udp", "both"):
        text = net.who.refused(CREATE, net.port_of(12, 53, proto), "OUTER_PORT_TAKEN", "outerPort").text
        assert both in text and "53" in text
    assert tcp in net.who.refused(CREATE, net.port_of(12, 80, "both"), "OUTER_PORT_TAKEN", "outerPort").text
    net.who.refused(CONNECT, {"vm.id": net.vm, "vm.outer.ipaddress": f"{net.outer}.12"}, "OUTER_IP_TAKEN",
                    "vm.outer.ipaddress")
    net.who.refused(CREATE, {**net.port_of(12, 90), "ipaddress": f"{net.share}.30"}, "OUTER_IP_POOL", "ipaddress")
    net.who.refused(CREATE, net.port_of(99, 90), "OUTER_IP_NOT_FOUND", "ipaddress")
    net.who.refused(CREATE, {**net.port_of(12, 90), "innerIp": "10.255.255.9"}, "NIC_NOT_FOUND", "innerIp")
    assert net.who.ok(MAPPINGS).body == before and net.used() == net.start + 1
    net.connect(**{"vm.outer.ipaddress": f"{net.outer}.13"})
    net.who.refused(CREATE, net.port_of(13, 90), "OUTER_IP_MAPPED", "ipaddress")


@pytest.mark.parametrize("values,code,field", [
    ({"innerPort": 0}, "PARAM_RANGE", "innerPort"), ({"innerPort": 65536}, "PARAM_RANGE", "innerPort"),
    ({"outerPort": 0}, "PARAM_RANGE", "outerPort"), ({"outerPort": 65536}, "PARAM_RANGE", "outerPort"),
    ({"outerPort": "80-81"}, "PARAM_TYPE", "outerPort"), ({"protocal": "icmp"}, "PARAM_ENUM", "protocal"),
    ({"protocal": "tcp/udp"}, "PARAM_ENUM", "protocal"), ({"ipaddress": "::1"}, "PARAM_FORMAT", "ipaddress"),
    ({"innerIp": "10.0.0.0/24"}, "PARAM_FORMAT", "innerIp"), ({"sourceIp": "fe80::1"}, "PARAM_FORMAT", "sourceIp"),
    ({"sourceIp": "10.0.0.7/24"}, "PARAM_FORMAT", "sourceIp"), ({"desc": "a\x1bb"}, "PARAM_CHARS", "desc"),
], ids=str)
def test_bad_input_changes_nothing(admin, tenant, values, code, field):
    good = {"innerIp": "10.128.0.2", "innerPort": 1, "ipaddress": "198.18.0.9", "outerPort": 1, "protocal": "tcp"}
    tenant.refused(CREATE, {**good, **values}, code, field)
    assert tenant.ok(MAPPINGS).data == []


def test_too_many_sources(net):
    sources = ",".join(f"10.{n // 256}.{n % 256}.1" for n in range(10000))
    net.who.refused(CREATE, net.port_of(12, 80, sourceIp=sources), field="sourceIp")
    net.who.refused(CREATE, net.port_of(12, 80, sourceIp=",".join(f"10.0.{n}.1" for n in range(65))), field="sourceIp")
    assert net.used() == net.start


# ------------------------------------------------------------------------------------------------ quota, isolation
def test_the_quota_is_exact(net):
    net.admin.ok("PUT resourcequota/modify", {"tenantId": net.who.id, "cpu": -1, "memory": -1, "storage": -1,
                                              "vpc": -1, "ip": net.start + 1})
    net.port(12, 80)
    net.port(12, 81)
    net.who.refused(CREATE, net.port_of(13, 80), "QUOTA_IPS")
    net.who.refused(CONNECT, {"vm.id": net.vm}, "QUOTA_IPS")
    assert net.in_pool(net.share_pool) == 0 and net.who.usable()["outerIpSize"] == 0
    net.remove(net.who.ok(MAPPINGS).data[0]["nat_id"])
    net.who.refused(CONNECT, {"vm.id": net.vm}, "QUOTA_IPS")
    net.remove(net.only()["nat_id"])
    assert net.connect() == f"{net.share}.30"


def test_anothers_is_not_mine(net):
    mine = net.port(12, 80)
    other = net.admin.tenant()
    vpc = other.vpc()
    ip = other.show(other.vm(vnic_portgroupid=vpc, vm_tenant_model=net.model))["vm.ip"]
    router(other, vpc)
    other.refused(CREATE, {**net.port_of(12, 81), "innerIp": ip}, "OUTER_IP_TAKEN", "ipaddress")
    other.refused(CREATE, net.port_of(13, 81), "NIC_NOT_FOUND", "innerIp")
    other.refused(REMOVE, {"natId": mine}, "NAT_NOT_FOUND", "natId")
    assert other.ok(MAPPINGS).data == [] and other.ok(SHARES, PAGE).data == []
    assert other.ok(MAPPINGS, {"natVrouteid": net.router}).count == 0
    assert f"{net.outer}.12" not in str(other.ok(CHOICES).body)
    # an administrator's is the NIC's tenant's
    net.admin.ok(CREATE, {**net.port_of(12, 82)})
    assert len(net.who.ok(MAPPINGS).data) == 2
    assert net.admin.ok(MAPPINGS, {"natAppid": net.who.id}).count == 2
    net.admin.ok(REMOVE, {"natId": mine})
    net.admin.refused(MAPPINGS, {"natAppid": NOBODY}, "TENANT_NOT_FOUND", "natAppid")


# ------------------------------------------------------------------------------------------------ searches
def test_search(net):
    name = unique("web")
    net.who.ok("PUT cloudvm/modify", {"vm.id": net.vm, "vm.name": name})
    other, other_ip = net.make_vm(net.vpc)
    a = net.port(12, 8080)
    b = net.port(13, 8080, "udp", 53)
    shared = net.connect(other)
    everything = net.who.ok(MAPPINGS).data
    c = everything[2]["nat_id"]
    assert [row["nat_id"] for row in everything] == [a, b, c]
    for params, wanted in (
            ({"natType": "ip"}, [c]), ({"natType": "port"}, [a, b]), ({"natOuterport": 8080}, [a, b]),
            ({"natInnerport": 53}, [b]), ({"natOuterip": f"{net.outer}.12"}, [a]), ({"natInnerip": net.ip}, [a, b]),
            ({"natInnerip": other_ip}, [c]), ({"natVrouteid": net.router}, [a, b, c]), ({"natVrouteid": NOBODY}, []),
            ({"natVrouteid": "x"}, []), ({"natAppid": net.who.id}, [a, b, c]),
            ({"page.startnum": 2, "page.everypagenum": 2}, [c]), ({"natOuterport": 8080, "natType": "ip"}, [])):
        found = net.who.ok(MAPPINGS, params)
        assert [row["nat_id"] for row in found.data] == wanted, params
        assert found.count == (3 if "page.startnum" in params else len(wanted))
    for params, n in (({"vm.name": name}, 0), ({"tenant.shareip": shared[-5:]}, 1), ({"tenant.shareip": "9.9.9"}, 0)):
        assert net.who.ok(SHARES, {**PAGE, **params}).count == n, params
    net.who.refused(SHARES, {}, "PARAM_MISSING", "page.startnum")


def test_what_can_be_mapped(net):
    taken = {row["ipaddress"]: row["ports"] for row in net.who.ok(CHOICES, {"nat.type": "port"}).data if row["ports"]}
    assert taken == {}
    net.port(12, 8080)
    net.port(12, 80, "udp")
    net.connect(**{"vm.outer.ipaddress": f"{net.outer}.13"})
    ports = {row["ipaddress"]: row for row in net.who.ok(CHOICES, {"nat.type": "port"}).data}
    assert ports[f"{net.outer}.12"] == {"ipaddress": f"{net.outer}.12", "ports": "80,8080",
                                        "gateway": f"{net.outer}.1", "netmask": "255.255.255.0"}
    assert ports[f"{net.outer}.11"]["ports"] == "" and f"{net.outer}.13" not in ports
    assert f"{net.share}.30" not in ports
    whole = net.who.ok(CHOICES, {"nat.type": "ip"})
    assert all("ports" not in row for row in whole.data) and whole.count == len(whole.data)
    free = [row["ipaddress"] for row in whole.data]
    assert f"{net.share}.30" in free and f"{net.outer}.11" in free and f"{net.outer}.12" not in free
    any_kind = net.who.ok(CHOICES)
    assert any(row["ports"] for row in any_kind.data[:2])  # one's own first, the router's among them
    assert {row["ipaddress"] for row in any_kind.data} == set(ports) | set(free)
    for params, wanted in (({"ipaddress": f"{net.share}."}, {f"{net.share}.30", f"{net.share}.31"}),
                           ({"ipaddress.only": f"{net.outer}.12"}, {f"{net.outer}.12"}),
                           ({"ipaddress.only": f"{net.outer}.13"}, set()),
                           ({"inner.ip": "10.255.255.9"}, set()), ({"inner.ip": net.ip, "nat.type": "ip"}, set()),
                           ({"inner.ip": net.ip, "nat.type": "port"}, set(ports)),
                           ({"tenant.id": net.who.id, "nat.type": "port"}, set(ports))):
        assert {row["ipaddress"] for row in net.who.ok(CHOICES, params).data} == wanted, params
    for n in range(1, any_kind.count + 1):
        page = net.who.ok(CHOICES, {"page.startnum": n, "page.everypagenum": 1})
        assert page.data == [any_kind.data[n - 1]] and page.count == any_kind.count
    net.who.refused(CHOICES, {"tenant.id": NOBODY}, "TENANT_NOT_FOUND", "tenant.id")


# ------------------------------------------------------------------------------------------------ what goes along
def test_a_vm_takes_its_mappings_along(net):
    net.port(12, 80)
    net.port(13, 80, "both")
    net.connect()
    net.who.done(net.who.ok("DELETE cloudvm/{vmId}", {"vmId": net.vm}).startid)
    assert net.who.ok(MAPPINGS).data == [] and net.used() == net.start
    assert net.in_pool(net.share_pool) == 0


def test_a_nic_takes_its_mappings_along(net):
    second = net.who.ok("POST cloudvm/vnic/add", {"vnic.vmid": net.vm, "vnic.portgroupid": net.vpc}).data["vnic.id"]
    (ip,) = [row["vnic.ipaddress"] for row in net.who.ok("POST cloudvm/vnic/search", {"vnic.vmid": net.vm}).data
             if row["vnic.id"] == second]
    stays = net.port(12, 80)
    net.who.ok(CREATE, {**net.port_of(12, 81), "innerIp": ip})
    net.who.ok(CREATE, {**net.port_of(13, 81), "innerIp": ip})
    assert net.used() == net.start + 2
    net.who.ok("DELETE cloudvm/vnic/{vnicId}", {"vnicId": second})
    assert net.only()["nat_id"] == stays and net.used() == net.start + 1


def in_use(admin, which):
    (row,) = [row for row in admin.ok("POST cloudip/pool/search").data if row["pool.id"] == which]
    return int(row["pool.used"])
