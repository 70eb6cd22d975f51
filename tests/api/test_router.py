"""Routers: one a tenant, made and removed by jobs; the VPCs that they lead to; the boundary of a VPC."""
import os

import pytest
from books import Books
from starvirt import wait_until
from test_vdisk import NOBODY

MAKE, FIND, SHOW, DROP = "POST vroute/create", "POST vroute/search", "GET vroute/{vmId}", "DELETE vroute/{vmId}"
JOIN, PART, GATE = "POST vroute/vpcAdd", "POST vroute/vpcDelete", "POST cloudnetwork/netgate"


@pytest.fixture
def routed(server):
    made = server(connect="sim://", network="sim")
    made.books = Books(made)
    return made


def make(client, **params):
    made = client.ok(MAKE, {key.replace("_", "."): value for key, value in params.items()}).data
    client.done(made[0]["jobstartid"])
    return made[0]["vm.id"]


def show(client, router):
    return client.ok(SHOW, {"vmId": router}).data


def test_it_is_made_shown_and_removed(routed):
    tenant = routed.admin.tenant()
    since = tenant.last_event()
    (made,) = tenant.ok(MAKE, {"vroute.name": "way out"}).data
    assert made["vm.name"] == "way out" and made["vm.manageip"] == "", "there is no pool of outer addresses"
    tenant.done(made["jobstartid"])
    row = show(tenant, made["vm.id"])
    assert row["vroute.id"] == made["vm.id"] and row["vroute.name"] == "way out"
    assert row["vroute.online"] == "true" and row["vroute.manageip"] == ""
    assert tenant.ok(FIND).data == [row]
    assert tenant.ok(FIND, {"vroute.name": "OUT"}).count == 1
    assert tenant.ok(FIND, {"vroute.name": "in"}).count == 0
    assert routed.books.read("router", row["vroute.id"])[0] == "ha off"
    tenant.done(tenant.ok(DROP, {"vmId": made["vm.id"]}).startid)
    tenant.refused(SHOW, {"vmId": made["vm.id"]}, "ROUTER_NOT_FOUND", "vmId")
    assert not routed.books.has("router", made["vm.id"])
    told = [(e["event.type"], e["event.content"]) for e in tenant.events(since) if e["event.type"].startswith("router")]
    assert told == [("router.create", "way out"), ("router.delete", "way out")]


def test_two_instances_are_one_router(routed):
    tenant = routed.admin.tenant()
    first, second = tenant.ok(MAKE, {"vroute.ha.enable": True}).data
    assert first["jobstartid"] == second["jobstartid"] and first["vm.id"] != second["vm.id"]
    assert first["vm.name"] == second["vm.name"] == "vroute-" + first["vm.id"][-8:]
    tenant.done(first["jobstartid"])
    assert show(tenant, first["vm.id"]) == show(tenant, second["vm.id"])
    assert routed.books.read("router", first["vm.id"])[0] == "ha on"
    tenant.done(tenant.ok(DROP, {"vmId": second["vm.id"]}).startid)
    assert tenant.ok(FIND).data == []


def test_a_tenant_has_one(routed):
    tenant = routed.admin.tenant()
    make(tenant, vroute_name="mine")
    assert "mine" in tenant.refused(MAKE, {}, "ROUTER_EXISTS").text
    assert tenant.ok(FIND).count == 1
    assert "1 router" in routed.admin.refused("DELETE cloudTenant/{appId}", {"appId": tenant.id}, "TENANT_IN_USE").text


@pytest.mark.parametrize("params,code,field", [
    ({"vroute.name": "  "}, "PARAM_MISSING", "vroute.name"),
    ({"vroute.name": "two\nlines"}, "PARAM_CHARS", "vroute.name"),
    ({"vroute.manageip": "::1"}, "PARAM_FORMAT", "vroute.manageip"),
    ({"vroute.manageip": "198.51.100.7"}, "OUTER_IP_NOT_FOUND", None),
    ({"vroute.ha.enable": "perhaps"}, "PARAM_TYPE", "vroute.ha.enable"),
])
def test_what_is_refused_leaves_nothing(tenant, params, code, field):
    tenant.refused(MAKE, params, code, field)
    assert tenant.ok(FIND).data == []


def test_a_creation_that_failed_is_undone(routed):
    tenant = routed.admin.tenant()
    routed.books.switch("fail", "router_apply")
    (made,) = tenant.ok(MAKE).data
    assert tenant.follow(made["jobstartid"]).result != "0"
    assert tenant.ok(FIND).data == []
    routed.books.switch("fail")
    wait_until(lambda: not routed.books.has("router", made["vm.id"]), "nothing of it is left")
    make(tenant)


def test_a_removal_that_failed_leaves_it_as_it_was(routed):
    tenant = routed.admin.tenant()
    vpc, router = tenant.vpc(), make(tenant)
    tenant.ok(JOIN, {"portgroup.id": vpc})
    routed.books.switch("fail", "router_remove")
    startid = tenant.ok(DROP, {"vmId": router}).startid
    assert tenant.follow(startid).result != "0"
    routed.books.switch("fail")
    assert show(tenant, router)["vroute.online"] == "true"
    assert any(line.startswith(f"leg {vpc}") for line in routed.books.read("router", router))


