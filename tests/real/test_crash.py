"""kill -9 of the server at every boundary of every step, on real guests: each accepted job comes to its end
after the restart, and then the machine is as the API says."""
import contextlib
import http.client
import secrets

import pytest
from conftest import MEMORY
from sandbox import SLOW, until
from starvirt import dump_kinds

STEPS = {kind: tuple(row["steps"]) for kind, row in dump_kinds().items()}
STEPS["vm.create"] = tuple(step for step in STEPS["vm.create"] if step != "password")  # only where one is asked for
HOOK = """#!/bin/sh
# What libvirt asks before it starts a guest.
[ "$2" != prepare ] || [ ! -e /run/refuse-start ]
"""


def points(kind, *last):
    when = ("before", "after", "recorded")
    return [f"{kind}:{step}:{at}" for step in STEPS[kind] for at in when] + [f"{kind}:end:before", *last]


class Armed:
    """The server runs into its crash point, once, and is started again."""

    def __init__(self, cloud, point):
        self.cloud, self.point, self.back = cloud, point, False

    def __enter__(self):
        server = self.cloud.server
        server.stop()
        server.crash_point = self.point
        server.start().wait_connected()
        self.cloud.armed = self
        return self

    def come_back(self):
        server = self.cloud.server
        server.crashed()
        server.crash_point = None
        server.start()
        self.back = True

    def then(self, point, meanwhile):
        """The server comes back only to run into another one; this is done before."""
        server = self.cloud.server
        server.crashed()
        meanwhile()
        server.crash_point = point
        server.start()

    def __exit__(self, failed, *_):
        self.cloud.armed = None
        if not failed and not self.back:
            self.come_back()


def ask(cloud, op, params, who=None):
    """Its reply. Was the server dead before that was out, then once it is back: the key makes it the same request."""
    who, key = who or cloud.tenant, {"Idempotency-Key": secrets.token_hex(8)}
    try:
        return who.ok(op, params, headers=key)
    except (http.client.HTTPException, OSError):
        if not cloud.armed:
            raise
        cloud.armed.come_back()
        return who.ok(op, params, headers=key)


@pytest.fixture
def vpc(cloud):
    if not hasattr(cloud, "vpc"):
        cloud.vpc = cloud.tenant.vpc()
        cloud.spare = []
    return cloud.vpc


@pytest.fixture
def guest(cloud, vpc):
    """One guest for all tests that leave it there; not waited for."""
    if not hasattr(cloud, "lone"):
        (cloud.lone,) = cloud.guests(vpc, wait=False)
    return cloud.lone


def create(cloud, vpc, **more):
    """Accepted: (id, startid)."""
    made = cloud.tenant.create(**{"vnic.portgroupid": vpc, "vm.tenant.model": cloud.model, "vm.memory.mem": MEMORY,
                                  "vm.vncpasswd": "geheim12", **more}).data[0]
    return made["vm.id"], made["jobstartid"]


def wait_shown(cloud, vm, state):
    """A job that had nothing left to do may end before the host is connected."""
    until(lambda: cloud.tenant.show(vm)["vm.state"] == state, f"{vm} is shown with state {state}", tick=0.02)


def asked(cloud, verb, guest, **more):
    return ask(cloud, f"PUT cloudvm/{verb}", {"vm.id": guest.id, **more}).startid


@pytest.mark.parametrize("point", points("vm.create"))
def test_create(cloud, vpc, point):
    with Armed(cloud, point):
        vm, startid = create(cloud, vpc, **{"vm.vdisk.num": 1, "vm.vdisk.size": 1})
    job = cloud.tenant.done(startid, SLOW)
    assert job["job.percent"] == "100"
    assert cloud.sandbox.domains()[vm] == "running"
    wait_shown(cloud, vm, "1")
    cloud.spare.append(vm)


@pytest.mark.parametrize("point", points("vm.delete"))
def test_delete(cloud, vpc, point):
    if not cloud.spare:
        vm, startid = create(cloud, vpc)
        cloud.tenant.done(startid, SLOW)
        cloud.spare.append(vm)
    vm = cloud.spare.pop()
    with Armed(cloud, point):
        startid = ask(cloud, "DELETE cloudvm/{vmId}", {"vmId": vm}).startid
    cloud.tenant.done(startid, SLOW)
    cloud.tenant.refused("GET cloudvm/{vmId}", {"vmId": vm}, "VM_NOT_FOUND")
    assert vm not in cloud.sandbox.domains()


@pytest.mark.parametrize("point", points("vm.start"))
def test_start(cloud, guest, point):
    cloud.act("destroy", guest)
    with Armed(cloud, point):
        startid = asked(cloud, "start", guest)
    cloud.tenant.done(startid, SLOW)
    wait_shown(cloud, guest.id, "1")
    assert cloud.sandbox.domains()[guest.id] == "running"


