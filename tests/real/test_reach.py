"""The model of reachability by itself: one sentence of the document or of docs/ARCHITECTURE.md each."""
import pytest
from reach import EITHER, OVN, Mapping, Nic, Rule, World, among

A1, A2, B1, C1 = "10.0.0.2", "10.0.0.3", "10.0.1.2", "10.0.2.2"
OWN, WHOLE, OTHERS, CLIENT = "192.0.2.2", "192.0.2.9", "192.0.2.3", "192.0.2.100"


@pytest.fixture
def world():
    """a and b have legs at one router, c at another tenant's."""
    return World(vpcs={"a": "10.0.0.0/24", "b": "10.0.1.0/24", "c": "10.0.2.0/24"},
                 nics={"a1": Nic("1", A1, "a", ("g",)), "a2": Nic("2", A2, "a"), "b1": Nic("3", B1, "b"),
                       "c1": Nic("4", C1, "c")},
                 legs={"a": "r", "b": "r", "c": "s"}, routers={"r": OWN, "s": OTHERS},
                 mappings={"r": [Mapping(WHOLE, A1), Mapping(OWN, B1, "tcp", 8080, 80)],
                           "s": [Mapping(OTHERS, C1, "both", 53, 80, f"{CLIENT},{OWN}")]},
                 outside={"client": CLIENT}, hears={80})


def tcp(world, asker, dst, port=80):
    return world.answer(asker, "tcp", dst, port)


def test_lists():
    assert among("10.0.0.9", "") and among("10.0.0.9", "10.1.0.0/16,10.0.0.9")
    assert among("10.0.0.9", "10.0.0.8-10.0.0.10") and not among("10.0.0.11", "10.0.0.8-10.0.0.10")
    rule = Rule("in", "tcp", ports="22,80:83")
    assert rule.allows("tcp", A1, A2, 83) and not rule.allows("tcp", A1, A2, 84) and not rule.allows("udp", A1, A2, 83)
    assert not Rule("in", ports="80").allows("icmp", A1, A2, 80), "an echo has no port"


def test_a_vpc_is_a_network_and_a_router_joins_them(world):
    assert tcp(world, "a1", A2) == ("a2", A1) and tcp(world, "a1", A2, 81) is None
    assert tcp(world, "a1", B1) == ("b1", A1) and tcp(world, "a1", C1) is None
    assert world.answer("a1", "icmp", "10.0.0.1") == world.answer("b1", "icmp", "10.0.0.1") == ("gateway", "")
    world.legs.clear()
    assert tcp(world, "a1", A2) == ("a2", A1) and tcp(world, "a1", B1) is None and tcp(world, "a1", CLIENT) is None
    assert world.answer("a1", "icmp", "10.0.0.1") == ("gateway", "")
    world.engine = OVN
    assert world.answer("a1", "icmp", "10.0.0.1") is None


def test_who_leaves_is_seen_as_the_router_or_as_what_it_is_mapped_to(world):
    assert tcp(world, "a2", CLIENT) == ("client", OWN) and tcp(world, "a1", CLIENT) == ("client", WHOLE)


def test_who_comes_needs_a_mapping(world):
    assert tcp(world, "client", WHOLE) == ("a1", CLIENT) and tcp(world, "client", OWN, 8080) == ("b1", CLIENT)
    assert world.answer("client", "icmp", WHOLE) == ("a1", CLIENT)
    assert world.answer("client", "icmp", OWN) == ("router", "")
    for dst in (OWN, A1, B1, "192.0.2.77"):
        assert tcp(world, "client", dst) is None
    assert tcp(world, "host", A1) is None and tcp(world, "host", WHOLE) is None
    del world.legs["b"]
    assert tcp(world, "client", OWN, 8080) is None, "it leads nowhere without a leg"


def test_sources_of_a_mapping(world):
    for proto in ("tcp", "udp"):
        assert world.answer("client", proto, OTHERS, 53) == ("c1", CLIENT)
    assert tcp(world, "a2", OTHERS, 53) == ("c1", OWN) and tcp(world, "a1", OTHERS, 53) is None
    assert tcp(world, "c1", OTHERS, 53) is None
    world.engine = OVN
    assert tcp(world, "c1", OTHERS, 53) == ("c1", OTHERS)


def test_round_by_an_outer_address(world):
    assert tcp(world, "a2", WHOLE) == ("a1", OWN) and tcp(world, "a1", WHOLE) == ("a1", WHOLE)
    assert tcp(world, "a1", OWN, 8080) == ("b1", WHOLE)
    world.engine = OVN
    assert tcp(world, "a1", OWN, 8080) == ("b1", A1) and tcp(world, "b1", OWN, 8080) == ("b1", OWN)
    world.rules[A2] = [Rule("out", "tcp", "", OWN)]
    assert tcp(world, "a2", OWN, 8080) == EITHER and tcp(world, "a2", B1) is None
    world.closed.add("b")
    assert tcp(world, "b1", OWN, 8080) == EITHER and tcp(world, "a1", OWN, 8080) is None


def test_rules_of_nics_and_groups_together(world):
    world.rules = {A1: [Rule("in", "tcp", A2)], "g": [Rule("in", "icmp"), Rule("out", "", "", B1)]}
    assert tcp(world, "a2", A1) == ("a1", A2) and tcp(world, "b1", A1) is None
    assert world.answer("b1", "icmp", A1) == ("a1", B1)
    assert tcp(world, "a1", B1) == ("b1", A1) and tcp(world, "a1", A2) is None
    world.rules[A1] = []
    assert tcp(world, "a2", A1) is None
    world.nics["a1"] = Nic("1", A1, "a", ("g",), on=False)
    assert tcp(world, "a2", A1) == ("a1", A2) and tcp(world, "a1", A2) == ("a2", A1)


def test_boundaries(world):
    world.gates["b"] = [Rule("in", "tcp", f"{A1},{CLIENT}", B1, "80")]
    assert tcp(world, "a1", B1) == ("b1", A1) and tcp(world, "a2", B1) is None
    assert tcp(world, "client", OWN, 8080) == ("b1", CLIENT), "a boundary sees the port inside"
    assert tcp(world, "b1", CLIENT) == ("client", OWN)
    world.closed.add("b")
    assert tcp(world, "b1", CLIENT) is None and tcp(world, "a1", B1) == ("b1", A1)
    world.closed.add("a")
    assert tcp(world, "a1", B1) is None and tcp(world, "a1", A2) == ("a2", A1)
    assert tcp(world, "a1", OWN, 8080) is None, "nor does it leave by an outer address"
    assert world.answer("a1", "icmp", OWN) == ("router", "")
    world.engine = OVN
    assert world.answer("a1", "icmp", OWN) is None


def test_ports_count_before_whole_addresses(world):
    world.mappings["r"] = [Mapping(WHOLE, A1), Mapping(WHOLE, B1, "tcp", 80, 80)]
    assert tcp(world, "client", WHOLE) == ("b1", CLIENT) and world.answer("client", "udp", WHOLE, 80) == ("a1", CLIENT)
