"""What packets should do, worked out from rows as the API gives them: who answers a question (proto, address, port) of
whom, and as whom the asker is seen. Written after the document and docs/ARCHITECTURE.md, knowing nothing of engines.

A NIC's filter judges what the guest sends and gets: before the router translates what it sends, after it has
translated what it gets. A boundary judges what is between the two: inner addresses and ports on both sides."""
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network


@dataclass(frozen=True)
class Nic:
    id: str
    ip: str
    vpc: str
    groups: tuple = ()
    on: bool = True  # the switch of the VM


@dataclass(frozen=True)
class Rule:
    way: str  # "in" to the guest, "out" of it
    proto: str = ""
    srcs: str = ""
    dsts: str = ""
    ports: str = ""

    def allows(self, proto, src, dst, port):
        return (self.proto in ("", proto) and among(src, self.srcs) and among(dst, self.dsts)
                and (not self.ports or (proto != "icmp" and any(
                    first <= port <= last for first, last in map(port_range, self.ports.split(","))))))


@dataclass(frozen=True)
class Mapping:
    outer: str
    inner: str
    proto: str = ""  # "" = one to one
    outer_port: int = 0
    inner_port: int = 0
    sources: str = ""

    def takes(self, proto, src, dst, port, anybody=False):
        return (dst == self.outer and (anybody or among(src, self.sources))
                and (not self.proto or (port == self.outer_port and proto in (self.proto, *BOTH.get(self.proto, ())))))


BOTH = {"both": ("tcp", "udp")}


@dataclass(frozen=True)
class Engine:
    """What docs/ARCHITECTURE.md leaves to engines: between guests of one tenant, and what routers say themselves."""

    own_may: bool = False  # sources of a mapping are not asked of the tenant's own guests
    shows_own: bool = False  # who asks at a mapped port from inside is seen as itself
    # Gateways are the router's own addresses: without one nobody answers there, and each, like its outer one, is beyond
    # the boundary of who asks, and behind nobody else's.
    one_router: bool = False
    # What a VPC sends itself by an outer address may turn back before its boundary; what is sent to a mapped port is
    # judged by the sender's filter and boundary as it was sent, and later as it was translated.
    turns_early: bool = False
    # To a boundary, who comes from inside by a whole outer address of the router is its own outer address.
    seen_outside: bool = False


LINUX = Engine()
OVN = Engine(own_may=True, shows_own=True, one_router=True, turns_early=True, seen_outside=True)
EITHER = ("either", "")


