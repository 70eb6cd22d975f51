"""What a real guest is given when it is made: its administrator's password, a system disk that stands on its
template or is a copy of it, templates made of it while it runs; and what it says of its own addresses."""
import glob
import json
import os
import subprocess

import pytest
from sandbox import SLOW, Guest, until
from test_crash import Armed
from test_devices import Console, disks, file_of

PASSWORD = "Gr4nit-Kolibri"


@pytest.fixture
def guest(cloud):
    """One for all tests here, made with a password and with nested virtualisation."""
    if not hasattr(cloud, "lone"):
        cloud.lone_job = None
        vpc = cloud.tenant.vpc()
        cloud.lone = cloud.guest(vpc, **{"vm.account.pwd": PASSWORD, "vm.hyperv.enable": "true"})
        jobs = cloud.tenant.ok("POST joblog/search", {"job.objid": cloud.lone.id}).data
        cloud.lone_job = cloud.tenant.ok("GET joblog/{startid}", {"startid": jobs[0]["startid"]}).data
    return cloud.lone


def lines(job):
    return [line["log.content"] for line in job["job.logs"]]


def made_of(cloud, guest, name):
    reply = cloud.tenant.ok("POST cloudtemplate/create", {"vm.id": guest.id, "template.name": name})
    job = cloud.tenant.done(reply.startid, SLOW)
    assert os.listdir(os.path.join(cloud.server.data, "copy")) == []
    return reply.data["template.id"], job


def chain(path):
    """The names of an image and of all that it stands on; of an image that a QEMU has open, too."""
    out = subprocess.run(["qemu-img", "info", "-U", "--backing-chain", "--output=json", path], capture_output=True,
                         text=True, check=True).stdout
    return [os.path.basename(image["filename"]) for image in json.loads(out)]


def from_template(cloud, template, **more):
    return cloud.guest(**{"vm.tenant.model": None, "vm.template.id": template, **more})


def delete_template(cloud, template):
    cloud.tenant.run("DELETE cloudtemplate/{templateId}", {"templateId": template}, SLOW)


def test_the_password_given_at_creation_logs_in(cloud, guest):
    assert any("password of user root is set" in line for line in lines(cloud.lone_job)), lines(cloud.lone_job)
    console = Console(guest)
    try:
        assert not console.login("root", PASSWORD + "x")
        assert console.login("root", PASSWORD)
        console.type("exit\r")
    finally:
        console.close()
    assert PASSWORD not in cloud.server.log()


def test_nested_virtualisation_is_shown_and_told(cloud, guest):
    assert "svm" in guest.sh("grep -m 1 flags /proc/cpuinfo").split()
    assert any("emulated" in line for line in lines(cloud.lone_job)), lines(cloud.lone_job)


def test_the_guests_own_word_on_its_address(cloud, guest):
    event = cloud.tenant.wait_event(lambda e: e["event.type"] == "vm.address" and e["event.objid"] == guest.id)
    assert guest.ip in event["event.content"].split(",")
    row = cloud.tenant.show(guest.id)
    assert (row["vm.ip"], row["vm.guest.ip"]) == (guest.ip, "")
    # It gives itself another one instead; its agent begins anew, which is when it is asked.
    since = cloud.tenant.last_event()
    link = guest.sh("ip -4 -o addr show scope global | awk '{ print $2 }'")
    own = guest.sh(f"ip -4 -o addr show dev {link} | awk '{{ print $4 }}'")
    guest.sh(f"ip addr add 192.0.2.77/24 dev {link}; ip addr del {own} dev {link}; "
             "(sleep 1; killall qemu-ga) >/dev/null 2>&1 &")
    cloud.tenant.wait_event(lambda e: e["event.type"] == "vm.address" and e["event.objid"] == guest.id, since, SLOW)
    row = cloud.tenant.show(guest.id)
    assert row["vm.ip"] == guest.ip and "192.0.2.77" in row["vm.guest.ip"].split(",")
    guest.wait_agent()
    guest.sh(f"ip addr add {own} dev {link}; ip addr del 192.0.2.77/24 dev {link}")
    cloud.act("restart", guest)
    guest.ready()
    until(lambda: cloud.tenant.show(guest.id)["vm.guest.ip"] == "", "it says what it was given", SLOW)


