"""What is done to the networks of a stage, step by step; after each one every cell of the matrix is asked."""
from prober import ask
from sandbox import until
from stage import OUTER


def walk(stage):
    """(what was done) after each step."""
    yield "nothing yet"
    first = stage.make_router(0, "a", "b")
    second = stage.make_router(1, "c")  # and not d
    yield "routers"
    stage.map_whole("a1", f"{OUTER}.30")
    stage.map_whole("a2", f"{OUTER}.31", **{"vm.allow.srcip": f"{OUTER}.100"})
    port = stage.map_port("b1", first, 8080, 81)
    stage.map_port("b1", first, 53, 82, "udp", sourceIp=f"{OUTER}.101,{OUTER}.30")
    stage.map_port("c1", second, 2222, 22, "both")
    yield "mappings"
    stage.gate("b", "close")
    stage.gate("c", "close")
    yield "closed boundaries"
    gates = [(0, stage.rule("b1", "net_gate", "in", "tcp", ports="81:82")),
             (0, stage.rule("b1", "net_gate", "out", "icmp", targets=f"{OUTER}.100")),
             (0, stage.rule("a1", "net_gate", "in", sources=f"{OUTER}.0/25")),
             (1, stage.rule("c1", "net_gate", "out", "udp"))]
    yield "rules of boundaries"
    rules = [(0, stage.rule("a2", "net_inner", "in", "tcp", stage.ip("a1"), ports="81,8080")),
             (0, stage.rule("a2", "net_inner", "out", "udp")),
             (0, stage.rule("b1", "net_inner", "in", sources=f"{stage.ip('a1')},{OUTER}.101")),
             (1, stage.rule("d1", "net_inner", "out", "icmp"))]
    yield "rules of NICs"
    groups = [(0, stage.group(0, "a1", "a2", "b1")), (1, stage.group(1, "c1"))]
    own = stage.group_rule(*groups[0], "in", "icmp")
    stage.group_rule(*groups[0], "in", "tcp", ports="22")
    stage.group_rule(*groups[1], "in", "tcp", f"{OUTER}.100", ports="1:22")
    yield "groups"
    stage.switch("a1", False)
    stage.bind(0, groups[0][1], "b1", verb="unbind")
    stage.drop_group_rule(0, own)
    yield "a switch off, a NIC out of its group, a rule out of another"
    for tenant, rule in gates + rules:
        stage.drop_rule(tenant, rule)
    for tenant, group in groups:
        stage.drop_group(tenant, group)
    stage.switch("a1", True)
    stage.gate("c", "open")
    stage.gate("b", "open")
    stage.unmap(0, port)
    stage.unmap_whole(0)
    stage.part(0, "a")
    yield "rules gone, boundaries open, a mapping and a leg gone"
    stage.delete_router(0)
    yield "a router gone"
    stage.delete_guest("c1")
    yield "a VM gone"


def balances(stage, proto, port, real):
    """Through a balancer outside to both of its guests, a2 and b1."""
    address = f"{OUTER}.35"
    stage.balance(0, proto, address, port, real, "a2", "b1")
    wanted, heard = {"a2", "b1"}, set()

    def both():
        answer = ask(stage.places, [("near", (proto, address, port))])["near", (proto, address, port)]
        heard.update(answer[:1] if answer else ())
        return wanted <= heard

    until(both, f"{wanted} answer behind the balancer of {proto}", 30, tick=0)
    assert wanted == heard
    stage.drop_balancers(0)


def keeps_and_cuts(kept, cut, change, gone=lambda: True):
    """What is changed ends the one connection and not the other. `gone`: is it in force for those who come anew? Asked
    before the connection is, since OVN's may live on what they say meanwhile (docs/ARCHITECTURE.md)."""
    assert kept.lives() and cut.lives()
    change()
    until(gone, "it is in force", 10, tick=0)
    until(lambda: not cut.lives(0.5), "the connection is cut", 10, tick=0)
    assert kept.lives() and not cut.lives(0.5)
    kept.close()
    cut.close()
