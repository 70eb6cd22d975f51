"""Random rules, held against the model with real packets, and connections that go with their rules; with namespaces in
the place of guests. The same set is made again by STARVIRT_SEED (printed when one differs) and STARVIRT_SETS=1."""
import concurrent.futures
import os
import random

import pytest
from prober import Stream, ask
from stage import CLIENTS, GUESTS, OUTER, why_not_engine
from standins import Standins
from starvirt import Refused
from steps import keeps_and_cuts

SEED = int(os.environ.get("STARVIRT_SEED", "1"))
SETS = int(os.environ.get("STARVIRT_SETS", "50"))
AT_ONCE = 4  # requests
PORTS = ["", "81", "22,8080", "81:82", "1:81", "22,82:8080", "82:65535"]


@pytest.fixture(scope="module", params=["linux", "ovn"])
def stage(request, tmp_path_factory):
    reason = why_not_engine(request.param)
    if reason:
        pytest.skip(reason)
    made = Standins(tmp_path_factory.mktemp("standins"), request.param)
    yield made
    complaints = made.end()
    assert not complaints, "\n".join(complaints)


def some_addresses(dice, world):
    """A list of addresses as a rule has it: any, guests, networks, ranges, who is outside."""
    nets = list(world.vpcs.values())
    kinds = [[nic.ip for nic in world.nics.values()], nets, [net.replace(".0/24", ".0/30") for net in nets],
             [f"{OUTER}.100", f"{OUTER}.0/24", "0.0.0.0/0"]]
    if dice.random() < 0.4:
        return ""
    return ",".join(sorted({dice.choice(dice.choice(kinds)) for _ in range(dice.randint(1, 3))}))


def some_rule(dice, world):
    proto = dice.choice(["", "tcp", "udp", "icmp"])
    way = dice.choice(["in", "out"])
    peers = some_addresses(dice, world)
    return {"way": way, "proto": proto, "sources" if way == "in" else "targets": peers,
            "ports": dice.choice(PORTS) if proto in ("tcp", "udp") else ""}


def unless_there(make):
    """What adding answers; None where it would say what another rule does."""
    try:
        return make()
    except Refused as refused:
        assert refused.reply.code == "RULE_EXISTS", refused
        return None


def choose_rules(dice, world):
    """[(guest, kind, rule)]: a few for NICs and for boundaries."""
    return [(guest, kind, some_rule(dice, world)) for guest in GUESTS
            for kind, most in (("net_inner", 2), ("net_gate", 1)) for _ in range(dice.randint(0, most))]


def choose_groups(dice, world):
    """[(tenant, guests, rules)]"""
    found = []
    for tenant in (0, 1):
        own = [guest for guest in GUESTS if GUESTS[guest][0] == tenant]
        found += [(tenant, dice.sample(own, dice.randint(0, len(own))),
                   [some_rule(dice, world) for _ in range(dice.randint(0, 3))]) for _ in range(dice.randint(0, 2))]
    return found


def make_set(stage, pool, dice, world):
    """A set, made by several requests side by side; how to take it away."""
    rules, groups = choose_rules(dice, world), choose_groups(dice, world)
    closed = [dice.choice("abcd")] if dice.random() < 0.2 else []

    def make_rule(of):
        guest, kind, rule = of
        made = unless_there(lambda: stage.rule(guest, kind, **rule))
        return lambda: made and stage.drop_rule(GUESTS[guest][0], made)

    def make_group(of):
        tenant, guests, rules = of
        group = stage.group(tenant, *guests)
        for rule in rules:
            unless_there(lambda rule=rule: stage.group_rule(tenant, group, **rule))
        return lambda: stage.drop_group(tenant, group)

    def close(letter):
        stage.gate(letter, "close")
        return lambda: stage.gate(letter, "open")

    return [*pool.map(make_rule, rules), *pool.map(make_group, groups), *pool.map(close, closed)]


def test_connections_go_with_their_rules(stage):
    """Of a NIC, of a group, of a boundary; and with their mapping. What else changes they do not notice."""
    first = stage.make_router(0, "a", "b")
    stage.map_whole("a1", f"{OUTER}.30")
    port = stage.map_port("b1", first, 8080, 81)

    def streams(asker, ip, *ports):
        return [Stream(stage.places[asker], ip, port) for port in ports]

    rules = [stage.rule("a2", "net_inner", "in", "tcp", ports=port) for port in ("22", "81")]
    kept, cut = streams("a1", stage.ip("a2"), 22, 81)
    stage.drop_rule(0, stage.rule("a2", "net_inner", "in", "udp"))
    keeps_and_cuts(kept, cut, lambda: stage.drop_rule(0, rules[1]))
    stage.drop_rule(0, rules[0])

    group = stage.group(0, "a2", "b1")
    rules = [stage.group_rule(0, group, "in", "tcp", ports=port) for port in ("22", "81")]
    kept, cut = streams("a1", stage.ip("b1"), 22, 81)
    keeps_and_cuts(kept, cut, lambda: stage.drop_group_rule(0, rules[1]))
    stage.drop_group(0, group)

    rules = [stage.rule("b1", "net_gate", "out", "tcp", targets=f"{client}/32") for client in CLIENTS.values()]
    kept, cut = (Stream(stage.places["b1"], client, 22) for client in CLIENTS.values())
    keeps_and_cuts(kept, cut, lambda: stage.drop_rule(0, rules[1]))
    stage.drop_rule(0, rules[0])

    def nobody_at(ip, port):
        return lambda: ask(stage.places, [("near", ("tcp", ip, port))])["near", ("tcp", ip, port)] is None

    kept, cut = Stream(stage.places["near"], f"{OUTER}.30", 22), Stream(stage.places["near"], first, 8080)
    keeps_and_cuts(kept, cut, lambda: stage.unmap(0, port), nobody_at(first, 8080))
    kept, cut = Stream(stage.places["b1"], CLIENTS["near"], 22), Stream(stage.places["near"], f"{OUTER}.30", 22)
    keeps_and_cuts(kept, cut, lambda: stage.unmap_whole(0), nobody_at(f"{OUTER}.30", 22))
    stage.delete_router(0)


def test_random_rules(stage):
    first = stage.make_router(0, "a", "b")
    second = stage.make_router(1, "c")
    stage.map_whole("a1", f"{OUTER}.30")
    stage.map_port("b1", first, 8080, 81)
    stage.map_port("c1", second, 8080, 82, "udp", sourceIp=f"{OUTER}.100")
    world = stage.check("before any rules")
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for seed in range(SEED, SEED + SETS):
            undo = make_set(stage, pool, random.Random(seed), world)
            stage.check(f"STARVIRT_SEED={seed}")
            list(pool.map(lambda step: step(), undo))
    stage.check("after all rules")
