"""A thousand tenants with routers, mappings, rules, security groups and load balancers, who make and take away beside
each other: what is counted is what there is, and all of it goes."""
import concurrent.futures
import random

import pytest
from outside import pool, router
from test_mapping import CONNECT, CREATE, MAPPINGS, REMOVE, in_use
from test_rule import allow as allow_nic
from test_secgroup import allow, bind, group, unbind

TENANTS, STEPS, CLIENTS = 1000, 8, 8


class Owner:
    """A tenant that maps and lets go, and knows beforehand what is refused."""

    def __init__(self, admin, model, n):
        self.rnd, self.n, self.held = random.Random(n), n, {}  # mapping -> address
        self.rules, self.groups, self.balancers = [], {}, {}  # groups and balancers: what each has of rules and nodes
        self.who = admin.tenant(outerip=3)
        vpc = self.who.vpc()
        self.vm = self.who.vm(300, **{"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.memory.mem": 16})
        self.ip = self.who.show(self.vm)["vm.ip"]
        self.router = router(self.who, vpc)
        (self.nic,) = [row["vnic.id"] for row in self.who.ok("POST cloudvm/vnic/search", {"vnic.vmid": self.vm}).data]
        self.room = self.who.usable()["outerIpSize"]
        self.port = 1000

    def address(self):
        at = 2 * self.n + self.rnd.randrange(2) + 5 * 256  # behind those that the routers have
        return f"198.18.{at // 256}.{at % 256}"

    def left(self):
        return self.room - len(set(self.held.values()))

    def connect(self):
        reply = self.who.call(CONNECT, {"vm.id": self.vm})
        if any(ip.startswith("198.19.") for ip in self.held.values()):
            assert reply.code == "NIC_MAPPED", reply
        elif self.left() == 0:
            assert reply.code == "QUOTA_IPS", reply
        else:
            (row,) = self.who.ok(MAPPINGS, {"natType": "ip"}).data
            assert row["nat_outerip"] == reply.data["tenant.shareip"]
            self.held[row["nat_id"]] = row["nat_outerip"]

    def map(self):
        ip, self.port = self.address(), self.port + 1
        reply = self.who.call(CREATE, {"innerIp": self.ip, "innerPort": 80, "ipaddress": ip, "outerPort": self.port,
                                       "protocal": self.rnd.choice(("tcp", "udp", "both"))})
        if ip not in self.held.values() and self.left() == 0:
            assert reply.code == "QUOTA_IPS", reply
        else:
            self.held[reply.data["nat.id"]] = ip

    def remove(self):
        if self.held:
            nat = self.rnd.choice(sorted(self.held))
            self.who.ok(REMOVE, {"natId": nat})
            del self.held[nat]

    def rule(self):
        self.port += 1
        self.rules.append(allow_nic(self.who, self.ip, protocol="tcp", internalport=self.port))

    def group(self):
        made = group(self.who)
        bind(self.who, made, self.nic)
        self.groups[made] = [allow(self.who, made, protocal="udp", vmport=80 + i) for i in range(self.rnd.randrange(3))]

    def balance(self):
        self.port += 1
        made = self.who.ok("POST cloudslb/add", {
            "slb.name": "b", "slb.appid": self.who.id, "slb.protocal.type": "tcp", "slb.network.type": "inner",
            "slb.directip": self.ip.rsplit(".", 1)[0] + ".200", "slb.directport": self.port, "slb.vmid": self.router})
        slb = made.data["slb.id"]
        self.balancers[slb] = [self.who.ok("POST cloudslb/realnode/add", {
            "realnode.slbid": slb, "realnode.vmid": self.vm, "realnode.ip": self.ip, "realnode.port": 80 + i})
            for i in range(self.rnd.randrange(3))]

    def lets_go(self):
        """Of one of each."""
        if self.rules:
            self.who.ok("DELETE cloudnetwork/acessrule/{ruleId}", {"ruleId": self.rules.pop()})
        if self.groups:
            gone, _ = self.groups.popitem()
            unbind(self.who, gone, self.nic)
            self.who.ok("DELETE cloudsegroup/{securitygroupid}", {"securitygroupid": gone})
        if self.balancers:
            self.who.ok("DELETE cloudslb/{slbid}", {"slbid": self.balancers.popitem()[0]})

    def count(self, op, **how):
        return self.who.ok(op, {key.replace("_", "."): value for key, value in how.items()}).count

    def agrees(self):
        page = {"page_startnum": 1, "page_everypagenum": 1}
        assert self.count("POST cloudnetwork/acessrule/search", **page) == len(self.rules)
        assert self.count("POST cloudsegroup/search") == len(self.groups)
        assert self.count("POST cloudslb/search") == len(self.balancers)
        assert self.count("POST cloudslb/realnode/search") == sum(map(len, self.balancers.values()))
        shown = self.who.ok("POST cloudsegroup/rule/vm", {"vm.id": self.vm}).data
        assert {row["aclrule_id"] for row in shown} >= {rule for rules in self.groups.values() for rule in rules}

    def end(self):
        for nat in self.held:
            self.who.ok(REMOVE, {"natId": nat})
        while self.rules or self.groups or self.balancers:
            self.lets_go()
        self.agrees()

    def go(self):
        for _ in range(STEPS):
            self.rnd.choice((self.connect, self.map, self.map, self.remove, self.rule, self.group, self.balance,
                             self.lets_go))()
        self.agrees()
        assert {row["nat_id"]: row["nat_outerip"] for row in self.who.ok(MAPPINGS).data} == self.held
        assert self.who.usable()["outerIpSize"] == self.left()


@pytest.mark.first
def test_the_books_of_a_thousand_tenants(server):
    """Whoever maps and lets go, in any order and beside whom: what is counted is what there is, and all of it goes."""
    one = server(connect="sim://?hosts=8", options=["--log.level", "warn", "--jobs.slots_per_host", "2"])
    admin = one.admin
    model = admin.model(size=1)
    wide = {"pool.netmask": "255.255.0.0", "pool.gateway": "198.18.0.1"}
    outer, _ = pool(admin, "outer", 0, 0, **{**wide, "pool.start": "198.18.1.0", "pool.end": "198.18.15.255"})
    share, _ = pool(admin, "share", 0, 0, **{"pool.netmask": "255.255.0.0", "pool.gateway": "198.19.0.1",
                                             "pool.start": "198.19.1.0", "pool.end": "198.19.15.255"})
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as crew:
        owners = list(crew.map(lambda n: Owner(admin, model, n), range(TENANTS)))
        routers = in_use(admin, outer)
        list(crew.map(Owner.go, owners))
        held = [ip for owner in owners for ip in set(owner.held.values())]
        assert in_use(admin, outer) == routers + sum(ip.startswith("198.18.") for ip in held)
        assert in_use(admin, share) == sum(ip.startswith("198.19.") for ip in held) > 0
        assert one.fsck(hosts=False) == ""
        list(crew.map(Owner.end, owners))
        assert one.fsck(hosts=False) == ""
    assert (in_use(admin, outer), in_use(admin, share)) == (routers, 0)