@dataclass
class World:
    engine: Engine = LINUX
    vpcs: dict = field(default_factory=dict)  # id: cidr
    nics: dict = field(default_factory=dict)  # name: Nic
    rules: dict = field(default_factory=dict)  # of a NIC's address or a group: [Rule]
    gates: dict = field(default_factory=dict)  # of a VPC: [Rule]
    closed: set = field(default_factory=set)  # VPCs
    legs: dict = field(default_factory=dict)  # VPC: router
    routers: dict = field(default_factory=dict)  # id: its outer address
    mappings: dict = field(default_factory=dict)  # router: [Mapping]
    outside: dict = field(default_factory=dict)  # name: address of a client on the outer network
    hears: set = field(default_factory=set)  # ports at which everybody answers
    nobodys: set = field(default_factory=set)  # addresses that are asked and should not answer

    # --- who has an address ---
    def holder(self, ip):
        return next((name for name, nic in self.nics.items() if nic.ip == ip), None)

    def vpc_of(self, ip):
        return next((vpc for vpc, cidr in self.vpcs.items() if ip_address(ip) in ip_network(cidr)), None)

    def is_gateway(self, ip):
        return any(ip == str(ip_network(cidr)[1]) for cidr in self.vpcs.values())

    def router_of(self, outer):
        return next((r for r, own in self.routers.items()
                     if outer == own or any(m.outer == outer for m in self.mappings.get(r, ()))), None)

    def leaves_as(self, router, ip):
        """Whom the outer network sees."""
        return next((m.outer for m in self.mappings.get(router, ()) if not m.proto and m.inner == ip),
                    self.routers[router])

    # --- who lets pass ---
    def filter(self, nic, way, *packet):
        return not nic.on or some_allows((self.rules.get(owner, ()) for owner in (nic.ip, *nic.groups)), way, packet)

    def gate(self, vpc, way, *packet):
        return some_allows([self.gates.get(vpc, ())], way, packet, vpc in self.closed)

    # --- what becomes of a question ---
    def answer(self, asker, proto, dst, port=0):
        """(who, seen as), ("router", "") or ("gateway", ""); None: nobody; EITHER: that is not said."""
        if asker not in self.nics:  # outside, or on the machine, which has no way into networks of guests
            return self.from_outside(self.outside[asker], proto, dst, port) if asker in self.outside else None
        nic = self.nics[asker]
        if not self.filter(nic, "out", proto, nic.ip, dst, port):
            return None
        if self.vpc_of(dst) == nic.vpc:
            return self.delivered(proto, nic.ip, dst, port)
        router = self.legs.get(nic.vpc)
        return router and self.routed(router, nic, proto, dst, port)

    def routed(self, router, nic, proto, dst, port):
        if self.router_of(dst) == router:
            return self.mapped(router, proto, nic.ip, dst, port, self.leaves_as(router, nic.ip))
        to = self.vpc_of(dst)
        if to:
            passes = self.legs.get(to) == router and self.gate(nic.vpc, "out", proto, nic.ip, dst, port) and (
                self.gate(to, "in", proto, nic.ip, dst, port) or (self.engine.one_router and self.is_gateway(dst)))
            return self.delivered(proto, nic.ip, dst, port) if passes else None
        if not self.gate(nic.vpc, "out", proto, nic.ip, dst, port):
            return None
        return self.from_outside(self.leaves_as(router, nic.ip), proto, dst, port)

    def from_outside(self, src, proto, dst, port):
        there = next((name for name, ip in self.outside.items() if ip == dst), None)
        if there:
            return self.heard(there, proto, src, port)
        router = self.router_of(dst)
        return router and self.mapped(router, proto, src, dst, port, src)

    def mapped(self, router, proto, src, dst, port, seen):
        """What is for an outer address of this router; ports count before whole addresses."""
        here = self.vpc_of(src)
        taking = sorted((m for m in self.mappings.get(router, ()) if m.takes(
            proto, src, dst, port, bool(here) and self.engine.own_may)), key=lambda m: not m.proto)
        if not taking:
            reached = not (here and self.engine.one_router) or self.gate(here, "out", proto, src, dst, port)
            return ("router", "") if reached and proto == "icmp" and dst == self.routers[router] else None
        inner, port = taking[0].inner, taking[0].inner_port or port
        to = self.vpc_of(inner)
        if self.engine.shows_own and here and taking[0].proto:
            seen = src if src != inner else dst
        if here and self.turns(src, here, to, taking[0], proto, dst, inner, port):
            return EITHER
        if here and self.engine.seen_outside and not taking[0].proto and (
                self.gate(to, "in", proto, src, inner, port) != self.gate(to, "in", proto, seen, inner, port)):
            return EITHER
        if self.legs.get(to) != router or not self.gate(to, "in", proto, src, inner, port) or (
                here and not self.gate(here, "out", proto, src, inner, port)):
            return None
        return self.delivered(proto, seen, inner, port)

    def turns(self, src, here, to, mapping, proto, dst, inner, port):
        """Whether an engine that translates early may end what is said from inside to an outer address, or let it
        pass."""
        asker = self.nics[self.holder(src)]
        return self.engine.turns_early and (
            (here == to and (here in self.closed or bool(self.gates.get(here)))) or
            (bool(mapping.proto) and not (self.filter(asker, "out", proto, src, inner, port) and self.gate(
                here, "out", proto, src, dst, mapping.outer_port) and self.gate(here, "out", proto, src, inner, port))))

    def delivered(self, proto, seen, dst, port):
        name = self.holder(dst)
        if name:
            return self.heard(name, proto, seen, port) if self.filter(
                self.nics[name], "in", proto, seen, dst, port) else None
        if proto != "icmp" or not self.is_gateway(dst) or (
                self.engine.one_router and self.vpc_of(dst) not in self.legs):
            return None
        return "gateway", ""

    def heard(self, name, proto, seen, port):
        return (name, seen) if proto == "icmp" or port in self.hears else None


