"""What of the rules is in force, as the engine `sim` finds it in its books; what is not, and trying again."""
import pytest
from starvirt import wait_until
from books import Books
from test_rule import allow as allow_nic
from test_secgroup import allow, bind, group, unbind
from test_vnic import nics

ISSUES, RETRY = "POST cloudsegroup/retryrule/search", "PUT cloudsegroup/retryrule/reset"


class World:
    def __init__(self, server):
        self.server, self.books = server, Books(server)
        server.expect("event=network.failed")
        self.admin, self.tenant = server.admin, server.admin.tenant()
        self.model = server.admin.model(size=1)
        self.vm = self.tenant.vm(vnic_portgroupid=self.tenant.vpc(), vm_tenant_model=self.model)
        (self.nic,) = nics(self.tenant, self.vm)
        self.group = group(self.tenant)
        bind(self.tenant, self.group, self.nic["vnic.id"])

    def states(self):
        """{rule: is it in force?} of the VM."""
        rows = self.tenant.ok("POST cloudsegroup/rule/vm", {"vm.id": self.vm}).data
        return {row["aclrule_id"]: row["aclrule_status"] == "true" for row in rows}

    def issues(self, client=None, **how):
        reply = (client or self.tenant).ok(ISSUES, how)
        assert reply.count == len(reply.data)
        return [(row["issue.id"], row["aclrule.id"], row["vm.id"]) for row in reply.data]


@pytest.fixture
def world(server):
    return World(server(connect="sim://", network="sim"))


def test_rules_are_in_force_when_the_answer_comes(world):
    first, second = allow(world.tenant, world.group), allow(world.tenant, world.group, "out", protocal="tcp")
    assert world.states() == {first: True, second: True}
    world.tenant.ok("DELETE cloudsegroup/rule/{ruleid}", {"ruleid": second})
    assert world.states() == {first: True}
    other = group(world.tenant)
    third = allow(world.tenant, other)
    bind(world.tenant, other, world.nic["vnic.id"])
    assert world.states() == {first: True, third: True}
    unbind(world.tenant, world.group, world.nic["vnic.id"])
    assert world.states() == {third: True}
    assert world.issues() == []


def test_what_is_in_force_is_never_what_was_asked_for(world):
    good = allow(world.tenant, world.group)
    world.books.switch("fail", "group_apply")
    wanted = allow(world.tenant, world.group, "out")
    assert world.states() == {good: True, wanted: False}
    issues = [(world.group, good, world.vm), (world.group, wanted, world.vm)]
    wait_until(lambda: world.issues() == issues, "the failure is noted")
    assert world.issues(**{"vm.id": world.vm}) == world.issues(**{"securitygroup.id": world.group}) == issues
    assert world.issues(world.admin) == issues and world.issues(world.admin.tenant()) == []
    page = world.tenant.ok(ISSUES, {"page.startnum": 2, "page.everypagenum": 1})
    assert page.count == 2 and page.data[0]["aclrule.id"] == wanted and int(page.data[0]["retry.num"]) >= 1
    world.books.switch("fail")
    world.tenant.ok(RETRY)
    wait_until(lambda: world.issues() == [], "it is told again")
    assert world.states() == {good: True, wanted: True}


def test_an_engine_that_hangs_keeps_nobody_waiting(world):
    rule = allow(world.tenant, world.group)
    world.books.switch("hang", "filter_look")
    assert world.states() == {rule: False}
    world.server.stop(timeout=20)


def test_a_filter_that_fails(world):
    rule = allow(world.tenant, world.group)
    world.books.switch("fail", "filter_apply")
    own = allow_nic(world.tenant, world.nic["vnic.ipaddress"])
    unit = world.nic["vnic.id"]
    wait_until(lambda: world.issues() == sorted([(unit, rule, world.vm), (unit, own, world.vm)]), "both are said")
    assert world.issues(**{"securitygroup.id": world.group}) == [(unit, rule, world.vm)]
    world.books.switch("fail")
    world.admin.ok(RETRY)
    wait_until(lambda: world.issues() == [], "it is told again")


def test_no_guest_starts_without_its_filter(world):
    world.tenant.run("PUT cloudvm/destroy", {"vm.id": world.vm})
    world.books.switch("fail", "filter_apply")
    job = world.tenant.follow(world.tenant.ok("PUT cloudvm/start", {"vm.id": world.vm}).startid)
    assert job.result != "0" and world.tenant.show(world.vm)["vm.state"] == "0"
    world.books.switch("fail")
    world.tenant.run("PUT cloudvm/start", {"vm.id": world.vm})


def test_the_switch_reaches_the_filter(world):
    before = world.books.read("nic", world.nic["vnic.id"])
    world.tenant.ok("POST cloudvm/switchfirewalld", {"vm.id": world.vm, "vm.firewalld.enable": "false"})
    assert world.books.read("nic", world.nic["vnic.id"]) != before
    world.tenant.ok("POST cloudvm/switchfirewalld", {"vm.id": world.vm, "vm.firewalld.enable": "true"})
    assert world.books.read("nic", world.nic["vnic.id"]) == before


def test_filters_go_with_their_nics(world):
    assert world.books.has("nic", world.nic["vnic.id"])
    allow(world.tenant, world.group)
    world.tenant.run("DELETE cloudvm/{vmId}", {"vmId": world.vm})
    wait_until(lambda: not world.books.has("nic", world.nic["vnic.id"]), "the filter is gone")
    world.tenant.ok("DELETE cloudsegroup/{securitygroupid}", {"securitygroupid": world.group})
    wait_until(lambda: not world.books.has("group", world.group), "the group is gone")


def test_a_kill_between_the_row_and_the_engine(world):
    world.books.switch("hang", "group_apply")
    rule = allow(world.tenant, world.group)
    world.server.kill()
    world.books.switch("hang")
    world.server.start()
    wait_until(lambda: world.states() == {rule: True}, "the start tells it")


def test_a_group_is_told_as_it_is_made(world):
    made = group(world.tenant, "another")
    wait_until(lambda: world.books.has("group", made), "the engine has it")
    assert world.admin.ok("PUT cloudnetwork/check").data == [], "it is no difference"
