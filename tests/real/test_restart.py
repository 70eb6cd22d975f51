"""The server goes and comes while guests run: they notice nothing, and it finds them as they are."""
import os
import signal

import pytest
from sandbox import SLOW, until


@pytest.fixture
def guests(cloud):
    """Running, paused and stopped: one each."""
    if not hasattr(cloud, "trio"):
        cloud.trio = cloud.guests(cloud.tenant.vpc(), 3)
        cloud.act("suspend", cloud.trio[1])
        cloud.act("destroy", cloud.trio[2])
    return cloud.trio


def picture(cloud, guests):
    box = cloud.sandbox
    return ([cloud.state(guest) for guest in guests], [box.qemu_of(guest.id) for guest in guests],
            sorted(box.processes("dnsmasq")), box.namespaces(), sorted(box.links()), guests[0].boot_id())


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_guests_run_on(cloud, guests, how):
    before = picture(cloud, guests)
    assert before[0] == ["1", "2", "0"]
    cloud.server.stop() if how == "SIGTERM" else cloud.server.kill()
    assert guests[0].http() == f"vm-{guests[0].id[-8:]}"
    cloud.server.start().wait_connected()
    until(lambda: cloud.state(guests[0]) == "1", "its state is known again")
    assert picture(cloud, guests) == before


def test_guests_boot_while_the_server_is_away(cloud, guests):
    """DHCP and all else that a guest needs does not hang on the server."""
    cloud.server.stop()
    boot = guests[0].boot_id()
    guests[0].exec("/sbin/shutdown -r")
    guests[0].wait_reboot(boot)
    guests[0].wait_http()
    cloud.server.start().wait_connected()
    cloud.wait_state(guests[0], "1")


def test_everything_works_afterwards(cloud, guests):
    cloud.server.kill()
    cloud.server.start().wait_connected()
    running, paused, stopped = guests
    cloud.act("resume", paused)
    cloud.act("start", stopped)
    cloud.act("restart", running)
    for guest in guests:
        guest.ready()
    (new,) = cloud.guests(running.vpc)
    assert running.sh(f"timeout 20 wget -q -O - http://{new.ip}/") == f"vm-{new.id[-8:]}"
    cloud.delete(new)
    cloud.act("suspend", paused)
    cloud.act("destroy", stopped)


def test_sigterm_in_the_middle_of_jobs(cloud, guests):
    """Steps under way end, the rest goes on after the next start: each accepted job comes to its end."""
    vpc = cloud.tenant.vpc()
    made = cloud.tenant.create(**{"vnic.portgroupid": vpc, "vm.tenant.model": cloud.model, "vm.memory.mem": 128,
                                  "vm.num": 4}).data
    cloud.server.stop()
    cloud.server.start()
    for row in made:
        cloud.tenant.done(row["jobstartid"], SLOW)
    cloud.agrees()
    startids = [cloud.tenant.ok("DELETE cloudvm/{vmId}", {"vmId": row["vm.id"]}).startid for row in made]
    cloud.server.kill()
    cloud.server.start()
    for startid in startids:
        cloud.tenant.done(startid, SLOW)
    cloud.tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})


def test_networks_lost_with_the_machine_are_mended(cloud, guests):
    """What a reboot of the machine or a careless hand takes away comes back at the start of the server."""
    box, guest = cloud.sandbox, guests[0]
    cloud.server.stop()
    box.run("ip", "netns", "del", guest.namespace)
    for pid, argv in box.processes("dnsmasq").items():
        if guest.vpc in " ".join(argv):
            os.kill(pid, signal.SIGKILL)
    cloud.server.start().wait_connected()
    until(lambda: guest.http() is not None, "the guest is reached again")
    guest.sh(f"ping -c 2 -W 5 {guest.ip.rsplit('.', 1)[0]}.1")
    cloud.wait_state(guest, "1")


def test_bridge_lost_under_a_running_guest(cloud, guests):
    """The guest is plugged in again, where it is."""
    box, guest = cloud.sandbox, guests[0]
    boot = guest.boot_id()
    box.run("ip", "link", "del", "svb" + guest.vpc[-12:])
    assert guest.http(limit=1) is None
    cloud.server.restart().wait_connected()
    until(lambda: guest.http() is not None, "the guest is reached again")
    assert guest.boot_id() == boot
    cloud.wait_state(guest, "1")


def test_domain_type_is_found_out(cloud, guests):
    """By default a guest's program is really run before KVM is trusted; nothing of it stays."""
    server = cloud.server
    server.stop()
    told, server.options = server.options, [o for o in server.options if o not in ("--hv.domain_type", "qemu")]
    server.start().wait_connected()
    lines = [line for line in server.log().splitlines() if "hv.domain_type" in line]
    assert 'type="kvm"' in lines[-1] or 'type="qemu"' in lines[-1], lines
    (new,) = cloud.guests(guests[0].vpc)
    assert new.http() == f"vm-{new.id[-8:]}"
    cloud.delete(new)
    assert not [name for name in os.listdir(server.data + "/images") if "proof" in name]
    server.stop()
    server.options = told
    server.start().wait_connected()
