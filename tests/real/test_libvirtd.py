"""The hypervisor's service dies, hangs and comes back: reads answer, states become unknown and known again."""
import os
import signal
import time

import pytest
from sandbox import SLOW, until

PROMPT = 5  # [s] a read of the API may take on a busy machine; hanging calls would take 20 and more


@pytest.fixture
def guests(cloud):
    """Running, and stopped."""
    cloud.server.expect(r'event=request .* result="(HOST_DOWN|HOST_NOT_READY)"')
    if not hasattr(cloud, "pair"):
        cloud.pair = cloud.guests(cloud.tenant.vpc(), 2)
        cloud.act("destroy", cloud.pair[1])
    return cloud.pair


def reads_answer(cloud, guests, state=None):
    """Whatever the hypervisor does, the API answers from what it knows."""
    began = time.monotonic()
    shown = [cloud.state(guest) for guest in guests]
    cloud.tenant.ok("POST cloudvm/search")
    cloud.tenant.ok("POST joblog/search")
    cloud.tenant.usable()
    cloud.server.metrics()
    assert time.monotonic() - began < PROMPT
    if state:
        assert shown == [state] * len(guests)
    return shown


def wait_unknown(cloud, guests):
    until(lambda: reads_answer(cloud, guests) == ["-1", "-1"], "the states are unknown")


def all_is_well(cloud, guests, boot):
    cloud.server.wait_connected()
    cloud.wait_state(guests[0], "1")
    cloud.wait_state(guests[1], "0")
    assert guests[0].wait_agent().boot_id() == boot
    cloud.agrees()
    cloud.act("start", guests[1])
    guests[1].ready()
    cloud.act("suspend", guests[0])
    cloud.act("resume", guests[0])
    cloud.act("destroy", guests[1])


def test_libvirtd_killed_and_started(cloud, guests):
    boot, qemu = guests[0].boot_id(), cloud.sandbox.qemu_of(guests[0].id)
    since = cloud.admin.last_event()
    cloud.sandbox.stop_libvirtd()
    cloud.admin.wait_event(lambda e: e["event.type"] == "host.lost", since, SLOW)
    wait_unknown(cloud, guests)
    assert guests[0].http() == f"vm-{guests[0].id[-8:]}"
    for verb in ("start", "destroy", "shutdown", "restart", "suspend"):
        cloud.tenant.refused(f"PUT cloudvm/{verb}", {"vm.id": guests[0].id}, "HOST_DOWN")
    cloud.tenant.refused("PUT cloudvm/cpu/modify", {"vm.id": guests[0].id, "vm.vcpu.num": 2}, "HOST_DOWN")
    refused = cloud.tenant.call("POST cloudvm/create", {"vnic.portgroupid": guests[0].vpc, "vm.vcpu.num": 1,
                                                        "vm.memory.mem": 128, "vm.tenant.model": cloud.model})
    assert refused.code == "HOST_NOT_READY", refused
    cloud.sandbox.start_libvirtd()
    cloud.admin.wait_event(lambda e: e["event.type"] == "host.connected", since, SLOW)
    assert cloud.sandbox.qemu_of(guests[0].id) == qemu
    all_is_well(cloud, guests, boot)


def test_guest_ends_while_libvirtd_is_away(cloud, guests):
    cloud.act("start", guests[1])
    cloud.sandbox.stop_libvirtd()
    os.kill(cloud.sandbox.qemu_of(guests[1].id), signal.SIGKILL)
    wait_unknown(cloud, guests)
    cloud.sandbox.start_libvirtd()
    cloud.server.wait_connected()
    cloud.wait_state(guests[1], "0")
    cloud.wait_state(guests[0], "1")


def test_server_starts_without_libvirtd(cloud, guests):
    """It serves what it knows, and connects when it can."""
    boot = guests[0].boot_id()
    cloud.server.stop()
    cloud.sandbox.stop_libvirtd()
    cloud.server.start()
    reads_answer(cloud, guests, "-1")
    vpc = cloud.tenant.vpc()
    cloud.tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})
    cloud.sandbox.start_libvirtd()
    all_is_well(cloud, guests, boot)


def test_libvirtd_stopped_and_continued(cloud, guests):
    """It takes connections and never answers. What was asked of it meanwhile ends with a clear word."""
    boot = guests[0].boot_id()
    pid = cloud.sandbox.libvirtd()
    os.kill(pid, signal.SIGSTOP)
    try:
        startid = cloud.tenant.ok("PUT cloudvm/suspend", {"vm.id": guests[0].id}).startid
        reads_answer(cloud, guests)
        job = cloud.tenant.follow(startid, SLOW)
        assert job.result in ("1", "5"), job
        assert "did not answer in time" in job.info or "not connected" in job.info, job.info
        wait_unknown(cloud, guests)
        cloud.tenant.refused("PUT cloudvm/resume", {"vm.id": guests[0].id}, "HOST_DOWN")
        reads_answer(cloud, guests, "-1")
    finally:
        os.kill(pid, signal.SIGCONT)
    cloud.server.wait_connected()
    # The call may still have been taken: then the guest is suspended, and the API knows.
    until(lambda: cloud.state(guests[0]) in ("1", "2"), "its state is known again")
    cloud.agrees()
    cloud.act("resume", guests[0])
    all_is_well(cloud, guests, boot)


def test_server_stops_while_libvirtd_hangs(cloud, guests):
    """SIGTERM ends it in time, whatever hangs."""
    pid = cloud.sandbox.libvirtd()
    os.kill(pid, signal.SIGSTOP)
    try:
        startid = cloud.tenant.ok("PUT cloudvm/start", {"vm.id": guests[0].id}).startid
        cloud.server.stop(timeout=60)
        cloud.server.start()
        reads_answer(cloud, guests, "-1")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert cloud.tenant.follow(startid, SLOW).result in ("0", "1", "5")
    cloud.server.wait_connected()
    cloud.wait_state(guests[0], "1")


def test_libvirtd_killed_in_the_middle_of_creating(cloud, guests):
    """Each job comes to an end; what did not become a VM leaves nothing, at the latest when it is back."""
    vpc = cloud.tenant.vpc()
    made = cloud.tenant.create(**{"vnic.portgroupid": vpc, "vm.tenant.model": cloud.model, "vm.memory.mem": 128,
                                  "vm.num": 4}).data
    cloud.sandbox.stop_libvirtd()
    cloud.sandbox.start_libvirtd()
    jobs = [cloud.tenant.follow(row["jobstartid"], SLOW * 2) for row in made]
    assert all(job.result in ("0", "1") for job in jobs), [job.info for job in jobs]
    cloud.server.wait_connected()
    cloud.agrees()
    for row in made:
        cloud.tenant.run("DELETE cloudvm/{vmId}", {"vmId": row["vm.id"]}, SLOW)
    cloud.tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})
