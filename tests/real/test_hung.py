"""A QEMU that hangs: its VM's jobs end in time with a clear word, and nobody else waits for it."""
import os
import signal
import time

import pytest
from sandbox import SLOW, until

PROMPT = 5  # [s] for reads; a call that hangs takes 30


@pytest.fixture
def guests(cloud):
    """The one that will hang, and a neighbour."""
    if not hasattr(cloud, "pair"):
        cloud.pair = cloud.guests(cloud.tenant.vpc(), 2)
    return cloud.pair


@pytest.fixture
def hung(cloud, guests):
    pid = cloud.sandbox.qemu_of(guests[0].id)
    os.kill(pid, signal.SIGSTOP)
    yield guests[0]
    if os.path.exists(f"/proc/{pid}"):
        os.kill(pid, signal.SIGCONT)


def reads_answer(cloud):
    began = time.monotonic()
    cloud.tenant.ok("POST cloudvm/search")
    cloud.tenant.ok("POST joblog/search")
    assert time.monotonic() - began < PROMPT


def test_neighbours_do_not_wait(cloud, guests, hung):
    """A job hangs; all verbs work on another VM, and VMs are created."""
    startid = cloud.tenant.ok("PUT cloudvm/suspend", {"vm.id": hung.id}).startid
    reads_answer(cloud)
    neighbour = guests[1]
    boot = neighbour.boot_id()
    first = cloud.act("suspend", neighbour)
    cloud.act("resume", neighbour)
    cloud.act("cpu/modify", neighbour, **{"vm.vcpu.num": 2})
    assert neighbour.wait_agent().boot_id() == boot
    (new,) = cloud.guests(neighbour.vpc, wait=False)
    cloud.delete(new)
    reads_answer(cloud)
    job = cloud.tenant.follow(startid, SLOW)
    assert job.result in ("1", "5") and "did not answer in time" in job.info, job
    assert first["job.endtime"] <= job["job.endtime"]
    # The host is not the one that hangs.
    assert cloud.state(neighbour) == "1"


def test_it_goes_on(cloud, guests):
    """What was asked of it may still come true; then the API knows."""
    until(lambda: cloud.state(guests[0]) in ("1", "2"), "its state is known")
    cloud.agrees()
    cloud.act("resume", guests[0])
    guests[0].wait_agent()


def test_server_restarts_beside_it(cloud, guests, hung):
    cloud.server.kill()
    cloud.server.start().wait_connected()
    reads_answer(cloud)
    cloud.wait_state(guests[1], "1")
    cloud.act("suspend", guests[1])
    cloud.act("resume", guests[1])


def test_power_off(cloud, guests, hung):
    """The plug can be pulled all the same."""
    cloud.act("destroy", hung)
    assert cloud.state(hung) == "0"
    assert cloud.sandbox.qemu_of(hung.id) is None
    cloud.act("start", hung)
    hung.ready()


def test_delete(cloud, guests, hung):
    cloud.delete(hung)
    assert hung.id not in cloud.sandbox.domains()
    assert cloud.sandbox.qemu_of(hung.id) is None
    del cloud.pair
