"""Jobs: logs, progress, long polls, cancelling, deadlines, lanes of hosts, idempotency keys, events."""
import concurrent.futures
import threading
import time

import pytest
from starvirt import Client, unique, wait_until

pytestmark = pytest.mark.race
CANCEL, SHOW, SEARCH = "PUT joblog/cancel", "GET joblog/{startid}", "POST joblog/search"
CREATE = "POST cloudvm/create"


class Own:
    """A server of the test's own with one tenant on it and the simulator's switches."""

    def __init__(self, servers, uri="sim://?control=1", options=(), **how):
        self.server = servers(connect=uri, options=list(options), **how)
        self.admin = self.server.admin
        self.tenant = self.admin.tenant(cpu=100, memory=100000, storage=1000, portgroup=5)
        self.vpc = self.tenant.vpc()
        self.model = self.admin.model(size=1)
        self.control = self.server.control

    def params(self, **more):
        return {"vnic.portgroupid": self.vpc, "vm.tenant.model": self.model, "vm.vcpu.num": 1, "vm.memory.mem": 64,
                **more}

    def create(self, **more):
        return self.tenant.ok(CREATE, self.params(**more)).data

    def vm(self):
        row = self.create()[0]
        self.tenant.done(row["jobstartid"])
        return row["vm.id"]


@pytest.fixture
def own(server):
    return Own(server)


# ------------------------------------------------------------------------------------------------------ logs
def test_the_log_of_a_job(tenant, model):
    made = tenant.create(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model).data[0]
    job = tenant.done(made["jobstartid"])
    serials = [int(line["log.serial"]) for line in job["job.logs"]]
    assert serials == list(range(1, len(serials) + 1))
    assert {line["log.level"] for line in job["job.logs"]} == {"info"}
    times = [line["log.time"] for line in job["job.logs"]]
    assert times == sorted(times) and job["job.createtime"] <= job["job.starttime"] <= job["job.endtime"]
    steps = ["prepare disks", "prepare network", "define the VM", "start the VM"]
    lines = [line for line in job.lines if line.split(" …")[0] in steps and line.endswith("…")]
    assert lines == [f"{step} …" for step in steps]
    assert [f"{step}: done" for step in steps] == [line for line in job.lines if line.endswith(": done")]
    assert "accepted" in job.lines[0] and job.lines[-1] == "job done" and job.info == ""


def test_the_log_is_in_the_readers_language(tenant, model):
    made = tenant.create(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model).data[0]
    english = tenant.done(made["jobstartid"])
    chinese = Client(tenant.server, tenant.token, None).follow(made["jobstartid"])
    assert chinese["job.name"] == "开通云主机(空系统盘)" and english["job.name"] == "create VM with an empty disk"
    assert len(chinese.lines) == len(english.lines) and "任务完成" == chinese.lines[-1]


def test_since_gives_only_what_is_newer(tenant, model):
    made = tenant.create(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model).data[0]
    job = tenant.done(made["jobstartid"])
    for since in (0, 3, len(job.lines)):
        rest = tenant.ok(SHOW, {"startid": made["jobstartid"]}, query={"since": since}).data["job.logs"]
        assert rest == job["job.logs"][since:]


def test_percent_never_falls(own):
    own.control("delay=100ms")
    startid = own.create(**{"vm.vdisk.num": 10, "vm.vdisk.size": 1})[0]["jobstartid"]
    seen, since = [], 0
    while True:
        job = own.tenant.ok(SHOW, {"startid": startid}, query={"since": since, "wait": 10}).data
        seen.append(int(job["job.percent"]))
        since = job["job.logs"][-1]["log.serial"] if job["job.logs"] else since
        if job["job.result"] not in ("2", "3"):
            break
    assert seen == sorted(seen) and seen[-1] == 100 and len(set(seen)) >= 4
    assert all(percent < 100 for percent in seen[:-1]), "100 is said only at the end"