def test_its_vpcs_take_the_lowest_places(routed):
    tenant = routed.admin.tenant()
    first, second, third = (tenant.vpc() for _ in range(3))
    router = make(tenant)
    for vpc in (first, second):
        tenant.ok(JOIN, {"portgroup.id": vpc})
    tenant.refused(JOIN, {"portgroup.id": first}, "LEG_EXISTS", "portgroup.id")
    tenant.ok(PART, {"portgroup.id": first})
    tenant.refused(PART, {"portgroup.id": first}, "ROUTER_NO_LEG", "portgroup.id")
    tenant.ok(JOIN, {"portgroup.id": third})
    lines = [line.split()[1:3] for line in routed.books.read("router", router) if line.startswith("leg")]
    assert lines == [[third, "0"], [second, "1"]]
    tenant.done(tenant.ok(DROP, {"vmId": router}).startid)
    for vpc in (second, third):  # their gateways do not send to it any more
        wait_until(lambda vpc=vpc: not any(line.startswith("uplink") for line in routed.books.read("vpc", vpc)), "alone")


def test_a_vpc_that_goes_takes_its_leg_along(routed):
    tenant = routed.admin.tenant()
    vpc, router = tenant.vpc(), make(tenant)
    tenant.ok(JOIN, {"portgroup.id": vpc})
    tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})
    wait_until(lambda: not any(line.startswith("leg") for line in routed.books.read("router", router)), "it has no leg")
    assert not routed.books.has("vpc", vpc)


def test_a_boundary_is_kept_with_and_without_a_router(tenant):
    vpc = tenant.vpc()
    for kind in ("close", "open", "close"):
        tenant.ok(GATE, {"portgroup.id": vpc, "type": kind})
    tenant.refused(GATE, {"portgroup.id": vpc, "type": "ajar"}, "PARAM_ENUM", "type")
    make(tenant)
    tenant.ok(JOIN, {"portgroup.id": vpc})
    tenant.ok(GATE, {"portgroup.id": vpc, "type": "open"})


@pytest.mark.parametrize("op", [JOIN, PART])
def test_without_a_router(tenant, op):
    tenant.refused(op, {"portgroup.id": tenant.vpc()}, "ROUTER_NONE")


@pytest.mark.parametrize("op,more", [(JOIN, {}), (PART, {}), (GATE, {"type": "open"})])
def test_no_such_vpc(admin, tenant, op, more):
    make(tenant)
    for vpc in (NOBODY, "x", admin.tenant().vpc()):
        tenant.refused(op, {"portgroup.id": vpc, **more}, "VPC_NOT_FOUND", "portgroup.id")


def test_not_while_a_job_has_it(routed):
    tenant = routed.admin.tenant()
    vpc = tenant.vpc()
    routed.books.switch("hang", "router_apply")
    (made,) = tenant.ok(MAKE).data
    assert made["jobstartid"] in tenant.refused(JOIN, {"portgroup.id": vpc}, "ROUTER_LOCKED").text
    tenant.refused(DROP, {"vmId": made["vm.id"]}, "ROUTER_LOCKED", "vmId")
    assert show(tenant, made["vm.id"])["vroute.online"] == "false"
    routed.books.switch("hang")
    tenant.done(made["jobstartid"])
    tenant.ok(JOIN, {"portgroup.id": vpc})


def test_anothers_router_is_nobodys(admin, tenant):
    router, other = make(tenant), admin.tenant()
    for op in (SHOW, DROP):
        other.refused(op, {"vmId": router}, "ROUTER_NOT_FOUND", "vmId")
        other.refused(op, {"vmId": "x"}, "ROUTER_NOT_FOUND", "vmId")
    assert other.ok(FIND).data == []
    assert router in [row["vroute.id"] for row in admin.ok(FIND).data]


POINTS = ["router:before", "router:after", "router:recorded", "end:before", "end:after"]


class Killed:
    """A server that kills itself at a point of the next job of a router."""

    def __init__(self, server, kind, point):
        self.server = server
        self.books = Books(server)
        self.tenant = server.admin.tenant()
        self.vpc = self.tenant.vpc()
        self.router = make(self.tenant) if kind == "router.delete" else None
        if self.router:
            self.tenant.ok(JOIN, {"portgroup.id": self.vpc})
        server.stop()
        server.crash_point = f"{kind}:{point}"
        server.start()

    def through(self, op, params=None):
        return self.server.through_crash(lambda: self.tenant.call(op, params))["startid"]


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_while_it_is_made(routed, point):
    killed = Killed(routed, "router.create", point)
    killed.tenant.done(killed.through(MAKE))
    (row,) = killed.tenant.ok(FIND).data
    wait_until(lambda: show(killed.tenant, row["vroute.id"])["vroute.online"] == "true", "the engine has it")
    assert killed.books.has("router", row["vroute.id"])


@pytest.mark.parametrize("point", ["router:undo-before", "router:undo-after", "end:before", "end:after"])
def test_a_kill_while_its_making_is_undone(routed, point):
    killed = Killed(routed, "router.create", point)
    routed.expect("event=network.failed")  # the start tells of it, too
    killed.books.switch("fail", "router_apply")
    assert killed.tenant.follow(killed.through(MAKE)).result != "0"
    killed.books.switch("fail")
    assert killed.tenant.ok(FIND).data == []
    wait_until(lambda: not os.listdir(os.path.join(killed.books.dir, "router")), "nothing of it is left")
    make(killed.tenant)


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_while_it_is_removed(routed, point):
    killed = Killed(routed, "router.delete", point)
    killed.tenant.done(killed.through(DROP, {"vmId": killed.router}))
    assert killed.tenant.ok(FIND).data == []
    wait_until(lambda: not killed.books.has("router", killed.router), "it is gone")
    wait_until(lambda: not any(line.startswith("uplink") for line in killed.books.read("vpc", killed.vpc)), "alone")