@pytest.mark.parametrize("point", points("vm.destroy"))
def test_destroy(cloud, guest, point):
    cloud.act("start", guest)
    with Armed(cloud, point):
        startid = asked(cloud, "destroy", guest)
    cloud.tenant.done(startid, SLOW)
    wait_shown(cloud, guest.id, "0")
    assert cloud.sandbox.domains()[guest.id] == "shut off"


@pytest.mark.parametrize("point", points("vm.suspend") + points("vm.resume"))
def test_suspend_and_resume(cloud, guest, point):
    verb = point.split(":")[0].split(".")[1]
    cloud.act("start", guest)
    if verb == "resume":
        cloud.act("suspend", guest)
    with Armed(cloud, point):
        startid = asked(cloud, verb, guest)
    cloud.tenant.done(startid, SLOW)
    wait_shown(cloud, guest.id, "2" if verb == "suspend" else "1")


@pytest.mark.parametrize("point", ["vm.shutdown:ask:before", "vm.shutdown:ask:after", "vm.shutdown:ask:recorded",
                                   "vm.shutdown:wait:before", "vm.shutdown:end:before"])
def test_shutdown(cloud, guest, point):
    """Asked again or not, the guest is down in the end and the job knows it."""
    cloud.act("start", guest)
    guest.wait_agent()
    with Armed(cloud, point):
        startid = asked(cloud, "shutdown", guest)
    cloud.tenant.done(startid, SLOW)
    wait_shown(cloud, guest.id, "0")


@pytest.mark.parametrize("point", ["vm.restart:reboot:before", "vm.restart:reboot:recorded"])
def test_reboot(cloud, guest, point):
    cloud.act("start", guest)
    boot = guest.wait_agent().boot_id()
    with Armed(cloud, point):
        startid = asked(cloud, "restart", guest)
    cloud.tenant.done(startid, SLOW)
    wait_shown(cloud, guest.id, "1")
    guest.wait_reboot(boot)


@pytest.mark.parametrize("point", points("vm.vcpus"))
def test_vcpus(cloud, guest, point):
    """Up and, the other time, down: the definition holds what the API shows, and the quota is of that."""
    before = int(cloud.tenant.show(guest.id)["vm.vcpu.num"])
    if before == 1:  # a QEMU that has translated much takes no vCPU any more
        cloud.act("destroy", guest)
    cloud.act("start", guest)
    after = 2 if before == 1 else 1
    with Armed(cloud, point):
        startid = asked(cloud, "cpu/modify", guest, **{"vm.vcpu.num": after})
    job = cloud.tenant.done(startid, SLOW)
    assert cloud.tenant.show(guest.id)["vm.vcpu.num"] == str(after)
    live = int(cloud.sandbox.virsh("vcpucount", guest.id, "--live", "--current"))
    assert live >= after, "\n".join(job.lines)


@pytest.mark.parametrize("point", points("vm.memory"))
def test_memory(cloud, guest, point):
    """Grown live once and not twice, whatever was done before the crash."""
    cloud.act("destroy", guest)
    cloud.act("mem/modify", guest, **{"vm.memory.mem": MEMORY})
    cloud.act("start", guest)
    with Armed(cloud, point):
        startid = asked(cloud, "mem/modify", guest, **{"vm.memory.mem": MEMORY + 128})
    cloud.tenant.done(startid, SLOW)
    assert cloud.tenant.show(guest.id)["vm.memory.mem"] == str(MEMORY + 128)
    live = cloud.sandbox.definition(guest.id)
    assert int(live.findtext("memory")) // 1024 == MEMORY + 128


@pytest.mark.parametrize("point", points("template.import"))
def test_import(cloud, point):
    with Armed(cloud, point):
        made = ask(cloud, "POST cloudtemplate/import", {"template.name": "again", "template.path": cloud.image}, cloud.admin)
    cloud.admin.done(made.startid, SLOW)
    cloud.agrees()
    cloud.admin.run("DELETE cloudtemplate/{templateId}", {"templateId": made.data["template.id"]}, SLOW)


# ------------------------------------------------------------------------------------------ devices, and inside
def boundaries(*kinds):
    """Around what each step does; what is recorded of it is the next one's before."""
    for kind in kinds:
        yield from (f"{kind}:{step}:{at}" for step in STEPS[kind] for at in ("before", "after"))
        yield f"{kind}:end:before"


def disks(cloud, guest):
    rows = cloud.tenant.ok("POST cloudvm/vdisk/search", {"vdisk.vmid": guest.id}).data
    return {row["vdisk.devname"]: row for row in rows}