def test_search(own):
    vms = [own.vm() for _ in range(3)]
    stop = own.tenant.ok("PUT cloudvm/destroy", {"vm.id": vms[0]}).startid
    own.tenant.done(stop)
    search = own.tenant.ok
    assert [row["startid"] for row in search(SEARCH, {"job.objid": vms[0]}).data][-1] == stop
    assert search(SEARCH, {"job.objid": vms[0]}).count == 2 and search(SEARCH).count == 4
    assert search(SEARCH, {"startid": stop}).data[0]["job.objid"] == vms[0]
    assert search(SEARCH, {"job.result": 0}).count == 4 and search(SEARCH, {"job.result": 1}).count == 0
    page = search(SEARCH, {"page.startnum": 2, "page.everypagenum": 3})
    assert page.count == 4 and len(page.data) == 1 and page.data[0]["job.logs"]
    assert search(SEARCH, {"startid": "x"}).count == search(SEARCH, {"job.objid": "x"}).count == 0
    own.tenant.refused(SHOW, {"startid": "x"}, "JOB_NOT_FOUND", "startid")


# ------------------------------------------------------------------------------------------------ long polls
def test_a_long_poll_ends_with_the_news_and_not_before(own):
    own.control("hang=1")
    startid = own.create()[0]["jobstartid"]
    own.tenant.wait_line(startid, "prepare disks")
    since = own.tenant.ok(SHOW, {"startid": startid}).data["job.logs"][-1]["log.serial"]
    begin = time.monotonic()
    assert own.tenant.ok(SHOW, {"startid": startid}, query={"since": since, "wait": 1}).data["job.logs"] == []
    assert 0.9 <= time.monotonic() - begin < 5
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        polls = [pool.submit(own.tenant.ok, SHOW, {"startid": startid}, query={"since": since, "wait": 50})
                 for _ in range(8)]
        wait_until(lambda: own.server.metrics()["starvirt_long_polls"] == 8, "all wait")
        begin = time.monotonic()
        own.control("hang=0")
        assert all(poll.result().data["job.logs"] for poll in polls)
        assert time.monotonic() - begin < 10
    own.tenant.done(startid)
    assert own.server.metrics()["starvirt_long_polls"] == 0


def test_a_long_poll_on_what_has_ended_returns_at_once(own):
    startid = own.create()[0]["jobstartid"]
    own.tenant.done(startid)
    begin = time.monotonic()
    own.tenant.ok(SHOW, {"startid": startid}, query={"since": 9999, "wait": 50})
    assert time.monotonic() - begin < 5


def test_a_stop_ends_the_long_polls(own):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        polls = [pool.submit(own.tenant.call, "GET events", query={"since": 999999, "wait": 60}) for _ in range(4)]
        wait_until(lambda: own.server.metrics()["starvirt_long_polls"] == 4, "all wait")
        begin = time.monotonic()
        own.server.stop()
        assert time.monotonic() - begin < 10
        assert all(poll.result().ok for poll in polls)


# ---------------------------------------------------------------------------------------------------- cancel
def test_cancel_what_waits(server):
    own = Own(server, options=["--jobs.slots_per_host", "1"])
    own.control("hang=1")
    first, second = own.create()[0], own.create()[0]
    assert own.tenant.usable()["cpu"] == 98
    own.tenant.wait_line(first["jobstartid"], "prepare disks")
    assert own.tenant.ok(CANCEL, {"startid": second["jobstartid"]}).data == {"job.result": "7"}
    job = own.tenant.follow(second["jobstartid"])
    assert job.result == "7" and "cancelled" in job.info and "cancel requested" in job.lines
    assert own.tenant.usable()["cpu"] == 99 and own.tenant.show(second["vm.id"])["vm.state"] == "-2"
    own.tenant.refused(CANCEL, {"startid": second["jobstartid"]}, "JOB_TOO_LATE", "startid")
    own.control("hang=0")
    own.tenant.done(first["jobstartid"])


