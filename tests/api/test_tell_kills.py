"""kill -9 between row and engine of every operation that tells the network engine, and once the engine has it."""
import contextlib
import http.client
import uuid

import pytest
from books import Books
from outside import pool
from servers import Servers
from starvirt import dump_routes, op_name, wait_until
from test_rule import allow as allow_nic
from test_secgroup import allow, asked, bind, group
from test_slb import Site, certificate

HTTPS = {"slb_protocal_type": "https"}


class World(Site):
    """A tenant with one of each."""

    def __init__(self, server):
        self.server, self.books = server, Books(server)
        super().__init__(server.admin, server.admin.model())
        for kind in ("outer", "share"):
            pool(server.admin, kind, 10, 250)
        self.nic = self.tenant.ok("POST cloudvm/vnic/search", {"vnic.vmid": self.vm}).data[0]["vnic.id"]
        self.port = 1000
        self.group = group(self.tenant)
        bind(self.tenant, self.group, self.nic)

    def next_port(self):
        self.port += 1
        return self.port

    def other_switch(self):
        return "false" if self.tenant.show(self.vm)["vm.firewalld.enable"] == "true" else "true"

    def fresh(self):
        """A group that has a rule and holds the NIC."""
        made = group(self.tenant)
        allow(self.tenant, made)
        bind(self.tenant, made, self.nic)
        return made

    def unmapped(self):
        for row in self.tenant.ok("POST vroute/Mapping/search", {"natType": "ip"}).data:
            self.tenant.ok("DELETE cloudnetwork/ipmapping/{natId}", {"natId": row["nat_id"]})
        return {"vm.id": self.vm}

    def balancer(self, **more):
        return self.add(**{"slb_directport": self.next_port(), **more})

    def with_node(self):
        slb = self.balancer()
        return slb, self.add_node(slb)

    def mapped(self):
        ip = self.tenant.ok("POST cloudip/mapping/outerIp/search", {"nat.type": "port"}).data[0]["ipaddress"]
        return {"innerIp": self.ip, "innerPort": 80, "ipaddress": ip, "outerPort": self.next_port(), "protocal": "tcp"}

    def led(self):
        vpc = self.tenant.vpc()
        self.tenant.ok("POST vroute/vpcAdd", {"portgroup.id": vpc})
        return vpc

    def secure(self):
        cert, key = certificate()
        return self.balancer(**HTTPS, slb_https_cert_text=cert, slb_https_cert_key=key)


def new_certificate(world):
    cert, key = certificate(name="another.test")
    return {"slb.id": world.secure(), "slb.https.cert.text": cert, "slb.https.cert.key": key}


def unbound(world):
    made = world.fresh()
    world.tenant.ok("POST cloudsegroup/vnic/unbind", {"securitygroup.id": made, "vnic.id": world.nic})
    return made


def stopped(world):
    slb = world.with_node()[0]
    world.tenant.ok("POST cloudslb/stop", {"slb.id": slb})
    return slb


def mapping(world):
    return world.tenant.ok("POST cloudnetwork/portMapping/create", world.mapped()).data["nat.id"]


# What each is asked with; it makes what it needs. `test_all_are_here` holds it against the routes.
ASK = {
    "POST cloudvm/switchfirewalld": lambda w: {"vm.id": w.vm, "vm.firewalld.enable": w.other_switch()},
    "POST cloudnetwork/acessrule/add": lambda w: {
        "vm.ip": w.ip, "aclrule.type": "net_inner", "allow.direction": "in", "allow.protocol": "tcp",
        "allow.internalport": w.next_port()},
    "DELETE cloudnetwork/acessrule/{ruleId}": lambda w: {"ruleId": allow_nic(w.tenant, w.ip, protocol="udp", internalport=w.next_port())},
    "DELETE cloudsegroup/{securitygroupid}": lambda w: {"securitygroupid": unbound(w)},
    "POST cloudsegroup/vnic/bind": lambda w: {"securitygroup.id": unbound(w), "vnic.id": w.nic},
    "POST cloudsegroup/vnic/unbind": lambda w: {"securitygroup.id": w.fresh(), "vnic.id": w.nic},
    "POST cloudsegroup/rule/add": lambda w: asked(w.group, protocal="tcp", vmport=w.next_port()),
    "DELETE cloudsegroup/rule/{ruleid}": lambda w: {"ruleid": allow(w.tenant, w.group, protocal="udp", vmport=w.next_port())},
    "POST cloudnetwork/netgate": lambda w: {"portgroup.id": w.led(), "type": "close"},
    "POST vroute/vpcAdd": lambda w: {"portgroup.id": w.tenant.vpc()},
    "POST vroute/vpcDelete": lambda w: {"portgroup.id": w.led()},
    "POST cloudnetwork/sharenet/connect": World.unmapped,
    "POST cloudnetwork/portMapping/create": World.mapped,
    "DELETE cloudnetwork/ipmapping/{natId}": lambda w: {"natId": mapping(w)},
    "POST cloudslb/add": lambda w: w.params(slb_directport=w.next_port()),
    "PUT cloudslb/modify": lambda w: {"slb.id": w.with_node()[0], "slb.policy.type": "wlc"},
    "DELETE cloudslb/{slbid}": lambda w: {"slbid": w.with_node()[0]},
    "POST cloudslb/start": lambda w: {"slb.id": stopped(w)},
    "POST cloudslb/stop": lambda w: {"slb.id": w.with_node()[0]},
    "PUT cloudslb/https/cert/conf": new_certificate,
    "POST cloudslb/realnode/add": lambda w: w.node(realnode_slbid=w.balancer()),
    "PUT cloudslb/realnode/modify": lambda w: {"realnode.id": w.with_node()[1], "realnode.weight": 7},
    "DELETE cloudslb/realnode/{realnodeid}": lambda w: {"realnodeid": w.with_node()[1]},
}


def test_all_are_here():
    assert set(ASK) == {op_name(r) for r in dump_routes() if r["served"] and r["runs"] == "tell"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    servers = Servers(tmp_path_factory.mktemp("tell"))
    yield World(servers(connect="sim://", network="sim"))
    servers.finish()


def settled(world):
    def none_waits():
        with world.server.database() as db:
            return not db.execute("SELECT 1 FROM net_unit").fetchall()
    wait_until(none_waits, "the engine has all")
    return world.books.all()


def killed(world, op, params, moment, headers):
    """Asks; the server dies of it."""
    world.books.switch(moment, "all")
    with contextlib.suppress(http.client.HTTPException, OSError):
        reply = world.tenant.call(op, params, headers=headers)
        assert reply.ok, reply
    world.server.crashed(10)
    world.books.switch(moment)
    world.server.start()


@pytest.mark.parametrize("moment", ["die-before", "die-after"])
@pytest.mark.parametrize("op", ASK)
def test_a_kill(world, op, moment):
    params, headers = ASK[op](world), {"Idempotency-Key": str(uuid.uuid4())}
    before = settled(world)
    killed(world, op, params, moment, headers)
    after = settled(world)
    assert after != before, "what was written is in force"
    world.tenant.ok(op, params, headers=headers)
    assert settled(world) == after, "asked again, it is not done again"
    world.server.stop()
    assert world.server.fsck(hosts=False) == ""
    world.books.lose()
    world.server.start()
    assert wait_until(lambda: settled(world) == after, "the rows say what the engine had") is True
