"""A machine's clock that is set wrongly for a while: nothing is refused, lost or dated by it, and nothing has to be
restarted. The clock of the server alone is moved (tests/skew)."""
import os
import time

import pytest
from servers import Servers
from starvirt import BUILD, Client, wait_until

DAY, YEAR = 24 * 3600, 365 * 24 * 3600
VPCS = "POST cloudnetwork/vpc/search"


class Clock:
    """The server's wall clock, ahead by so many seconds."""

    def __init__(self, path):
        self.path = str(path)
        self.off(0)

    def off(self, seconds):
        with open(self.path + ".new", "w", encoding="ascii") as f:
            f.write(str(int(seconds * 1000)))
        os.rename(self.path + ".new", self.path)

    @property
    def env(self):
        options = os.environ.get("ASAN_OPTIONS", "")
        return {"LD_PRELOAD": os.path.join(BUILD, "tests", "skew", "libskew.so"), "STARVIRT_SKEW": self.path,
                "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0".lstrip(":")}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    servers = Servers(tmp_path_factory.mktemp("clock"))
    clock = Clock(tmp_path_factory.mktemp("skew") / "ms")
    one = servers(env=clock.env)
    one.clock = clock
    one.tenant = one.admin.tenant()
    one.model = one.admin.model(size=1)
    yield one
    clock.off(0)
    servers.finish()


def seconds(text):
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M:%S"))


def stamp(uuid):
    """When an id was made."""
    return int(uuid.replace("-", "")[:12], 16) / 1000


def about_now(when):
    return abs(when - time.time()) < 60


def a_job(place):
    """What is asked for now: its id, and when it was dated."""
    reply = place.tenant.ok("POST cloudvm/create", {
        "vnic.portgroupid": place.tenant.vpc(), "vm.tenant.model": place.model, "vm.vcpu.num": 1, "vm.memory.mem": 64})
    job = place.tenant.done(reply.data[0]["jobstartid"])
    return reply.data[0]["vm.id"], job


@pytest.mark.parametrize("jump", [2 * 3600, 10 * YEAR, -2 * 3600, -YEAR])
def test_a_clock_that_jumps_for_a_moment(place, jump):
    made = place.admin.ok("POST cloudTenant/token/create", {
        "app.id": place.tenant.id, "token.expire": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + 3600))
    }).data
    brief, key = Client(place, made["token.value"]), {"Idempotency-Key": f"once-{jump}"}
    vpc = place.tenant.ok("POST cloudnetwork/vpc/create", {"vpc.name": f"clock {jump}"}, headers=key).data
    place.clock.off(jump)
    assert brief.ok(VPCS).ok, "meanwhile"
    vm, job = a_job(place)
    assert about_now(stamp(vm)) and about_now(seconds(job["job.createtime"])) and about_now(seconds(job["job.endtime"]))
    assert place.tenant.ok("POST cloudnetwork/vpc/create", {"vpc.name": f"clock {jump}"}, headers=key).data == vpc
    place.clock.off(0)
    assert brief.ok(VPCS).ok, "afterwards"
    vm, job = a_job(place)
    assert about_now(stamp(vm)) and about_now(seconds(job["job.createtime"])) and about_now(seconds(job["job.endtime"]))
    assert place.tenant.ok("POST cloudnetwork/vpc/create", {"vpc.name": f"clock {jump}"}, headers=key).data == vpc


def test_what_waits_goes_on(place):
    """Neither a long poll nor a console's token goes by the wall clock."""
    last = place.admin.last_event()
    place.clock.off(DAY)
    begin = time.monotonic()
    assert place.admin.ok("GET events", query={"since": last + 1000, "wait": 1}).data == []
    assert time.monotonic() - begin >= 1
    place.clock.off(0)


def test_small_steps_are_followed(place):
    """As NTP makes them: dates follow, and do not go back."""
    times = []
    for step in (0.4, 0.8, 0.4, 0):
        place.clock.off(step)
        place.tenant.vpc()
        times.append(place.admin.events()[-1]["event.time"])
    assert times == sorted(times)
