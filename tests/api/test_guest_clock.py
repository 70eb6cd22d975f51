"""The clock of a guest that stood still is set by its agent, and the job's log says by how much."""
import re

import pytest


def gap(job):
    """[s] as the log says it; None: nobody set it."""
    said = [re.search(r"clock was (-?[\d.]+) s behind and is set", line) for line in job.lines]
    found = [float(match[1]) for match in said if match]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.fixture
def vm(tenant, model):
    return tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)


def behind(cloud, vm, seconds):
    for host in ("host1", "host2"):
        cloud.control(f"clock={vm}:{seconds}s", host)


@pytest.mark.parametrize("verb", ["resume", "start"])
def test_after_a_suspension(cloud, tenant, vm, verb):
    tenant.run("PUT cloudvm/suspend", {"vm.id": vm})
    behind(cloud, vm, 600)
    assert 600 <= gap(tenant.run(f"PUT cloudvm/{verb}", {"vm.id": vm})) < 700
    assert gap(tenant.run("PUT cloudvm/resume", {"vm.id": vm})) < 100, "it was set"


def test_after_going_back_to_a_memory(cloud, tenant, vm):
    reply = tenant.ok("POST cloudvm/snapshot/create", {"snapshot.vmid": vm, "snapshot.name": "then"})
    tenant.done(reply.startid)
    for before in ((), ("destroy",)):
        for verb in before:
            tenant.run(f"PUT cloudvm/{verb}", {"vm.id": vm})
        job = tenant.run("PUT cloudvm/snapshot/restore", {"snapshot.id": reply.data["snapshot.id"]})
        assert gap(job) is not None and gap(job) >= 0


def test_a_guest_that_boots_has_the_right_time(tenant, vm):
    tenant.run("PUT cloudvm/destroy", {"vm.id": vm})
    job = tenant.run("PUT cloudvm/start", {"vm.id": vm})
    assert gap(job) is None and not any("clock" in line for line in job.lines)


def test_without_an_agent_it_is_said(cloud, tenant, vm):
    for host in ("host1", "host2"):
        cloud.control(f"agent={vm}:0", host)
    tenant.run("PUT cloudvm/suspend", {"vm.id": vm})
    job = tenant.run("PUT cloudvm/resume", {"vm.id": vm})
    assert gap(job) is None and any("it was not set: the guest agent does not answer" in line for line in job.lines)


def test_an_agent_that_fails_costs_nothing(cloud, tenant, vm):
    tenant.run("PUT cloudvm/suspend", {"vm.id": vm})
    for host in ("host1", "host2"):
        cloud.control("fail=set_time:1", host)
    try:
        job = tenant.run("PUT cloudvm/resume", {"vm.id": vm})
    finally:
        for host in ("host1", "host2"):
            cloud.control("fail=set_time:0", host)
    assert any("clock may be behind" in line for line in job.lines) and tenant.show(vm)["vm.state"] == "1"