def sectors(guest, name):
    return int(guest.sh(f"cat /sys/block/{name}/size 2>/dev/null || echo 0"))


def data_disk(cloud, guest):
    """The second disk, which is there."""
    if "vdb" not in disks(cloud, guest):
        cloud.tenant.run("POST cloudvm/vdisk/add", {"vdisk.vmid": guest.id, "vdisk.size": 1}, SLOW)
    return disks(cloud, guest)["vdb"]


@pytest.fixture
def live(cloud, guest):
    """The guest runs and hears its agent; it is not restarted by what is done to it."""
    cloud.act("start", guest)
    boot = guest.wait_agent().boot_id()
    yield guest
    assert guest.wait_agent().boot_id() == boot


def followed(cloud, startid=None):
    """The last job, whose startid may be known only by its row."""
    found = cloud.admin.ok("POST joblog/search").data[-1]["startid"]
    assert startid in (None, found)
    job = cloud.admin.done(found, SLOW)
    assert job["job.percent"] == "100"


@pytest.mark.parametrize("point", boundaries("disk.add"))
def test_disk_added(cloud, live, point):
    if "vdb" in disks(cloud, live):
        cloud.tenant.run("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disks(cloud, live)["vdb"]["vdisk.id"]}, SLOW)
    with Armed(cloud, point):
        startid = ask(cloud, "POST cloudvm/vdisk/add", {"vdisk.vmid": live.id, "vdisk.size": 1}).startid
    followed(cloud, startid)
    until(lambda: sectors(live, "vdb") == 2 << 20, "the guest sees the disk")


@pytest.mark.parametrize("point", [f"disk.add:{step}:{at}" for step in reversed(STEPS["disk.add"])
                                   for at in ("undo-before", "undo-after")])
def test_undo_of_disk_added(cloud, live, point):
    """Its file goes while the server is away, so that it cannot be plugged in."""
    server, before = cloud.server, disks(cloud, live)
    with Armed(cloud, "disk.add:define:recorded") as armed:
        made = cloud.tenant.ok("POST cloudvm/vdisk/add", {"vdisk.vmid": live.id, "vdisk.size": 1})
        armed.then(point, lambda: cloud.sandbox.run("rm", f"{server.data}/images/{made.data['vdisk.id']}.qcow2"))
    job = cloud.admin.follow(made.startid, SLOW)
    assert job.result == "1" and any("undoing" in line for line in job.lines), job.lines
    assert disks(cloud, live) == before and sectors(live, made.data["vdisk.devname"]) == 0


@pytest.mark.parametrize("point", boundaries("disk.extend"))
def test_disk_grown(cloud, live, point):
    row = data_disk(cloud, live)
    size = int(row["vdisk.size"]) + 1
    with Armed(cloud, point):
        startid = ask(cloud, "PUT cloudvm/vdisk/extend", {"vdisk.id": row["vdisk.id"], "vdisk.size": size}).startid
    followed(cloud, startid)
    until(lambda: sectors(live, "vdb") == size << 21, "the guest sees the growth")


@pytest.mark.parametrize("point", boundaries("disk.remove"))
def test_disk_removed(cloud, live, point):
    row = data_disk(cloud, live)
    with Armed(cloud, point):
        startid = ask(cloud, "DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": row["vdisk.id"]}).startid
    followed(cloud, startid)
    assert sectors(live, "vdb") == 0 and "vdb" not in disks(cloud, live)


def nics(cloud, guest):
    return cloud.tenant.ok("POST cloudvm/vnic/search", {"vnic.vmid": guest.id}).data


@pytest.mark.parametrize("point", boundaries("nic.add", "nic.remove"))
def test_nic_added_and_removed(cloud, live, vpc, point):
    """The answer is lost with the server; the job is not."""
    adding, have = point.startswith("nic.add"), nics(cloud, live)
    if adding and len(have) > 1:
        cloud.tenant.ok("DELETE cloudvm/vnic/{vnicId}", {"vnicId": have.pop()["vnic.id"]})
    if not adding and len(have) == 1:
        cloud.tenant.ok("POST cloudvm/vnic/add", {"vnic.vmid": live.id, "vnic.portgroupid": vpc})
        have = nics(cloud, live)
    with Armed(cloud, point), contextlib.suppress(http.client.HTTPException, OSError):
        if adding:
            cloud.tenant.ok("POST cloudvm/vnic/add", {"vnic.vmid": live.id, "vnic.portgroupid": vpc})
        else:
            cloud.tenant.ok("DELETE cloudvm/vnic/{vnicId}", {"vnicId": have[-1]["vnic.id"]})
    followed(cloud)
    rows = nics(cloud, live)
    assert len(rows) == (2 if adding else 1)
    should = {row["vnic.macaddress"] for row in rows} | {"00:00:00:00:00:00"}
    until(lambda: set(live.sh("cat /sys/class/net/*/address").split()) == should, "the guest has these NICs")


