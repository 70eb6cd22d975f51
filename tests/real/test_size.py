"""vCPUs and memory of real guests: live where the guest can, else at its next start; quota by difference."""
import re

import pytest
from conftest import MEMORY
from sandbox import until


@pytest.fixture
def guest(cloud):
    if not hasattr(cloud, "lone"):
        cloud.lone = cloud.guest()
    return cloud.lone


def said(job, text):
    return [line for line in job.lines if re.search(text, line)]


def used(cloud, key):
    left = cloud.tenant.usable()
    return left["count" + key[0].upper() + key[1:]] - left[key]


def shown(cloud, guest):
    row = cloud.tenant.show(guest.id)
    return int(row["vm.vcpu.num"]), int(row["vm.memory.mem"])


def vcpus(cloud, guest, number):
    return cloud.act("cpu/modify", guest, **{"vm.vcpu.num": number})


def memory(cloud, guest, mib):
    return cloud.act("mem/modify", guest, **{"vm.memory.mem": mib})


def near(mib, wanted):
    """What a kernel keeps for itself does not count."""
    return wanted * 0.6 < mib <= wanted


def test_more_vcpus_live(cloud, guest):
    boot = guest.boot_id()
    assert said(vcpus(cloud, guest, 3), "vCPU took effect live")
    until(lambda: guest.cpus() == 3, "the guest has 3 vCPUs")
    assert guest.boot_id() == boot
    assert shown(cloud, guest) == (3, MEMORY) and used(cloud, "cpu") == 3


def test_more_memory_live(cloud, guest):
    boot, before = guest.boot_id(), guest.memory_mib()
    assert said(memory(cloud, guest, MEMORY + 128), "memory took effect live")
    until(lambda: guest.memory_mib() >= before + 120, "the guest has the memory")
    assert guest.boot_id() == boot
    assert shown(cloud, guest) == (3, MEMORY + 128) and used(cloud, "memory") == MEMORY + 128


def test_same_size_again(cloud, guest):
    boot = guest.boot_id()
    vcpus(cloud, guest, 3)
    memory(cloud, guest, MEMORY + 128)
    assert shown(cloud, guest) == (3, MEMORY + 128) and guest.boot_id() == boot


def test_fewer_vcpus_at_next_start(cloud, guest):
    boot = guest.boot_id()
    assert said(vcpus(cloud, guest, 2), "vCPU takes effect at next start")
    assert guest.cpus() == 3 and guest.boot_id() == boot
    assert shown(cloud, guest) == (2, MEMORY + 128) and used(cloud, "cpu") == 2


def test_memory_that_cannot_be_added_live(cloud, guest):
    before = guest.memory_mib()
    job = memory(cloud, guest, MEMORY + 128 + 50)
    assert said(job, "could not be changed live.*128 MiB") and said(job, "memory takes effect at next start")
    assert guest.memory_mib() == before
    assert shown(cloud, guest) == (2, MEMORY + 178)


def test_a_reboot_is_no_start(cloud, guest):
    """The guest reboots within its QEMU: only a stop and a start make a new one."""
    boot = guest.boot_id()
    cloud.act("restart", guest)
    assert guest.ready().boot_id() != boot
    assert guest.cpus() == 3


def test_the_next_start(cloud, guest):
    cloud.act("shutdown", guest)
    cloud.act("start", guest)
    guest.ready()
    assert guest.cpus() == 2 and near(guest.memory_mib(), MEMORY + 178)
    assert shown(cloud, guest) == (2, MEMORY + 178)


def test_less_memory_at_next_start(cloud, guest):
    before = guest.memory_mib()
    assert said(memory(cloud, guest, MEMORY), "memory takes effect at next start")
    assert guest.memory_mib() == before
    assert shown(cloud, guest) == (2, MEMORY) and used(cloud, "memory") == MEMORY


def test_sizes_of_a_stopped_guest(cloud, guest):
    cloud.act("destroy", guest)
    vcpus(cloud, guest, 1)
    memory(cloud, guest, MEMORY + 64)
    cloud.agrees()
    cloud.act("start", guest)
    guest.ready()
    assert guest.cpus() == 1 and near(guest.memory_mib(), MEMORY + 64)


def test_more_than_there_is_room_for_live(cloud, guest):
    """The running QEMU was made with room for some growth; the definition holds more."""
    _, now = shown(cloud, guest)
    job = memory(cloud, guest, now + 128 * (now * 3 // 128 + 1))
    assert said(job, "could not be changed live.*room") and said(job, "takes effect at next start")
    memory(cloud, guest, now)
    assert used(cloud, "memory") == now


def test_beyond_the_quota(cloud, guest):
    before = shown(cloud, guest)
    cloud.tenant.refused("PUT cloudvm/cpu/modify", {"vm.id": guest.id, "vm.vcpu.num": 33}, "QUOTA_VCPUS")
    cloud.tenant.refused("PUT cloudvm/mem/modify", {"vm.id": guest.id, "vm.memory.mem": 16385}, "QUOTA_MEMORY")
    assert shown(cloud, guest) == before


def test_memory_that_no_guest_runs_with(cloud, guest):
    """What that is says the driver: a simulated guest is content with 1 MB."""
    order = {"vnic.portgroupid": guest.vpc, "vm.tenant.model": cloud.model, "vm.vcpu.num": 1}
    for op, params in (("POST cloudvm/create", order), ("PUT cloudvm/mem/modify", {"vm.id": guest.id})):
        for size in (1, 15):
            text = cloud.tenant.refused(op, {**params, "vm.memory.mem": size}, "PARAM_RANGE", "vm.memory.mem").text
            assert "vm.memory.mem" in text and "16-" in text, text
