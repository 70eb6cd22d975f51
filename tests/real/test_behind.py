"""What happens to guests without the server: the API learns it from events, and touches nothing of others."""
import os
import signal

import pytest
from sandbox import SLOW, until
from starvirt import unique


@pytest.fixture
def guest(cloud):
    """One guest for all tests here, running; not necessarily booted."""
    if not hasattr(cloud, "lone"):
        cloud.lone = cloud.guest(wait=False)
    if cloud.state(cloud.lone) != "1":
        cloud.act("start", cloud.lone)
    return cloud.lone


def virsh(cloud, *argv):
    return cloud.sandbox.virsh(*argv)


def test_guest_that_powers_itself_off(cloud, guest):
    since = cloud.admin.last_event()
    guest.wait_agent().exec("/sbin/shutdown -P")
    cloud.wait_state(guest, "0")
    event = cloud.admin.wait_event(lambda e: e["event.type"] == "vm.state" and guest.id in str(e), since)
    assert "stopped" in str(event)
    until(lambda: cloud.sandbox.qemu_of(guest.id) is None, "QEMU is gone")


def test_guest_that_reboots_itself(cloud, guest):
    boot = guest.wait_agent().boot_id()
    guest.exec("/sbin/shutdown -r")
    guest.wait_reboot(boot)
    assert cloud.state(guest) == "1"


def test_qemu_killed(cloud, guest):
    since = cloud.admin.last_event()
    os.kill(cloud.sandbox.qemu_of(guest.id), signal.SIGKILL)
    cloud.wait_state(guest, "0")
    cloud.admin.wait_event(lambda e: e["event.type"] == "vm.crashed" and guest.id in str(e), since)
    cloud.act("start", guest)
    assert cloud.state(guest) == "1"


def test_virsh_destroy(cloud, guest):
    virsh(cloud, "destroy", guest.id)
    cloud.wait_state(guest, "0")


def test_virsh_start(cloud, guest):
    cloud.act("destroy", guest)
    virsh(cloud, "start", guest.id)
    cloud.wait_state(guest, "1")


def test_virsh_suspend_and_resume(cloud, guest):
    virsh(cloud, "suspend", guest.id)
    cloud.wait_state(guest, "2")
    virsh(cloud, "resume", guest.id)
    cloud.wait_state(guest, "1")


def test_virsh_managedsave(cloud, guest):
    """Saved is shown as suspended; start goes on where it was."""
    boot = guest.wait_agent().boot_id()
    virsh(cloud, "managedsave", guest.id)
    cloud.wait_state(guest, "2")
    assert cloud.sandbox.domains()[guest.id] == "shut off"
    cloud.act("start", guest)
    assert cloud.state(guest) == "1"
    assert guest.wait_agent().boot_id() == boot


def test_definition_lost(cloud, guest):
    """It is made again from what the server knows, VNC password and all, by the next start."""
    cloud.act("destroy", guest)
    before = cloud.sandbox.virsh("dumpxml", "--security-info", "--inactive", guest.id)
    virsh(cloud, "undefine", guest.id)
    assert cloud.state(guest) == "0"
    cloud.act("start", guest)
    assert cloud.sandbox.virsh("dumpxml", "--security-info", "--inactive", guest.id) == before
    guest.ready()


def test_changes_while_the_server_is_away(cloud, guest):
    other = cloud.guest(guest.vpc, wait=False)
    cloud.server.stop()
    virsh(cloud, "destroy", guest.id)
    virsh(cloud, "suspend", other.id)
    cloud.server.start().wait_connected()
    cloud.wait_state(guest, "0")
    cloud.wait_state(other, "2")
    cloud.server.kill()
    virsh(cloud, "start", guest.id)
    virsh(cloud, "resume", other.id)
    cloud.server.start().wait_connected()
    cloud.wait_state(guest, "1")
    cloud.wait_state(other, "1")
    cloud.delete(other)


FOREIGN = """<domain type="qemu"><name>{name}</name><memory unit="MiB">64</memory><vcpu>1</vcpu>
<os><type arch="x86_64" machine="pc">hvm</type></os><devices/></domain>"""


def test_domains_of_others_are_reported_and_left_alone(cloud, guest):
    box, name = cloud.sandbox, unique("somebody-elses")
    path = os.path.join(os.path.dirname(cloud.server.data), name + ".xml")
    with open(path, "w") as f:
        f.write(FOREIGN.format(name=name))
    box.virsh("define", path)
    cloud.foreign.append(name)
    box.virsh("start", name)
    before, xml = box.qemu_of(name), box.virsh("dumpxml", "--inactive", name)
    cloud.agrees()
    since = cloud.admin.last_event()
    cloud.server.restart().wait_connected()
    event = cloud.admin.wait_event(lambda e: e["event.type"] == "host.unknown_domain", since, SLOW)
    assert name in str(event), event
    assert name not in str(cloud.admin.ok("POST cloudvm/search").data)
    assert box.qemu_of(name) == before and box.virsh("dumpxml", "--inactive", name) == xml
    box.virsh("destroy", name)
    cloud.agrees()
    assert box.domains()[name] == "shut off"
    box.virsh("undefine", name)
    cloud.foreign.remove(name)


def test_a_domain_that_looks_like_ours_and_has_no_row(cloud, guest):
    """Of a lost database, say: its mark is ours, but nothing is known of it."""
    box = cloud.sandbox
    stranger = guest.id[:-12] + "feedfeedfeed"
    path = os.path.join(os.path.dirname(cloud.server.data), stranger + ".xml")
    mark = '<metadata><starvirt:vm xmlns:starvirt="urn:starvirt:vm:1" id="%s"/></metadata>' % stranger
    with open(path, "w") as f:
        f.write(FOREIGN.format(name=stranger).replace("<os>", f"<uuid>{stranger}</uuid>{mark}<os>"))
    box.virsh("define", path)
    cloud.foreign.append(stranger)
    since = cloud.admin.last_event()
    cloud.server.kill()
    cloud.server.start().wait_connected()
    cloud.admin.wait_event(lambda e: e["event.type"] == "host.unknown_domain" and stranger in str(e), since, SLOW)
    assert box.domains()[stranger] == "shut off"
    assert cloud.admin.call("GET cloudvm/{vmId}", {"vmId": stranger}).code == "VM_NOT_FOUND"
    box.virsh("undefine", stranger)
    cloud.foreign.remove(stranger)
