"""Tenants share the hosts: one with many queued jobs does not keep another's single job waiting. Told by the order in
which jobs end, never by a clock; how long it takes is bench/'s to say (`fair`)."""
import pytest
from starvirt import wait_until

pytestmark = pytest.mark.race
CREATE, SEARCH = "POST cloudvm/create", "POST joblog/search"
MANY = 500  # two VPCs full


def drained(admin):
    wait_until(lambda: not any(admin.ok(SEARCH, {"job.result": r, "page.everypagenum": 1}).count for r in (2, 3)),
               "all jobs have ended", 60)


class Pair:
    """A server whose host stands still, a tenant with MANY queued jobs and another, behind it, with one."""

    def __init__(self, servers, slots):
        self.server = servers(connect="sim://?control=1", options=["--jobs.slots_per_host", str(slots)])
        self.admin = self.server.admin
        model = self.admin.model(size=1)
        self.many, self.single = self.admin.tenant(), self.admin.tenant()
        order = {"vm.tenant.model": model, "vm.vcpu.num": 1, "vm.memory.mem": 16}
        vpcs = [self.many.vpc(), self.many.vpc()]
        one = {**order, "vnic.portgroupid": self.single.vpc()}
        self.server.control("hang=1")
        for i in range(MANY // 10):
            self.many.ok(CREATE, {**order, "vnic.portgroupid": vpcs[i % 2], "vm.num": 10})
        self.startid = self.single.ok(CREATE, one).data[0]["jobstartid"]

    def ended_before(self):
        """How many jobs of the first had ended when the second's did, once all have."""
        self.single.done(self.startid)
        drained(self.admin)
        ends = [event for event in self.admin.events() if event["event.type"] == "job.end"]
        return next(i for i, event in enumerate(ends) if event["event.appid"] == self.single.id)


# With one slot the second tenant's turn comes after the job that runs. With four it gets the spare slot at once, and the
# four end as many as its own job has time for: a few each.
@pytest.mark.parametrize("slots,most", [(1, 2), (4, 30)])
def test_one_job_behind_many(server, slots, most):
    pair = Pair(server, slots)
    pair.server.control("hang=0")
    assert pair.ended_before() <= most


def test_one_job_behind_many_after_a_restart(server):
    pair = Pair(server, 1)
    pair.server.kill()
    pair.server.start()
    assert pair.ended_before() <= 2


def test_one_job_behind_jobs_that_do_not_end(server):
    """All slots are taken by jobs of a tenant that wait; the other's job runs all the same."""
    one = server(connect="sim://?control=1&acpi=ignore&agent=off", options=["--jobs.slots_per_host", "2"])
    model = one.admin.model(size=1)
    many, single = one.admin.tenant(), one.admin.tenant()
    order = {"vm.tenant.model": model, "vm.vcpu.num": 1, "vm.memory.mem": 16}
    made = many.ok(CREATE, {**order, "vnic.portgroupid": many.vpc(), "vm.num": 4}).data
    for row in made:
        many.done(row["jobstartid"])
    asked = [many.ok("PUT cloudvm/shutdown", {"vm.id": row["vm.id"]}).startid for row in made]
    wait_until(lambda: many.ok(SEARCH, {"job.result": 2}).count == 2, "both slots are taken")
    single.done(single.ok(CREATE, {**order, "vnic.portgroupid": single.vpc()}).data[0]["jobstartid"])
    assert many.ok(SEARCH, {"job.result": 2}).count == 2 and many.ok(SEARCH, {"job.result": 3}).count == 2
    for startid in reversed(asked):
        many.ok("PUT joblog/cancel", {"startid": startid})
    drained(one.admin)