def test_a_template_of_a_running_guest(cloud, guest):
    """Clones have what it wrote, the one that stands on the template and the copy, which outlives it."""
    boot = guest.boot_id()
    guest.sh("echo written-in-the-first-one >/root/mark")
    template, job = made_of(cloud, guest, "of a running guest")
    assert any("frozen" in line for line in job.lines), job.lines
    assert guest.boot_id() == boot
    guest.sh("echo and-later >/root/mark; sync")
    linked = from_template(cloud, template)
    full = from_template(cloud, template, **{"vm.clone": "full", "vm.account.pwd": "another-1"})
    for clone in (linked, full):
        assert clone.sh("cat /root/mark") == "written-in-the-first-one"
    system = {clone: disks(cloud, clone)["vda"]["vdisk.id"] for clone in (linked, full)}
    assert chain(file_of(cloud, system[linked])) == [system[linked] + ".qcow2", template + ".template.qcow2"]
    assert chain(file_of(cloud, system[full])) == [system[full] + ".qcow2"]
    cloud.agrees()
    cloud.tenant.refused("DELETE cloudtemplate/{templateId}", {"templateId": template}, "TEMPLATE_IN_USE")
    cloud.delete(linked)
    delete_template(cloud, template)
    full.sh("echo its-own >>/root/mark; sync")
    cloud.act("destroy", full)
    cloud.act("start", full)
    full.ready()
    assert full.sh("cat /root/mark").split() == ["written-in-the-first-one", "its-own"]
    console = Console(full)
    try:
        assert not console.login("root", PASSWORD)
        assert console.login("root", "another-1")
        console.type("exit\r")
    finally:
        console.close()
    cloud.delete(full)
    assert guest.sh("cat /root/mark") == "and-later"


def test_a_template_of_a_stopped_guest(cloud, guest):
    guest.sh("echo at-rest >/root/mark; sync")
    cloud.act("destroy", guest)
    template, job = made_of(cloud, guest, "of a stopped guest")
    assert not any("frozen" in line for line in job.lines), job.lines
    cloud.act("start", guest)
    clone = from_template(cloud, template)
    assert clone.sh("cat /root/mark") == "at-rest"
    cloud.delete(clone)
    delete_template(cloud, template)
    guest.ready()


# ------------------------------------------------------------------------------------- a server that is killed
def nothing_left(cloud, guest, boot):
    """Neither a copy under way nor its file; the guest, which was frozen for it, lives."""
    assert os.listdir(os.path.join(cloud.server.data, "copy")) == []
    assert "None" in cloud.sandbox.virsh("domjobinfo", guest.id)
    assert guest.agent("guest-fsfreeze-status") == "thawed"
    assert guest.boot_id() == boot
    guest.sh("echo it-writes >/root/alive; sync")


@pytest.mark.parametrize("point", [f"template.create:{step}:{when}" for step in ("copy", "import")
                                   for when in ("before", "after", "recorded")] + ["template.create:end:before"])
def test_killed_while_a_template_is_made(cloud, guest, point):
    boot = guest.boot_id()
    with Armed(cloud, point):
        reply = cloud.tenant.ok("POST cloudtemplate/create", {"vm.id": guest.id, "template.name": "x"})
    cloud.tenant.done(reply.startid, SLOW)
    nothing_left(cloud, guest, boot)
    delete_template(cloud, reply.data["template.id"])


def test_killed_in_the_middle_of_a_copy(cloud, guest):
    """Not at a boundary: while QEMU copies. The job begins the copy anew."""
    boot = guest.boot_id()
    reply = cloud.tenant.ok("POST cloudtemplate/create", {"vm.id": guest.id, "template.name": "x"})
    until(lambda: glob.glob(os.path.join(cloud.server.data, "copy", "*.qcow2")), "the copy has begun", tick=0.002)
    cloud.server.kill()
    cloud.server.start()
    cloud.tenant.done(reply.startid, SLOW)
    nothing_left(cloud, guest, boot)
    delete_template(cloud, reply.data["template.id"])


@pytest.mark.parametrize("point", ["vm.create:disks:before", "vm.create:disks:after", "vm.create:password:before",
                                   "vm.create:password:after"])
def test_killed_while_a_full_clone_with_a_password_is_made(cloud, guest, point):
    with Armed(cloud, point):
        made = cloud.tenant.create(**{"vnic.portgroupid": guest.vpc, "vm.template.id": cloud.template,
                                      "vm.memory.mem": 128, "vm.clone": "full", "vm.account.pwd": PASSWORD}).data[0]
    job = cloud.tenant.done(made["jobstartid"], SLOW)
    assert any("password of user root is set" in line for line in job.lines), job.lines
    clone = Guest(cloud.sandbox, made["vm.id"], guest.vpc, cloud.tenant.show(made["vm.id"])["vm.ip"])
    disk = disks(cloud, clone)["vda"]["vdisk.id"]
    assert chain(file_of(cloud, disk)) == [disk + ".qcow2"]
    assert cloud.server.secrets("account") == []
    cloud.delete(clone)