def test_cancel_what_runs(own):
    own.control("delay=300ms")
    made = own.create(**{"vm.vdisk.num": 16, "vm.vdisk.size": 1})[0]
    own.tenant.wait_line(made["jobstartid"], "disk vda is ready")  # in the step, not only before it
    assert own.tenant.ok(CANCEL, {"startid": made["jobstartid"]}).data["job.result"] == "2"
    own.control("delay=0ms")
    job = own.tenant.follow(made["jobstartid"])
    assert job.result == "7" and any("undoing: prepare disks" in line for line in job.lines)
    usable = own.tenant.usable()
    assert (usable["cpu"], usable["memory"], usable["storage"]) == (100, 100000, 1000)
    assert own.tenant.ok("POST cloudnetwork/vpc/search").data[0]["vpc.usable.ipcount"] == "253"
    own.tenant.run("DELETE cloudvm/{vmId}", {"vmId": made["vm.id"]})


def test_cancel_a_shutdown_that_the_guest_ignores(server):
    own = Own(server, "sim://?control=1&acpi=ignore&agent=off")
    vm = own.vm()
    startid = own.tenant.ok("PUT cloudvm/shutdown", {"vm.id": vm}).startid
    own.tenant.wait_line(startid, "wait for the guest")
    assert own.tenant.ok(CANCEL, {"startid": startid}).data["job.result"] == "2"
    job = own.tenant.follow(startid)
    assert job.result == "7" and own.tenant.show(vm)["vm.state"] == "1", "left running"
    own.tenant.run("PUT cloudvm/destroy", {"vm.id": vm})


def test_too_late_to_cancel(own):
    vm = own.vm()
    startid = own.tenant.ok("POST joblog/search", {"job.objid": vm}).data[0]["startid"]
    reply = own.tenant.refused(CANCEL, {"startid": startid}, "JOB_TOO_LATE", "startid")
    assert reply.body["error"]["retry"] == "no"
    own.control("hang=1")
    startid = own.tenant.ok("DELETE cloudvm/{vmId}", {"vmId": vm}).startid
    own.tenant.wait_line(startid, "undefine")
    own.tenant.refused(CANCEL, {"startid": startid}, "JOB_TOO_LATE")
    own.control("hang=0")
    own.tenant.done(startid)
    own.tenant.refused(CANCEL, {"startid": "x"}, "JOB_NOT_FOUND", "startid")


def test_cancels_race_with_the_end(own):
    """Each has one of three honest answers, and what it said is what happened."""
    own.control("delay=3ms")
    made = [row for _ in range(3) for row in own.create(**{"vm.num": 10})]

    def cancel(row):
        return row, own.tenant.call(CANCEL, {"startid": row["jobstartid"]})

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(cancel, made))
    kept = 0
    for row, reply in answers:
        job = own.tenant.follow(row["jobstartid"])
        if reply.ok:
            assert job.result == "7" if reply.data["job.result"] == "7" else job.result in ("7", "0")
        else:
            assert reply.code == "JOB_TOO_LATE" and job.result == "0"
        assert own.tenant.show(row["vm.id"])["vm.state"] == ("1" if job.result == "0" else "-2")
        kept += job.result == "0"
    assert own.tenant.usable()["cpu"] == 100 - kept


# ------------------------------------------------------------------------------------- lanes, limits, deadlines
def test_a_hung_host_does_not_delay_another(server):
    own = Own(server, "sim://?hosts=2&control=1", options=["--jobs.slots_per_host", "2"])
    own.control("hang=1", "host2")
    made = own.create(**{"vm.num": 10}) + own.create(**{"vm.num": 10})
    wait_until(lambda: own.tenant.ok("POST cloudvm/search", {"vm.state": 1}).count == 10, "those of the other run")
    assert own.tenant.ok("POST cloudvm/search", {"vm.state": 3}).count == 10
    extra = own.tenant.ok("POST cloudvm/search", {"vm.state": 1}).data[0]["vm.id"]
    begin = time.monotonic()
    own.tenant.run("PUT cloudvm/destroy", {"vm.id": extra})
    assert time.monotonic() - begin < 5
    own.control("hang=0", "host2")
    for row in made:
        own.tenant.done(row["jobstartid"])


