"""Two tenants with two VPCs each, a router for each tenant that wants one, and clients outside: what the matrix of
reachability (test_matrix.py, test_rules.py) is made of. Everything is done through the API; what cannot be read back
from it (legs, closed boundaries) is kept here."""
from conftest import Linux
from ovn import OPTIONS, OUTER_OPTIONS, Ovn
from ovn import why_not as ovn_why_not
from prober import HOST, PORTS, Space, describe, disagreements
from reach import LINUX, OVN, every, look
from sandbox import why_not
from starvirt import unique

OUTER = "192.0.2"
# Of nobody, of metadata services, and of the transit network between gateways and routers.
NOBODYS = {HOST, f"{OUTER}.250", "169.254.169.254", "169.254.240.1"}
CLIENTS = {"near": f"{OUTER}.100", "far": f"{OUTER}.101"}
# Of whom they are; the first two share a VPC.
GUESTS = {"a1": (0, "a"), "a2": (0, "a"), "b1": (0, "b"), "c1": (1, "c"), "d1": (1, "d")}
QUOTA = {"cpu": 32, "memory": 16384, "storage": 400, "portgroup": 20, "outerip": 20}


class Stage:
    def __init__(self, server, sandbox, engine):
        """`server` runs, with a network of this engine (ENGINES)."""
        self.admin, self.sandbox, self.engine = server.admin, sandbox, engine
        self.tenants = [self.admin.tenant(**QUOTA), self.admin.tenant(**QUOTA)]
        self.vpcs = {letter: client.vpc(letter) for letter, client in (
            ("a", self.tenants[0]), ("b", self.tenants[0]), ("c", self.tenants[1]), ("d", self.tenants[1]))}
        self.pool = self.admin.ok("POST cloudip/pool/add", {
            "pool.type": "outer", "pool.start": f"{OUTER}.2", "pool.end": f"{OUTER}.40",
            "pool.gateway": CLIENTS["near"], "pool.netmask": "255.255.255.0"}).data["pool.id"]
        self.names, self.vms, self.places, self.routers, self.rows = {}, {}, {}, {}, {}
        self.joined, self.closed = set(), set()
        self.nobodys = set(NOBODYS)
        self.ways = {}  # by which the clients outside try to get to inner addresses

    # --- who takes part ---
    def add_guest(self, name, vm, place):
        self.vms[name], self.names[vm] = vm, name
        self.places[name] = place
        place.serve(name)

    def add_clients(self):
        """They are in the sandbox as namespaces already. So is the machine itself: it has a way onto each VPC's bridge
        where it has the bridge (show_ways_in)."""
        self.sandbox.run("ip", "addr", "add", f"{HOST}/32", "dev", "lo")
        for name, netns in [*((name, name) for name in CLIENTS), ("host", "")]:
            self.places[name] = Space(self.sandbox, netns)
            self.places[name].serve(name)

    def client(self, guest):
        return self.tenants[GUESTS[guest][0]]

    def vpc(self, guest):
        return self.vpcs[GUESTS[guest][1]]

    # --- what is so, and what should be ---
    def world(self):
        return look(self.tenants, self.names, self.joined, self.closed, engine=self.engine.reach, outside=CLIENTS,
                    hears=set(PORTS), nobodys=self.nobodys)

    def check(self, what):
        world = self.world()
        self.show_ways_in(world)
        wrong, count = disagreements(world, self.places)
        if wrong and self.engine.forgets():
            assert self.admin.ok("PUT cloudnetwork/check").data == [], "the engine has what it should have"
            wrong, _ = disagreements(world, self.places, list(wrong))
        assert not wrong, f"{what}: {len(wrong)} of {count} cells differ\n{describe(wrong)}\n{world}"
        return world

    def show_ways_in(self, world):
        """The most that can be tried: clients outside send what is for the inside to the router that leads there, the
        machine onto the bridge of the VPC."""
        for vpc, cidr in world.vpcs.items() if not self.ways else ():
            self.sandbox.try_run("ip", "route", "replace", cidr, "dev", "svb" + vpc[-12:], "src", HOST)
        ways = {cidr: world.routers.get(world.legs.get(vpc)) for vpc, cidr in world.vpcs.items()}
        for cidr, router in ways.items() - self.ways.items():
            for name in CLIENTS:
                self.sandbox.try_run("ip", "-n", name, "route", "flush", cidr)
                if router:
                    self.sandbox.run("ip", "-n", name, "route", "add", cidr, "via", router)
        self.ways = ways

    # --- what tenants do ---
    def row(self, guest):
        """Of its NIC, which stays as it is."""
        if guest not in self.rows:
            (self.rows[guest],) = self.client(guest).ok("POST cloudvm/vnic/search", {"vnic.vmid": self.vms[guest]}).data
        return self.rows[guest]

    def ip(self, guest):
        return self.row(guest)["vnic.ipaddress"]

    def nic(self, guest):
        return self.row(guest)["vnic.id"]

    def make_router(self, tenant, *letters):
        made = self.tenants[tenant].ok("POST vroute/create").data[0]
        self.tenants[tenant].done(made["jobstartid"])
        self.routers[tenant] = made["vm.id"]
        for letter in letters:
            self.join(tenant, letter)
        return made["vm.manageip"]

    def join(self, tenant, letter):
        self.tenants[tenant].ok("POST vroute/vpcAdd", {"portgroup.id": self.vpcs[letter]})
        self.joined.add(self.vpcs[letter])

    def part(self, tenant, letter):
        self.tenants[tenant].ok("POST vroute/vpcDelete", {"portgroup.id": self.vpcs[letter]})
        self.joined.discard(self.vpcs[letter])

    def delete_router(self, tenant):
        for row in every(self.tenants[tenant], "POST vroute/Mapping/search"):
            self.unmap(tenant, row["nat_id"])
        self.drop_balancers(tenant)
        self.tenants[tenant].run("DELETE vroute/{vmId}", {"vmId": self.routers.pop(tenant)})
        self.joined -= {self.vpcs[letter] for owner, letter in GUESTS.values() if owner == tenant}

    def map_port(self, guest, outer, outer_port, inner_port, proto="tcp", **more):
        return self.client(guest).ok("POST cloudnetwork/portMapping/create", {
            "innerIp": self.ip(guest), "innerPort": inner_port, "ipaddress": outer, "outerPort": outer_port,
            "protocal": proto, **more}).data["nat.id"]

    def map_whole(self, guest, outer, **more):
        self.client(guest).ok("POST cloudnetwork/sharenet/connect", {
            "vm.id": self.vms[guest], "vm.outer.ipaddress": outer, **more})

    def unmap(self, tenant, nat):
        self.tenants[tenant].ok("DELETE cloudnetwork/ipmapping/{natId}", {"natId": nat})

    def unmap_whole(self, tenant):
        for row in every(self.tenants[tenant], "POST vroute/Mapping/search", natType="ip"):
            self.unmap(tenant, row["nat_id"])

    def gate(self, letter, how):
        client = self.tenants[next(owner for owner, own in GUESTS.values() if own == letter)]
        client.ok("POST cloudnetwork/netgate", {"portgroup.id": self.vpcs[letter], "type": how})
        (self.closed.add if how == "close" else self.closed.discard)(self.vpcs[letter])

    def rule(self, guest, kind, way, proto="", sources="", targets="", ports=""):
        """Of a NIC ("net_inner") or, for one, of its VPC's boundary ("net_gate"); its id."""
        said = {"allow.protocol": proto, "allow.sourceips": sources, "allow.dstips": targets,
                "allow.internalport": ports}
        return self.client(guest).ok("POST cloudnetwork/acessrule/add", {
            "vm.ip": self.ip(guest), "aclrule.type": kind, "allow.direction": way,
            **{key: value for key, value in said.items() if value}}).data["rule.id"]

    def drop_rule(self, tenant, rule):
        self.tenants[tenant].ok("DELETE cloudnetwork/acessrule/{ruleId}", {"ruleId": rule})

    def group(self, tenant, *guests):
        made = self.tenants[tenant].ok("POST cloudsegroup/create", {
            "securitygroup.name": unique("group")}).data["securitygroup.id"]
        self.bind(tenant, made, *guests)
        return made

    def bind(self, tenant, group, *guests, verb="bind"):
        if guests:
            self.tenants[tenant].ok(f"POST cloudsegroup/vnic/{verb}", {
                "securitygroup.id": group, "vnic.id": ",".join(map(self.nic, guests))})

    def group_rule(self, tenant, group, way, proto="", sources="", targets="", ports=""):
        said = {"aclrule.protocal": proto, "aclrule.srcip": sources, "aclrule.target": targets,
                "aclrule.vmport": ports}
        return self.tenants[tenant].ok("POST cloudsegroup/rule/add", {
            "aclrule.securitygroupid": group, "aclrule.direction": way,
            **{key: value for key, value in said.items() if value}}).data["aclrule.id"]

    def drop_group_rule(self, tenant, rule):
        self.tenants[tenant].ok("DELETE cloudsegroup/rule/{ruleid}", {"ruleid": rule})

    def drop_group(self, tenant, group):
        bound = every(self.tenants[tenant], "POST cloudsegroup/vnic/search", **{"securitygroup.id": group})
        self.bind(tenant, group, *(self.names[row["vnic.vmid"]] for row in bound), verb="unbind")
        self.tenants[tenant].ok("DELETE cloudsegroup/{securitygroupid}", {"securitygroupid": group})

    def switch(self, guest, on):
        self.client(guest).ok("POST cloudvm/switchfirewalld", {
            "vm.id": self.vms[guest], "vm.firewalld.enable": "true" if on else "false"})

    def balance(self, tenant, proto, ip, port, real, *guests):
        """A balancer outside, on these guests; its id."""
        client = self.tenants[tenant]
        made = client.ok("POST cloudslb/add", {
            "slb.name": unique("slb"), "slb.appid": client.id, "slb.protocal.type": proto,
            "slb.network.type": "outter", "slb.directip": ip, "slb.directport": port,
            "slb.vmid": self.routers[tenant]}).data["slb.id"]
        for guest in guests:
            client.ok("POST cloudslb/realnode/add", {"realnode.slbid": made, "realnode.ip": self.ip(guest),
                                                     "realnode.port": real, "realnode.vmid": self.vms[guest]})
        return made

    def drop_balancers(self, tenant):
        for row in self.tenants[tenant].ok("POST cloudslb/search").data:
            self.tenants[tenant].ok("DELETE cloudslb/{slbid}", {"slbid": row["slb.id"]})

    def forget(self, guest):
        """It is gone; nobody answers any more where it was."""
        self.nobodys.add(self.ip(guest))
        self.places.pop(guest).close()
        del self.names[self.vms.pop(guest)]

    # --- the end ---
    def close(self):
        for place in self.places.values():
            place.close()
        for tenant in list(self.routers):
            self.delete_router(tenant)
        for tenant, client in enumerate(self.tenants):
            for row in client.ok("POST cloudsegroup/search").data:
                self.drop_group(tenant, row["securitygroup.id"])
        self.admin.ok("DELETE cloudip/pool/{poolId}", {"poolId": self.pool})


