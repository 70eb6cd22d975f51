"""What the network engine is told, and told again until it is in force. The engine `sim` keeps its books in files, and
has switches that make it fail or hang."""
import concurrent.futures
import os
import time

import pytest
from books import Books
from outside import router
from starvirt import cli, wait_until

JOIN, PART, GATE = "POST vroute/vpcAdd", "POST vroute/vpcDelete", "POST cloudnetwork/netgate"


@pytest.fixture
def cloud(server):
    made = server(connect="sim://", network="sim")
    made.books = Books(made)
    return made


class Routed:
    """A tenant with a router and a VPC that it does not lead to yet."""

    def __init__(self, cloud):
        self.client = cloud.admin.tenant()
        self.vpc = self.client.vpc()
        self.router = router(self.client)

    def join(self):
        self.client.ok(JOIN, {"portgroup.id": self.vpc})

    def part(self):
        self.client.ok(PART, {"portgroup.id": self.vpc})


def legs(cloud, who):
    return [line.split()[1] for line in cloud.books.read("router", who.router) if line.startswith("leg ")]


def units(cloud):
    with cloud.database() as db:
        return db.execute("SELECT kind, id, failures, error FROM net_unit ORDER BY kind").fetchall()


def figure(cloud, state):
    return cloud.metrics()[f'starvirt_network_units{{state="{state}"}}']


def test_the_answer_comes_when_the_engine_was_told(cloud):
    who = Routed(cloud)
    who.join()
    assert legs(cloud, who) == [who.vpc], "in force when the answer is there"
    assert f"uplink {who.router} 0" in cloud.books.read("vpc", who.vpc)
    who.part()
    assert legs(cloud, who) == []
    wait_until(lambda: units(cloud) == [], "what is in force needs no row")


def test_a_failure_is_no_failure_of_the_request(cloud):
    who = Routed(cloud)
    cloud.expect("event=network.failed")
    cloud.books.switch("fail", who.router)
    begin = time.monotonic()
    who.join()
    assert time.monotonic() - begin < 1.5, "the first failure is an answer"
    assert units(cloud) == [(1, who.router, 1, "NETWORK")]
    assert figure(cloud, "failed") == 1
    wait_until(lambda: units(cloud)[0][2] >= 2, "it is told again")
    cloud.books.switch("fail")
    wait_until(lambda: legs(cloud, who) == [who.vpc], "and again, until it is in force")
    wait_until(lambda: units(cloud) == [], "the issue is gone")
    assert figure(cloud, "failed") == 0
    assert cloud.metrics()["starvirt_network_failures_total"] >= 2


def test_a_new_wish_is_told_at_once_and_counts_on(cloud):
    who = Routed(cloud)
    cloud.expect("event=network.failed")
    cloud.books.switch("fail", "router_apply")
    who.join()
    for n in range(2, 5):
        who.client.ok(GATE, {"portgroup.id": who.vpc, "type": "close" if n % 2 else "open"})
        assert units(cloud)[0][2] >= n
    cloud.books.switch("fail")
    who.client.ok(GATE, {"portgroup.id": who.vpc, "type": "open"})
    assert legs(cloud, who) == [who.vpc]


def test_a_hung_engine_holds_up_nobody_else(cloud):
    """More tenants hang than would fill half of the threads."""
    hung = [Routed(cloud) for _ in range(3)]
    well = Routed(cloud)
    cloud.books.switch("hang", *(who.router for who in hung))
    cloud.expect("event=network.failed")
    for who in hung:
        begin = time.monotonic()
        who.join()
        assert 1.5 < time.monotonic() - begin < 10, "2 s are waited for the engine"
    begin = time.monotonic()
    well.join()
    assert time.monotonic() - begin < 1.5
    assert legs(cloud, well) == [well.vpc]
    wait_until(lambda: figure(cloud, "telling") == 3, "only they are being told")
    cloud.books.switch("hang")
    for who in hung:
        wait_until(lambda who=who: legs(cloud, who) == [who.vpc], "it goes on where it hung")


def test_a_server_ends_while_its_engine_hangs(cloud):
    who = Routed(cloud)
    cloud.books.switch("hang", who.router)
    who.join()
    cloud.stop(timeout=10)
    cloud.books.switch("hang")
    cloud.start()
    wait_until(lambda: legs(cloud, who) == [who.vpc], "the next start tells it")
    wait_until(lambda: units(cloud) == [], "its row is gone")


@pytest.mark.parametrize("unit", ["router", "vpc"])
def test_a_kill_between_rows_and_engine_is_mended(cloud, unit):
    who = Routed(cloud)
    cloud.books.switch("hang", who.router if unit == "router" else who.vpc)
    who.join()
    cloud.kill()
    cloud.books.switch("hang")
    cloud.start()
    wait_until(lambda: units(cloud) == [], "it is told")
    assert legs(cloud, who) == [who.vpc]
    assert f"uplink {who.router} 0" in cloud.books.read("vpc", who.vpc)


def test_what_failed_counts_on_over_a_start(cloud):
    who = Routed(cloud)
    cloud.expect("event=network.failed")
    cloud.books.switch("fail", who.router)
    who.join()
    before = units(cloud)[0][2]
    cloud.restart()
    wait_until(lambda: units(cloud)[0][2] > before, "told by the start, in vain")
    cloud.books.switch("fail")
    # After two failures it is due when a thread that has nothing to do ends, too: it must not wait for the next look.
    wait_until(lambda: units(cloud) == [], "it is in force", 30)