def test_a_call_that_takes_too_long_fails_the_job_and_loses_the_host(server):
    own = Own(server, "sim://?control=1", options=["--hv.call_limit", "1"])
    vm = own.vm()
    since = own.admin.last_event()
    own.control("hang=1")
    job = own.tenant.follow(own.tenant.ok("PUT cloudvm/destroy", {"vm.id": vm}).startid)
    assert job.result == "1" and "did not answer in time" in job.info
    own.admin.wait_event(lambda e: e["event.type"] == "host.lost", since)
    assert own.tenant.show(vm)["vm.state"] == "-1"
    own.control("hang=0")
    own.admin.wait_event(lambda e: e["event.type"] == "host.connected", since)
    assert own.tenant.show(vm)["vm.state"] == "1"
    own.server.expect("HOST_TIMEOUT")


def test_slots_bound_what_runs_on_a_host(server):
    own = Own(server, options=["--jobs.slots_per_host", "3"])
    own.control("hang=1")
    made = own.create(**{"vm.num": 10})
    wait_until(lambda: own.tenant.ok(SEARCH, {"job.result": 2}).count == 3, "three run")
    assert own.tenant.ok(SEARCH, {"job.result": 3}).count == 7
    found = own.server.metrics()
    assert (found['starvirt_jobs_open{state="running"}'], found['starvirt_jobs_open{state="queued"}']) == (3, 7)
    own.control("hang=0")
    order = []
    for row in made:
        order.append(own.tenant.done(row["jobstartid"])["job.starttime"])
    assert order == sorted(order), "first come, first served"


def test_what_fails_is_told_and_undone(own):
    own.control("fail=start:1")
    made = own.create()[0]
    job = own.tenant.follow(made["jobstartid"])
    assert job.result == "1" and "simulated fault in start" in job.info
    undone = [line.removeprefix("undoing: ") for line in job.lines if line.startswith("undoing: ")]
    assert undone == ["start the VM", "define the VM", "prepare network", "prepare disks"]
    assert [line["log.level"] for line in job["job.logs"] if "failed" in line["log.content"]] == ["error", "error"]
    assert int(job["job.percent"]) < 100
    own.tenant.refused("PUT cloudvm/start", {"vm.id": made["vm.id"]}, "VM_STATE")
    own.control("fail=start:0")
    own.tenant.run("DELETE cloudvm/{vmId}", {"vmId": made["vm.id"]})


# --------------------------------------------------------------------------------------------- idempotency keys
def keyed(key):
    return {"headers": {"Idempotency-Key": key}}


def test_a_repeated_request_is_done_once(own):
    params = own.params(**{"vm.name": "once"})
    first = own.tenant.ok(CREATE, params, **keyed("k1"))
    again = [own.tenant.ok(CREATE, params, **keyed("k1")) for _ in range(3)]
    assert all(reply.raw == first.raw for reply in again)
    assert own.tenant.ok("POST cloudvm/search").count == 1
    own.tenant.refused(CREATE, {**params, "vm.name": "other"}, "IDEMPOTENCY_MISMATCH", **keyed("k1"))
    own.tenant.refused("POST cloudnetwork/vpc/create", {}, "IDEMPOTENCY_MISMATCH", **keyed("k1"))
    own.tenant.done(first.data[0]["jobstartid"])
    own.server.kill()
    own.server.start()
    assert own.tenant.ok(CREATE, params, **keyed("k1")).raw == first.raw, "a crash does not make it two"
    second = own.tenant.ok(CREATE, params, **keyed("k2"))
    assert second.data[0]["vm.id"] != first.data[0]["vm.id"]
    own.tenant.done(second.data[0]["jobstartid"])