# ------------------------------------------------------------------------------------------ engines, and their outside
class LinuxOutside(Linux):
    """A bridge that the clients outside are on."""

    reach = LINUX
    options = ["--net.outer", "brx"]

    def __init__(self, sandbox):
        super().__init__(sandbox)
        sandbox.run("ip", "link", "add", "brx", "type", "bridge", "forward_delay", "0")
        sandbox.run("ip", "link", "set", "brx", "up")
        for name, ip in CLIENTS.items():
            self.plug(name, "x" + name, "brx")
            sandbox.run("ip", "-n", name, "addr", "add", f"{ip}/24", "dev", "eth0")

    def plug(self, netns, device, bridge, *address):
        self.sandbox.run("ip", "netns", "add", netns)
        self.sandbox.run("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", *address, "netns", netns)
        self.sandbox.run("ip", "link", "set", device, "master", bridge, "up")
        for link in ("lo", "eth0"):
            self.sandbox.run("ip", "-n", netns, "link", "set", link, "up")

    def plug_nic(self, netns, nic):
        """A namespace in the place of a guest."""
        self.plug(netns, "svt" + nic["vnic.id"][-12:], "svb" + nic["vnic.vpc.id"][-12:], "address",
                  nic["vnic.macaddress"])

    def unplug(self, netns):
        self.sandbox.run("ip", "netns", "del", netns)

    def close(self):
        for name in CLIENTS:
            self.unplug(name)
        self.sandbox.run("ip", "link", "del", "brx")


class OvnOutside(Ovn):
    """The clients are on br-ex, the bridge of the outer network."""

    reach = OVN
    options = OPTIONS + OUTER_OPTIONS

    def __init__(self, sandbox):
        super().__init__(sandbox)
        for number, (name, ip) in enumerate(CLIENTS.items()):
            self.plug(name, "br-ex", f"02:00:00:00:00:{number + 1:02x}", address=f"{ip}/24")

    def plug_nic(self, netns, nic):
        self.plug(netns, "br-int", nic["vnic.macaddress"], nic["vnic.id"])

    def close(self):
        for name in CLIENTS:
            self.unplug(name)


ENGINES = {"linux": LinuxOutside, "ovn": OvnOutside}


def why_not_engine(name):
    """Why there can be no stage with this engine here; None when there can."""
    return why_not() or (ovn_why_not() if name == "ovn" else None)