def test_what_is_otherwise_than_it_should_be_is_mended(cloud):
    tenant = cloud.admin.tenant()
    vpc, other = tenant.vpc(), tenant.vpc()
    for net in (vpc, other):
        tenant.vm(vnic_portgroupid=net, vm_tenant_model=cloud.admin.model(size=1))
    before = cloud.books.read("vpc", vpc)
    assert before[0].startswith("subnet ") and before[1].startswith("nic ")
    cloud.stop()
    os.remove(cloud.books.path("vpc", vpc))
    stray = "0195e2a0-0000-7000-8000-000000000001"
    with open(cloud.books.path("vpc", stray), "w"):
        pass
    with open(cloud.books.path("vpc", other), "w"):
        pass
    cloud.start()
    wait_until(lambda: cloud.books.has("vpc", vpc), "the bridge is there again")
    wait_until(lambda: not cloud.books.has("vpc", stray), "what nobody knows is gone")
    wait_until(lambda: cloud.books.read("vpc", other), "what is there is said again after a start")
    assert cloud.books.read("vpc", vpc) == before
    wait_until(lambda: cloud.metrics()["starvirt_network_mended_total"] == 2, "it is counted")
    assert figure(cloud, "failed") == 0


CHECK = "PUT cloudnetwork/check"


def found(cloud):
    """What a comparison on request found: {id: (type, tenant, state)}."""
    reply = cloud.admin.ok(CHECK)
    assert reply.count == len(reply.data)
    for row in reply.data:
        assert int(row["unit.ms"]) >= 0 and (row["unit.reason"] == "") == (row["unit.state"] in ("mended", "open"))
    return {row["unit.id"]: (row["unit.type"], row["unit.appid"], row["unit.state"]) for row in reply.data}


def test_a_comparison_on_request_mends_what_differs(cloud):
    who = Routed(cloud)
    who.join()
    wait_until(lambda: found(cloud) == {}, "all is as it should be")
    before = cloud.metrics()
    wanted = {kind: cloud.books.read(kind, unit) for kind, unit in (("vpc", who.vpc), ("router", who.router))}
    stray = "0195e2a0-0000-7000-8000-000000000001"
    cloud.books.spoil("vpc", who.vpc, "subnet 10.9.9.0/24\n")
    cloud.books.spoil("router", who.router, "")
    cloud.books.spoil("group", stray, "group\n")
    assert found(cloud) == {who.vpc: ("vpc", who.client.id, "mended"), who.router: ("router", who.client.id, "mended"),
                            stray: ("group", "", "mended")}
    assert {kind: cloud.books.read(kind, unit) for kind, unit in (("vpc", who.vpc), ("router", who.router))} == wanted
    assert not cloud.books.has("group", stray)
    after = cloud.metrics()
    assert after["starvirt_network_mended_total"] - before["starvirt_network_mended_total"] == 3
    assert after["starvirt_network_comparisons_total"] == before["starvirt_network_comparisons_total"] + 1
    assert after["starvirt_network_comparison_seconds_total"] > before["starvirt_network_comparison_seconds_total"]
    assert sum("event=network.mended" in line for line in cloud.log().splitlines()) == 3, "logged, each once"
    assert found(cloud) == {}


def test_a_comparison_says_what_could_not_be_mended(cloud):
    who = Routed(cloud)
    who.join()
    cloud.expect("event=network.failed")
    cloud.books.switch("fail", who.vpc)
    cloud.books.spoil("vpc", who.vpc, "")
    assert found(cloud) == {who.vpc: ("vpc", who.client.id, "failed")}
    cloud.books.switch("fail")
    assert found(cloud) == {who.vpc: ("vpc", who.client.id, "mended")}, "it waits for no next try"
    assert found(cloud) == {}


def test_a_comparison_by_the_command_line(cloud):
    who = Routed(cloud)
    cloud.books.spoil("vpc", who.vpc, "")
    done = cli("net", "check", server=cloud)
    assert done.returncode == 0, done.stderr
    (row,) = [line.split() for line in done.stdout.splitlines() if who.vpc in line]
    assert row[:4] == ["vpc", who.vpc, who.client.id, "mended"]
    assert cli("net", "check", server=cloud, token=who.client.token).returncode != 0


def test_a_comparison_is_for_administrators(cloud):
    who = Routed(cloud)
    cloud.books.spoil("vpc", who.vpc, "")
    who.client.refused(CHECK, code="ADMIN_ONLY")
    assert cloud.books.read("vpc", who.vpc) == []
    assert who.vpc in found(cloud)


def test_a_server_ends_while_a_comparison_waits(cloud):
    who = Routed(cloud)
    who.join()
    cloud.books.switch("hang", who.vpc)
    cloud.books.spoil("vpc", who.vpc, "")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        asked = pool.submit(cloud.admin.call, CHECK)
        wait_until(lambda: figure(cloud, "telling") == 1, "it is being mended")
        cloud.stop(timeout=10)
        asked.exception() or asked.result()
    cloud.books.switch("hang")
    cloud.start()
    wait_until(lambda: cloud.books.read("vpc", who.vpc) != [], "the start mends it")


def test_the_other_instance_takes_over(cloud):
    tenant = cloud.admin.tenant()
    first, second = tenant.ok("POST vroute/create", {"vroute.ha.enable": True}).data
    tenant.done(first["jobstartid"])

    def seen():
        cloud.admin.ok(CHECK)
        return tenant.ok("GET vroute/{vmId}", {"vmId": first["vm.id"]}).data["vroute.active"]

    assert seen() == first["vm.id"]
    assert cloud.metrics()["starvirt_router_failovers_total"] == 0
    cloud.books.switch("second", first["vm.id"])
    assert seen() == second["vm.id"]
    assert seen() == second["vm.id"], "it stays so, and counts once"
    assert cloud.metrics()["starvirt_router_failovers_total"] == 1
    assert "router.failover" in cloud.log()