def test_keys_are_each_tenants_own(admin):
    replies = [admin.tenant().ok("POST cloudnetwork/vpc/create", {"vpc.name": "x"}, **keyed("same")) for _ in range(2)]
    assert replies[0].data["vpc.id"] != replies[1].data["vpc.id"]


def test_a_refusal_is_not_kept(admin):
    tenant = admin.tenant(portgroup=0)
    tenant.refused("POST cloudnetwork/vpc/create", {}, "QUOTA_SUBNETS", **keyed("k"))
    admin.ok("PUT resourcequota/modify", {"tenantId": tenant.id, "cpu": -1, "memory": -1, "storage": -1, "ip": -1,
                                          "vpc": 1})
    tenant.ok("POST cloudnetwork/vpc/create", {}, **keyed("k"))


def test_a_secret_is_not_kept_to_be_repeated(admin):
    params = {"app.name": unique("keyed")}
    admin.ok("POST cloudTenant/create", params, **keyed("k-secret"))
    reply = admin.refused("POST cloudTenant/create", params, "PARAM_CONFLICT", "Idempotency-Key", **keyed("k-secret"))
    assert "secret" in reply.text


@pytest.mark.parametrize("key", ["", "a b", "ü", "x" * 129])
def test_bad_keys(tenant, key):
    reply = tenant.refused("POST cloudnetwork/vpc/create", {}, "BAD_REQUEST",
                           headers={"Idempotency-Key": key.encode("utf-8").decode("latin-1")})
    assert reply.status == 400
    assert tenant.ok("POST cloudnetwork/vpc/search").count == 0


def test_a_key_on_a_read_means_nothing(tenant):
    assert tenant.ok("GET cloudvm/model", **keyed("k")).ok
    tenant.ok("POST cloudnetwork/vpc/create", {}, **keyed("k"))


def test_one_key_at_the_same_time(own):
    params = own.params(**{"vm.name": "once"})
    barrier = threading.Barrier(16)

    def one(_):
        barrier.wait()
        return own.tenant.call(CREATE, params, **keyed("racing"))

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(one, range(16)))
    assert len({reply.raw for reply in replies}) == 1 and replies[0].ok
    assert own.tenant.ok("POST cloudvm/search").count == 1
    own.tenant.done(replies[0].data[0]["jobstartid"])


def test_a_key_on_what_blocks(tenant):
    vpc = tenant.vpc()
    first = tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc}, **keyed("gone"))
    assert tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc}, **keyed("gone")).raw == first.raw


# ----------------------------------------------------------------------------------------------------- events
def test_events_are_numbered_and_replayed_across_restarts(own):
    own.vm()
    before = own.tenant.events()
    own.server.restart()
    assert own.tenant.events() == before
    own.server.kill()
    own.server.start()
    assert own.tenant.events() == before
    own.tenant.vpc()
    after = own.tenant.events(before[-1]["event.seq"])
    assert len(after) == 1 and int(after[0]["event.seq"]) > int(before[-1]["event.seq"])


def test_events_wake_all_who_wait(own):
    since = own.tenant.last_event()
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        polls = [pool.submit(own.tenant.ok, "GET events", query={"since": since, "wait": 50}) for _ in range(5)]
        wait_until(lambda: own.server.metrics()["starvirt_long_polls"] == 5, "all wait")
        own.tenant.vpc("seen")
        assert all(poll.result().data[0]["event.content"] == "seen" for poll in polls)


def test_others_events_do_not_end_a_poll(own):
    since = own.tenant.last_event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        begin = time.monotonic()
        poll = pool.submit(own.tenant.ok, "GET events", query={"since": since, "wait": 1})
        for _ in range(5):
            own.admin.tenant().vpc()
        assert poll.result().data == [] and time.monotonic() - begin >= 0.9
