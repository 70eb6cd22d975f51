"""The outside for tests: pools of outer addresses, and a tenant's router with legs."""
import itertools
import threading

MASK = "255.255.255.0"
_nets = itertools.count(1)
_nets_lock = threading.Lock()


def fresh_net():
    """"198.18.n": nobody else's of this process (the benchmark range of RFC 2544)."""
    with _nets_lock:
        n = next(_nets)
    return f"198.{18 + n // 256}.{n % 256}"


def pool(admin, kind, first, last, net=None, **more):
    """A pool of the addresses `first`..`last` of a /24 of its own (or of `net`, "198.51.100"); its id and that net."""
    net = net or fresh_net()
    made = admin.ok("POST cloudip/pool/add", {
        "pool.type": kind, "pool.start": f"{net}.{first}", "pool.end": f"{net}.{last}", "pool.gateway": f"{net}.1",
        "pool.netmask": MASK, **more})
    return made.data["pool.id"], net


def router(client, *vpcs):
    """The tenant's router, with a leg in each of these VPCs; its id."""
    made = client.ok("POST vroute/create").data[0]
    client.done(made["jobstartid"])
    for vpc in vpcs:
        client.ok("POST vroute/vpcAdd", {"portgroup.id": vpc})
    return made["vm.id"]
