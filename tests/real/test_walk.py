"""From an empty cloud to three guests, and what can be said of them without changing anything."""
import os
import re

import pytest
from conftest import MEMORY, QUOTA, SLOW
from sandbox import Guest
from starvirt import unique


@pytest.fixture
def three(cloud):
    """Two guests in one VPC, one in another, booted; the same for all tests here."""
    if not hasattr(cloud, "three"):
        one, other = cloud.tenant.vpc(), cloud.tenant.vpc()
        first = cloud.guests(one, 2, wait=False)
        cloud.three = first + cloud.guests(other, wait=False)
        for guest in cloud.three:
            guest.ready()
    return cloud.three


def test_walk(cloud):
    """Tenant, template, model, VPC, three VMs: each job's log followed line by line to 0."""
    admin = cloud.admin
    tenant = admin.tenant(**QUOTA)
    template = admin.ok("POST cloudtemplate/import", {"template.name": unique("walk"), "template.format": "qcow2",
                                                      "template.path": cloud.image})
    imported = admin.done(template.startid, SLOW)
    assert [line["log.serial"] for line in imported["job.logs"]] == [str(i + 1) for i in range(len(imported.lines))]
    assert imported["job.percent"] == "100" and imported.lines[-1] == "job done"
    model = admin.model(template=template.data["template.id"])
    vpc = tenant.vpc()
    made = tenant.create(**{"vm.name": "walk", "vm.tenant.model": model, "vm.memory.mem": MEMORY, "vm.num": 3,
                            "vnic.portgroupid": vpc}).data
    assert [row["vm.name"] for row in made] == ["walk-1", "walk-2", "walk-3"]
    for row in made:
        job = tenant.done(row["jobstartid"], SLOW)
        assert job["job.objid"] == row["vm.id"] and job["job.percent"] == "100"
        told = "\n".join(job.lines)
        for step in ("prepare disks", "prepare network", "define the VM", "start the VM"):
            assert f"{step}: done" in told, told
        assert re.search(r"NIC eth0 has address 10\.", told), told
        assert [int(line["log.serial"]) for line in job["job.logs"]] == list(range(1, len(job.lines) + 1))
        shown = tenant.show(row["vm.id"])
        assert shown["vm.state"] == "1" and shown["vm.memory.mem"] == str(MEMORY) and shown["vm.tenant.model"] == model
    assert {row["vm.id"] for row in tenant.ok("POST cloudvm/search").data} == {row["vm.id"] for row in made}
    cloud.agrees()
    guests = [Guest(cloud.sandbox, row["vm.id"], vpc, tenant.show(row["vm.id"])["vm.ip"]) for row in made]
    for guest in guests:
        guest.wait_http()
    for guest in guests:
        tenant.run("DELETE cloudvm/{vmId}", {"vmId": guest.id}, SLOW)
    tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})
    left = tenant.usable()
    assert all(left[key] == left["count" + key[0].upper() + key[1:]] for key in ("cpu", "memory", "storage"))


def test_disks_are_overlays_of_the_template(cloud, three):
    for guest in three:
        xml = cloud.sandbox.definition(guest.id)
        (disk,) = xml.findall("devices/disk")
        path = disk.find("source").get("file")
        info = cloud.sandbox.json("qemu-img", "info", "-U", "--output=json", path)
        assert info["format"] == "qcow2"
        assert info["full-backing-filename"] == f"{cloud.server.data}/images/{cloud.template}.template.qcow2"
        assert info["backing-filename-format"] == "qcow2"
        assert oct(os.stat(path).st_mode & 0o777) == "0o600"


def test_guest_answers_http_with_its_host_name(three):
    for guest in three:
        assert guest.http() == f"vm-{guest.id[-8:]}"


def test_address_by_dhcp_is_vm_ip(three):
    for guest in three:
        assert guest.sh("ip -4 -o addr show dev eth0 | awk '{ print $4 }'") == f"{guest.ip}/24"
        gateway = guest.ip.rsplit(".", 1)[0] + ".1"
        assert f"default via {gateway} dev eth0" in guest.sh("ip route")
        assert guest.sh("hostname") == f"vm-{guest.id[-8:]}"
        assert guest.exec(f"ping -c 2 -W 5 {gateway}")[0] == 0


def test_guests_of_one_vpc_reach_each_other(three):
    a, b, _ = three
    for here, there in ((a, b), (b, a)):
        assert here.sh(f"timeout 20 wget -q -O - http://{there.ip}/") == f"vm-{there.id[-8:]}"
        assert here.exec(f"ping -c 2 -W 5 {there.ip}")[0] == 0


def test_guests_of_two_vpcs_do_not(three):
    a, _, c = three
    for here, there in ((a, c), (c, a)):
        code, text = here.exec(f"timeout 3 wget -q -O - http://{there.ip}/")
        assert code != 0, text
        # Nor with an address of the other's network, through its own bridge.
        net = there.ip.rsplit(".", 1)[0]
        code, text = here.exec(f"ip addr add {net}.77/24 dev eth0; ping -c 1 -W 2 -I {net}.77 {there.ip}; "
                               f"r=$?; ip addr del {net}.77/24 dev eth0; exit $r")
        assert code != 0, text


def test_guests_do_not_reach_the_machine(cloud, three):
    """Its addresses are not answered for on a guest's bridge, even when they are looked for there."""
    box, guest = cloud.sandbox, three[0]
    assert box.run("ip", "-4", "-o", "addr", "show", "to", guest.ip + "/24") == ""
    box.run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
    try:
        assert box.try_run("curl", "-s", "-m", "5", "http://192.0.2.1:9/").returncode == 7, "refused is an answer"
        code, text = guest.exec("ip route add 192.0.2.1 dev eth0; ping -c 2 -W 2 192.0.2.1; r=$?; "
                                "ip route del 192.0.2.1 dev eth0; exit $r")
        assert code == 1 and "100% packet loss" in text, text
    finally:
        box.run("ip", "addr", "del", "192.0.2.1/32", "dev", "lo")


def test_guest_has_the_size_asked_for(three):
    for guest in three:
        assert guest.cpus() == 1
        assert MEMORY * 0.6 < guest.memory_mib() <= MEMORY


def test_domain_carries_the_name_only_as_a_title(cloud, three):
    for guest in three:
        xml = cloud.sandbox.definition(guest.id)
        assert xml.findtext("name") == xml.findtext("uuid") == guest.id
        assert xml.findtext("title") == cloud.tenant.show(guest.id)["vm.name"]
        assert xml.get("type") == "qemu"


def test_other_tenants_see_nothing_of_it(cloud, three):
    stranger = cloud.admin.tenant()
    assert stranger.ok("POST cloudvm/search").data == []
    for verb in ("start", "destroy", "shutdown", "restart", "suspend", "resume"):
        stranger.refused(f"PUT cloudvm/{verb}", {"vm.id": three[0].id}, "VM_NOT_FOUND")
    stranger.refused("DELETE cloudvm/{vmId}", {"vmId": three[0].id}, "VM_NOT_FOUND")
    assert cloud.sandbox.domains()[three[0].id] == "running"


def test_fsck_agrees_while_the_server_runs(cloud, three):
    assert cloud.server.fsck() == ""