@pytest.mark.parametrize("point", boundaries("vm.password"))
def test_password(cloud, live, point):
    before = live.sh("grep ^root: /etc/shadow")
    with Armed(cloud, point):
        startid = ask(cloud, "POST cloudvm/setadminpwd", {"vm.id": live.id, "pwd": "told " + point}).startid
    followed(cloud, startid)
    assert live.sh("grep ^root: /etc/shadow") != before


@pytest.mark.parametrize("point", boundaries("vm.agent"))
def test_agent(cloud, live, point):
    with Armed(cloud, point):
        startid = ask(cloud, "POST cloudvm/resumeCloudAgent", {"vm.id": live.id}).startid
    followed(cloud, startid)


# --------------------------------------------------------------------------------------------- on the way back
@pytest.fixture
def refusing(cloud):
    """Guests do not start: libvirt's hook says no."""
    box = cloud.sandbox
    if box.try_run("test", "-e", "/etc/libvirt/hooks/qemu").returncode:
        box.run("sh", "-c", "mkdir -p /etc/libvirt/hooks && cat >/etc/libvirt/hooks/qemu <<'END'\n" + HOOK + "END\n"
                            "chmod 755 /etc/libvirt/hooks/qemu")
        box.stop_libvirtd()  # it looks for hooks when it starts
        box.start_libvirtd()
        until(lambda: cloud.server.metrics()['starvirt_hosts{connected="true"}'] == 1, "the host is connected")
    cloud.server.wait_connected()
    box.run("touch", "/run/refuse-start")
    yield
    box.run("rm", "-f", "/run/refuse-start")


def failed(cloud, vm, startid):
    job = cloud.tenant.follow(startid, SLOW)
    assert job.result == "1", job
    assert "hypervisor error" in job.info.lower() or "hook" in job.info.lower(), job.info
    assert cloud.tenant.show(vm)["vm.state"] == "-2"
    cloud.agrees()
    cloud.tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm}, SLOW)
    return job


def test_create_that_fails_at_the_end_leaves_nothing(cloud, vpc, refusing):
    vm, startid = create(cloud, vpc)
    job = failed(cloud, vm, startid)
    told = "\n".join(job.lines)
    for step in ("start the VM", "define the VM", "prepare network", "prepare disks"):
        assert f"undoing: {step}" in told, told


@pytest.mark.parametrize("point", [f"vm.create:{step}:{at}" for step in reversed(STEPS["vm.create"])
                                   for at in ("undo-before", "undo-after")])
def test_undo_of_create(cloud, vpc, refusing, point):
    with Armed(cloud, point):
        vm, startid = create(cloud, vpc)
    failed(cloud, vm, startid)


def test_start_that_fails_leaves_the_guest_stopped(cloud, guest, refusing):
    cloud.act("destroy", guest)
    startid = asked(cloud, "start", guest)
    job = cloud.tenant.follow(startid, SLOW)
    assert job.result == "1" and cloud.state(guest) == "0", job
    cloud.sandbox.run("rm", "-f", "/run/refuse-start")
    cloud.act("start", guest)


def test_several_at_a_time(cloud, vpc):
    """A crash in the midst of a batch: all of it comes to its end."""
    with Armed(cloud, "vm.create:define:before"):
        made = cloud.tenant.create(**{"vnic.portgroupid": vpc, "vm.tenant.model": cloud.model, "vm.num": 5,
                                      "vm.memory.mem": MEMORY}).data
    for row in made:
        cloud.tenant.done(row["jobstartid"], SLOW)
    cloud.agrees()
    with Armed(cloud, "vm.delete:network:before"):
        startids = []
        for row in made:
            reply = try_delete(cloud, row["vm.id"])
            if reply is not None:
                startids.append(reply)
    for startid in startids:
        cloud.tenant.done(startid, SLOW)
    left = {row["vm.id"] for row in cloud.tenant.ok("POST cloudvm/search").data} & {row["vm.id"] for row in made}
    assert len(left) <= len(made) - len(startids)


def try_delete(cloud, vm):
    """The startid, if the server lived long enough to tell it."""
    try:
        return cloud.tenant.ok("DELETE cloudvm/{vmId}", {"vmId": vm}).startid
    except (OSError, AssertionError) as e:
        assert not isinstance(e, AssertionError), e
        return None
