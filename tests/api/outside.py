"""The outside for tests: pools of outer addresses, and a tenant's router with legs."""
import itertools
import threading
import uuid

from starvirt import dump_routes, op_name

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
    if "POST vroute/create" in {op_name(route) for route in dump_routes() if route["served"]}:
        made = client.ok("POST vroute/create").data[0]
        client.done(made["jobstartid"])
        for vpc in vpcs:
            client.ok("POST vroute/vpcAdd", {"portgroup.id": vpc})
        return made["vm.id"]
    return router_rows(client, vpcs)


def router_rows(client, vpcs):
    made = str(uuid.uuid4())
    with client.server.database("rw") as db, db:
        db.execute("INSERT INTO router VALUES(?, ?, 'router', '', 0, 1, 1)", (made, client.id))
        db.execute("INSERT INTO router_node VALUES(?, ?, 0)", (made, made))
        for slot, vpc in enumerate(vpcs):
            db.execute("INSERT INTO router_leg VALUES(?, ?, ?, 1)", (vpc, made, slot))
    return made