def some_allows(lists, way, packet, closed=False):
    """Rules allow: without one for this direction it is open, unless closed."""
    rules = [rule for rules in lists for rule in rules if rule.way == way]
    return any(rule.allows(*packet) for rule in rules) if rules else not closed


def among(ip, text):
    """Of "", "10.0.0.0/8,10.0.0.1-10.0.0.9,10.0.0.77"."""
    def fits(part):
        first, _, last = part.partition("-")
        if last:
            return ip_address(first) <= ip_address(ip) <= ip_address(last)
        return ip_address(ip) in ip_network(part)

    return not text or any(map(fits, text.split(",")))


def port_range(text):
    first, _, last = text.partition(":")
    return int(first), int(last or first)


# ------------------------------------------------------------------------------------------ rows
def every(client, op, **params):
    """All pages."""
    rows, page = [], 1
    while True:
        reply = client.ok(op, {**params, "page.startnum": page, "page.everypagenum": 30})
        rows += reply.data
        if len(rows) >= reply.count:
            return rows
        page += 1


def rule_of(row):
    return Rule(row["aclrule_direction"], row["aclrule_protocal"], row["aclrule_srcip"], row["aclrule_target"],
                row["aclrule_vmport"])


def look(tenants, names, joined, closed, **more):
    """The world that the rows of these tenants make. `names`: {VM: name}. Which VPCs have a leg (`joined`) and which
    are `closed` no search tells."""
    world = World(closed=set(closed), **more)
    for client in tenants:
        look_at_tenant(world, client, names, joined)
    return world


def look_at_tenant(world, client, names, joined):
    own = {row["vpc.id"]: row["vpc.cidr"] for row in client.ok("POST cloudnetwork/vpc/search").data}
    world.vpcs.update(own)
    groups = {}
    for group in (row["securitygroup.id"] for row in client.ok("POST cloudsegroup/search").data):
        world.rules[group] = [rule_of(row) for row in every(
            client, "POST cloudsegroup/rule/search", **{"aclrule.securitygroupid": group})]
        for row in every(client, "POST cloudsegroup/vnic/search", **{"securitygroup.id": group}):
            groups.setdefault(row["vnic.id"], []).append(group)
    for vm in (row["vm.id"] for row in client.ok("POST cloudvm/search").data):
        on = client.show(vm)["vm.firewalld.enable"] == "true"
        (row,) = client.ok("POST cloudvm/vnic/search", {"vnic.vmid": vm}).data
        world.nics[names[vm]] = Nic(row["vnic.id"], row["vnic.ipaddress"], row["vnic.vpc.id"],
                                    tuple(groups.get(row["vnic.id"], ())), on)
    for row in every(client, "POST cloudnetwork/acessrule/search"):
        rule = rule_of(row)
        if row["aclrule_type"] == "net_gate":
            world.gates.setdefault(row["aclrule_vnetid"], []).append(rule)
        else:
            world.rules.setdefault(rule.dsts if rule.way == "in" else rule.srcs, []).append(rule)
    for row in client.ok("POST vroute/search").data:
        router = row["vroute.id"]
        world.routers[router] = row["vroute.manageip"]
        world.legs.update({vpc: router for vpc in joined & set(own)})
        world.mappings[router] = [
            Mapping(m["nat_outerip"], m["nat_innerip"], m["nat_protocal"], int(m["nat_outerport"] or 0),
                    int(m["nat_innerport"] or 0), m["nat_srcip"])
            for m in every(client, "POST vroute/Mapping/search", natVrouteid=router)]
