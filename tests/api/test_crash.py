"""kill -9 at every boundary of every step of every kind of job: what was accepted ends, whole or undone, at
the next start; no lock, no reservation, no domain and no volume is left over (docs/ARCHITECTURE.md, "A job")."""
import contextlib
import http.client
import os
import random
import shutil
import threading

import pytest
from simhost import COPYING, SimHost, vnc_mark
from daemon import Server
from starvirt import Client, Refused, dump_kinds, wait_until

MIB = 1 << 20
KINDS = dump_kinds()
ENDED = {"0", "1", "4", "5", "6", "7"}


# -------------------------------------------------------------------------------------------- a world to copy
class World:
    """A data directory with a VM in each state, copied back before each test."""

    def __init__(self, folder):
        self.path, self.kept = str(folder / "data"), str(folder / "kept")
        self.image = str(folder / "image")
        with open(self.image, "wb") as f:
            f.write(bytes(MIB))
        server = Server(self.path, connect="sim://?control=1").start()
        admin = server.admin
        tenant = admin.tenant(cpu=50, memory=50000, storage=500, portgroup=2)
        self.token, self.tenant = tenant.token, tenant.id
        self.vpc = tenant.vpc()
        self.template, self.spare = admin.template(self.image), admin.template(self.image)
        self.model = admin.model(size=1)
        order = {"vnic.portgroupid": self.vpc, "vm.vdisk.num": 1, "vm.vdisk.size": 2, "vm.vcpu.num": 2,
                 "vm.memory.mem": 64}
        self.order = {**order, "vm.tenant.model": self.model}
        self.clone = {**order, "vm.template.id": self.template}
        self.running, self.stopped, self.paused = (tenant.vm(**self.order) for _ in range(3))
        (_, self.disk) = [row["vdisk.id"] for row in tenant.ok("POST cloudvm/vdisk/search",
                                                               {"vdisk.vmid": self.running}).data]
        self.nic = tenant.ok("POST cloudvm/vnic/add", {"vnic.vmid": self.running, "vnic.portgroupid": self.vpc}
                             ).data["vnic.id"]
        self.backup = self.kept_before(server, tenant)
        tenant.run("PUT cloudvm/destroy", {"vm.id": self.stopped})
        (self.past_disk, _) = [row["vdisk.id"] for row in tenant.ok("POST cloudvm/vdisk/search",
                                                                    {"vdisk.vmid": self.paused}).data]
        self.pasts = [self.past(server, tenant, text) for text in ("one", "two")]
        tenant.run("PUT cloudvm/suspend", {"vm.id": self.paused})
        assert server.finish() == []
        shutil.copytree(self.path, self.kept)

    def kept_before(self, server, tenant):
        """A backup of what its disks held before they were overwritten."""
        targets = [row["vdisk.id"] for row in tenant.ok("POST cloudvm/vdisk/search", {"vdisk.vmid": self.running}).data]
        for disk in targets:
            server.control(f"write={disk}:kept")
        made = tenant.ok("POST cloudvm/backup/create", {"backup.vmid": self.running, "backup.name": "kept"})
        tenant.done(made.startid)
        for disk in targets:
            server.control(f"write={disk}:lost")
        return made.data["backup.id"]

    def past(self, server, tenant, text):
        """A snapshot of a time when this was on its disk and in its memory."""
        for where in (self.past_disk, self.paused):
            server.control(f"write={where}:{text}")
        made = tenant.ok("POST cloudvm/snapshot/create", {"snapshot.vmid": self.paused, "snapshot.name": text})
        tenant.done(made.startid)
        return made.data["snapshot.id"]

    def server(self):
        server = Server(self.path, connect="sim://?control=1")
        server.erase()
        shutil.copytree(self.kept, self.path)
        return server


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("crash"))


@pytest.fixture
def cloud(world):
    """A copy of the world on a server that is not started yet."""
    server = world.server()
    yield server
    complaints = server.finish()
    assert not complaints, "\n".join(complaints)
    server.erase()


# ------------------------------------------------------------------------------------------------ the stories
def state_is(wanted):
    return lambda tenant, world, vm: tenant.show(vm)["vm.state"] == wanted


def size_is(key, wanted):
    return lambda tenant, world, vm: tenant.show(vm)[key] == wanted


def gone(tenant, world, vm):
    return tenant.call("GET cloudvm/{vmId}", {"vmId": vm}).code == "VM_NOT_FOUND"


def template_is(wanted):
    def check(tenant, world, template):
        rows = tenant.ok("POST cloudtemplate/search", {"template.id": template}).data
        return [row["template.state"] for row in rows] == wanted
    return check


def devices(op, key, wanted):
    """What the API lists of a VM, by one column."""
    def check(tenant, world, vm):
        return [row[key] for row in tenant.ok(op, {op.split("/")[1] + ".vmid": vm}).data] == wanted
    return check


def disks_are(*sizes):
    return devices("POST cloudvm/vdisk/search", "vdisk.size", [str(size) for size in sizes])


def nics_are(*names):
    return devices("POST cloudvm/vnic/search", "vnic.name", list(names))


def backups_are(*wanted):
    """Of the VM that has them: their names; each can be used."""
    def check(tenant, world, _):
        reply = tenant.call("GET cloudvm/backup/{vmId}", {"vmId": world.running})
        assert reply.ok or reply.code == "VM_NOT_FOUND"
        rows = reply.data if reply.ok else []
        assert all(row["backup.enable"] == "true" for row in rows)
        return [row["backup.name"] for row in rows] == list(wanted)
    return check


def holds_again(text):
    """All its disks hold this, and it runs."""
    def check(tenant, world, vm):
        host = SimHost(tenant.server)
        texts = {host.contents.get(disk) for disk in host.agrees(tenant, vm).definition.disks.values()}
        return texts == {text} and state_is("1")(tenant, world, vm)
    return check


def gone_with_backups(tenant, world, vm):
    return gone(tenant, world, vm) and backups_are()(tenant, world, vm)


def snapshots_are(*wanted):
    """(name, parent) of each, and the last of them is current."""
    def check(tenant, world, vm):
        rows = tenant.ok("GET cloudvm/snapshot/{vmId}", {"vmId": vm}).data
        names = {row["snapshot.id"]: row["snapshot.name"] for row in rows}
        assert all(row["snapshot.enable"] == "true" for row in rows)
        assert [row["snapshot.name"] for row in rows if row["snapshot.current"] == "true"] in ([], [name for name, _ in wanted[-1:]])
        return [(row["snapshot.name"], names.get(row["snapshot.parent"], "")) for row in rows] == list(wanted)
    return check


def is_back_at(text):
    """Disk and memory are as they were, and the guest runs."""
    def check(tenant, world, vm):
        host = SimHost(tenant.server)
        return (host.contents[world.past_disk], host.domains[vm].words, tenant.show(vm)["vm.state"]) == \
            (text, text, "1")
    return check


def password_is(wanted):
    return lambda tenant, world, vm: SimHost(tenant.server).domains[vm].knows("root", wanted)


def vnc_is(wanted):
    return lambda tenant, world, vm: SimHost(tenant.server).domains[vm].vnc == vnc_mark(vm, wanted)


def an_empty_vpc(server, world):
    world.empty_vpc = client(server, world).vpc()


def vpc_is_gone(tenant, world, vpc):
    assert vpc == world.empty_vpc
    return [row["vpc.id"] for row in tenant.ok("POST cloudnetwork/vpc/search").data] == [world.vpc]


def a_storage(server, world):
    server.tellable.add(server.data)  # where its image directory is: administrators are told
    world.storage = server.admin.ok("POST cloudstorage/search").data[0]["storage.id"]


def a_host(server, world):
    world.host = server.admin.ok("POST cloudhost/search").data[0]["host.id"]


def host_is_mended(tenant, world, host):
    (row,) = tenant.server.admin.ok("POST cloudhost/search", {"host.id": host}).data
    return row["host.ismending"] == "true"


def storage_is_there(tenant, world, storage):
    (row,) = tenant.server.admin.ok("POST cloudstorage/search", {"storage.id": storage}).data
    return int(row["storage.size"]) > 0


def hears(tenant, world, vm):
    """The agent does: it takes a password."""
    tenant.run("POST cloudvm/setadminpwd", {"vm.id": vm, "pwd": "after"})
    return password_is("after")(tenant, world, vm)


def stands_alone(tenant, world, vm):
    """Its template can be deleted; the VM starts without it."""
    tenant.server.admin.run("DELETE cloudtemplate/{templateId}", {"templateId": world.template})
    tenant.run("PUT cloudvm/destroy", {"vm.id": vm})
    tenant.run("PUT cloudvm/start", {"vm.id": vm})
    return True


def made_of_it(wanted):
    """The template made of the VM, and no file left of its making."""
    def check(tenant, world, vm):
        assert not os.path.exists(tenant.server.data + "/copy") or os.listdir(tenant.server.data + "/copy") == []
        return [row["template.state"] for row in tenant.ok("POST cloudtemplate/search",
                                                           {"template.name": "of it"}).data] == wanted
    return check


class Story:
    """One operation: whose object, as whom it is asked for, what is so before it, what holds when it is done or
    undone. `fail`: the simulator's fault that has it undone."""

    def __init__(self, kind, op, params, holds, fail=None, undone=None, admin=False, before=None, name=""):
        self.kind, self.op, self.params, self.holds, self.name = kind, op, params, holds, name
        self.fail, self.undone, self.admin, self.before = fail, undone, admin, before
        self.steps = KINDS[kind]["steps"]

    def points(self):
        for step in self.steps:
            for when in ("before", "after", "recorded"):
                yield f"{self.kind}:{step}:{when}", None
        yield f"{self.kind}:end:before", None
        yield f"{self.kind}:end:after", None
        for step in KINDS[self.kind]["undo"] if self.fail else ():
            for when in ("undo-before", "undo-after"):
                yield f"{self.kind}:{step}:{when}", self.fail


def of(name, **more):
    return lambda world: {"vm.id": getattr(world, name), **{k.replace("_", "."): v for k, v in more.items()}}


STORIES = [
    Story("vm.install", "POST cloudvm/create", lambda w: {**w.order, "vm.account.pwd": "told once"},
          password_is("told once"), "start:1", state_is("-2")),
    Story("vm.create", "POST cloudvm/create", lambda w: {**w.clone, "vm.account.pwd": "told once"},
          password_is("told once"), "start:1", state_is("-2")),
    Story("vm.create", "POST cloudvm/create", lambda w: {**w.clone, "vm.account.pwd": "x", "vm.clone": "full"},
          stands_alone, "start:1", state_is("-2"), name="-full"),
    Story("vm.start", "PUT cloudvm/start", of("stopped"), state_is("1")),
    Story("vm.destroy", "PUT cloudvm/destroy", of("running"), state_is("0")),
    Story("vm.shutdown", "PUT cloudvm/shutdown", of("running"), state_is("0")),
    Story("vm.restart", "PUT cloudvm/restart", of("running"), state_is("1")),
    Story("vm.suspend", "PUT cloudvm/suspend", of("running"), state_is("2")),
    Story("vm.resume", "PUT cloudvm/resume", of("paused"), state_is("1")),
    Story("vm.vcpus", "PUT cloudvm/cpu/modify", of("running", vm_vcpu_num=4), size_is("vm.vcpu.num", "4"),
          "define:1", size_is("vm.vcpu.num", "2")),
    Story("vm.vcpus", "PUT cloudvm/cpu/modify", of("running", vm_vcpu_num=1), size_is("vm.vcpu.num", "1"),
          name="-down"),
    Story("vm.memory", "PUT cloudvm/mem/modify", of("running", vm_memory_mem=128), size_is("vm.memory.mem", "128"),
          "define:1", size_is("vm.memory.mem", "64")),
    Story("vm.memory", "PUT cloudvm/mem/modify", of("stopped", vm_memory_mem=32), size_is("vm.memory.mem", "32"),
          name="-down"),
    Story("vm.delete", "DELETE cloudvm/{vmId}", lambda w: {"vmId": w.running}, gone),
    Story("disk.add", "POST cloudvm/vdisk/add", lambda w: {"vdisk.vmid": w.running, "vdisk.size": 3},
          disks_are(1, 2, 3), "disk_attach:1", disks_are(1, 2)),
    Story("disk.remove", "DELETE cloudvm/vdisk/{vdiskId}", lambda w: {"vdiskId": w.disk}, disks_are(1)),
    Story("disk.extend", "PUT cloudvm/vdisk/extend", lambda w: {"vdisk.id": w.disk, "vdisk.size": 5},
          disks_are(1, 5)),
    Story("snapshot.create", "POST cloudvm/snapshot/create",
          lambda w: {"snapshot.vmid": w.running, "snapshot.name": "new"}, snapshots_are(("new", "")),
          "snapshot_create:1", snapshots_are()),
    Story("snapshot.restore", "PUT cloudvm/snapshot/restore", lambda w: {"snapshot.id": w.pasts[0]},
          is_back_at("one")),
    Story("snapshot.delete", "DELETE cloudvm/snapshot/{snapshotId}", lambda w: {"snapshotId": w.pasts[0]},
          snapshots_are(("two", ""))),
    Story("vm.delete", "DELETE cloudvm/{vmId}", lambda w: {"vmId": w.paused}, gone, name="-snapshots"),
    Story("vm.delete", "DELETE cloudvm/{vmId}?backups=delete", lambda w: {"vmId": w.running}, gone_with_backups,
          name="-backups"),
    Story("backup.create", "POST cloudvm/backup/create", lambda w: {"backup.vmid": w.running, "backup.name": "new"},
          backups_are("kept", "new"), "copy_out:1", backups_are("kept")),
    Story("backup.restore", "PUT cloudvm/backup/restore", lambda w: {"backup.id": w.backup}, holds_again("kept"),
          "copy_in:1", holds_again("lost")),
    Story("backup.delete", "DELETE cloudvm/backup/{backupId}", lambda w: {"backupId": w.backup}, backups_are()),
    Story("vm.clone", "POST cloudvm/backup/clone", lambda w: {"backup.id": w.backup}, holds_again("kept"), "start:1",
          state_is("-2")),
    Story("nic.add", "POST cloudvm/vnic/add", lambda w: {"vnic.vmid": w.running, "vnic.portgroupid": w.vpc},
          nics_are("eth0", "eth1", "eth2"), "nic_attach:1", nics_are("eth0", "eth1")),
    Story("nic.remove", "DELETE cloudvm/vnic/{vnicId}", lambda w: {"vnicId": w.nic}, nics_are("eth0")),
    Story("vm.password", "POST cloudvm/setadminpwd", of("running", pwd="told once"), password_is("told once")),
    Story("vm.vnc", "POST cloudvm/editvncpwd", of("running", vm_vncpasswd="screen"), vnc_is("screen"),
          fail="set_vnc_password:1", undone=lambda *there: not vnc_is("screen")(*there)),
    Story("vpc.delete", "POST cloudnetwork/vpc/delete", lambda w: {"vpc.id": w.empty_vpc}, vpc_is_gone,
          before=an_empty_vpc),
    Story("storage.refresh", "PUT cloudstorage/refresh", lambda w: {"storage.id": w.storage}, storage_is_there,
          admin=True, before=a_storage),
    Story("host.maintenance", "PUT cloudhost/mending", lambda w: {"host.id": w.host, "host.ismending": True},
          host_is_mended, admin=True, before=a_host),
    Story("vm.agent", "POST cloudvm/resumeCloudAgent", of("running"), hears,
          before=lambda server, w: server.control(f"agent={w.running}:0")),
    Story("template.import", "POST cloudtemplate/import",
          lambda w: {"template.name": "new", "template.path": w.image}, template_is(["ready"]), "template_put:1",
          template_is(["failed"]), admin=True),
    Story("template.create", "POST cloudtemplate/create", lambda w: {"vm.id": w.running, "template.name": "of it"},
          made_of_it(["ready"]), "template_put:1", made_of_it(["failed"])),
    Story("template.delete", "DELETE cloudtemplate/{templateId}", lambda w: {"templateId": w.spare}, template_is([]),
          admin=True),
]
BY_KIND = {story.kind: story for story in reversed(STORIES)}


def cases():
    for story in STORIES:
        for point, fail in story.points():
            yield pytest.param(story, point, fail, id=point + story.name)


def client(server, world):
    found = Client(server, world.token)
    found.id = world.tenant
    return found


def asks(server, world, story):
    """Asks, and hears the answer or not: the server may be dead before it is out."""
    who = server.admin if story.admin else client(server, world)
    try:
        reply = who.ok(story.op, story.params(world))
    except (http.client.HTTPException, OSError):
        return None
    if "jobstartid" in str(reply.data):
        return reply.data[0]["jobstartid"]
    return reply.body.get("startid")  # none where the answer is that the job is done


def heal(server, startid, fault):
    """An undo that is to succeed needs the host to work again; the server may be dead before it hears of it."""
    with contextlib.suppress(http.client.HTTPException, OSError):
        server.admin.wait_line(startid, "undoing")
        server.control("fail=" + fault.split(":")[0] + ":0")


def asks_while_it_heals(server, world, story, fault):
    asking = threading.Thread(target=asks, args=(server, world, story))
    asking.start()
    with contextlib.suppress(IndexError):  # it is gone before it was looked at
        wait_until(lambda: not server.running or server.open_jobs(), "the job is accepted")
        heal(server, server.open_jobs()[0][0], fault)
    asking.join()


@pytest.mark.parametrize("story,point,fail", cases())
def test_a_crash_there(world, cloud, story, point, fail):
    cloud.crash_point = point
    cloud.start()
    if fail:
        cloud.control("fail=" + fail)
    if story.before:
        story.before(cloud, world)
    if point.endswith("undo-after") and story.kind == "vm.vnc":  # its answer waits for the undo, which is to succeed
        told = asks_while_it_heals(cloud, world, story, fail)
    else:
        told = asks(cloud, world, story)
        if point.endswith("undo-after") and told:
            heal(cloud, told, fail)
    cloud.crashed()
    cloud.crash_point = None
    cloud.start()
    startid = cloud.newest_job()["startid"]
    assert told in (None, startid)
    job = cloud.admin.follow(startid)
    assert job.result == ("1" if fail else "0"), job.info + "\n" + "\n".join(job.lines)
    tenant = client(cloud, world)
    assert (story.undone if fail else story.holds)(tenant, world, job["job.objid"])
    assert [line["log.serial"] for line in job["job.logs"]] == [str(i + 1) for i in range(len(job.lines))]
    hosts_agree(cloud, tenant)
    no_files_left(cloud, tenant, world)
    if job["job.objid"] == world.running and not gone(tenant, world, world.running):
        tenant.run("PUT cloudvm/destroy", {"vm.id": world.running})  # the lock is free


def hosts_agree(cloud, tenant):
    """Each VM has on its host the disks and NICs that the API lists, and the host has no more VMs and volumes."""
    host = SimHost(cloud)
    vms = [row["vm.id"] for row in tenant.ok("POST cloudvm/search").data if row["vm.state"] != "-2"]
    assert set(host.domains) == set(vms)
    have = [set(host.agrees(tenant, vm).definition.disks.values()) for vm in vms]
    assert {volume for volume in host.volumes} == set().union(*have)
    assert not any(domain.flags & COPYING for domain in host.domains.values())


def no_files_left(cloud, tenant, world):
    """Of backups: what rows know, and nothing else."""
    reply = tenant.call("GET cloudvm/backup/{vmId}", {"vmId": world.running})
    known = {row["backup.id"] for row in reply.data} if reply.ok else set()
    assert set(os.listdir(os.path.join(cloud.data, "backups"))) == known


ELSEWHERE = dict.fromkeys(("storage.add", "storage.remove", "disk.pv", "disk.pv_remove", "disk.pv_extend"),
                         "test_storage.py")  # kind: the file in this directory that has its points
ELSEWHERE.update(dict.fromkeys(("network.create", "network.delete"), "test_kvm_platform.py"))
ELSEWHERE.update(dict.fromkeys(("router.create", "router.delete"), "test_router.py"))
ELSEWHERE["template.discard"] = "test_templates.py"


def test_every_step_of_every_kind_is_in_the_stories():
    """Of undoing, too: at least one story of a kind that can be undone fails."""
    told = set(BY_KIND)
    for kind, name in ELSEWHERE.items():
        with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as f:
            text = f.read()
        assert all(f'"{word}"' in text for word in [kind, *KINDS[kind]["steps"]]), kind
        told.add(kind)
    assert told == set(KINDS)
    can_be_undone = {kind for kind in BY_KIND if KINDS[kind]["undo"]}
    assert {story.kind for story in STORIES if story.fail} == can_be_undone


# ---------------------------------------------------------------------------------- without taking jobs up again
@pytest.mark.parametrize("story", [BY_KIND[kind] for kind in (
    "vm.install", "vm.start", "vm.vcpus", "disk.add", "nic.add", "template.import", "snapshot.create",
    "backup.create", "backup.restore", "vm.clone")],
                         ids=lambda s: s.kind)
def test_running_jobs_are_undone_where_that_is_asked_for(world, cloud, story):
    cloud.options = ["--jobs.requeue=false"]
    cloud.crash_point = f"{story.kind}:{story.steps[0]}:recorded"
    cloud.start()
    job = cloud.admin.follow(cloud.through_crash(lambda: asks(cloud, world, story))["startid"])
    assert job.result == "6" and "restart" in job.info
    if story.undone:
        assert story.undone(client(cloud, world), world, job["job.objid"])
    assert any("aborted" in line for line in job.lines)


def test_waiting_jobs_are_lost_where_that_is_asked_for(world, cloud):
    cloud.options = ["--jobs.requeue=false", "--jobs.slots_per_host", "1"]
    cloud.start()
    cloud.control("hang=1")
    tenant = client(cloud, world)
    made = tenant.ok("POST cloudvm/create", {**world.order, "vm.num": 4, "vm.vcpu.num": 1, "vm.memory.mem": 64}).data
    tenant.wait_line(made[0]["jobstartid"], "prepare disks")
    cloud.kill()
    cloud.start()
    jobs = [tenant.follow(row["jobstartid"]) for row in made]
    assert [job.result for job in jobs] == ["6", "4", "4", "4"]
    assert "lost" in jobs[1].info and [tenant.show(row["vm.id"])["vm.state"] for row in made] == ["-2"] * 4
    for row in made:
        tenant.run("DELETE cloudvm/{vmId}", {"vmId": row["vm.id"]})


def test_waiting_jobs_run_after_a_crash_in_their_order(world, cloud):
    cloud.options = ["--jobs.slots_per_host", "1"]
    cloud.start()
    cloud.control("hang=1")
    tenant = client(cloud, world)
    made = tenant.ok("POST cloudvm/create", {**world.order, "vm.num": 4, "vm.vcpu.num": 1, "vm.memory.mem": 64}).data
    tenant.wait_line(made[0]["jobstartid"], "prepare disks")
    cloud.kill()
    cloud.start()
    jobs = [tenant.done(row["jobstartid"]) for row in made]
    assert any("resumed at step" in line for line in jobs[0].lines)
    assert [job["job.starttime"] for job in jobs] == sorted(job["job.starttime"] for job in jobs)


def test_a_crash_in_a_crashs_recovery(world, cloud):
    """Three times in a row, each a step further."""
    cloud.crash_point = "vm.install:disks:after"
    cloud.start()
    asks(cloud, world, STORIES[0])
    cloud.crashed()
    for point in ("vm.install:disks:before", "vm.install:network:recorded", "vm.install:start:after"):
        cloud.crash_point = point
        cloud.hosts = 0  # it may be gone before its host is known
        try:
            cloud.start()
        except (RuntimeError, OSError, http.client.HTTPException):
            pass
        if cloud.process:
            cloud.crashed()
    cloud.crash_point = None
    cloud.hosts = 1
    cloud.start()
    assert cloud.admin.follow(cloud.newest_job()["startid"]).result == "0"


# ------------------------------------------------------------------------------------------- at random, under load
class Load:
    """Clients that do anything, and remember what they were told."""

    def __init__(self, server, world, seed):
        self.server, self.world = server, world
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.startids, self.vms, self.acks = [], set(), 0
        self.enough = threading.Event()

    def act(self, who, rng):
        with self.lock:
            vms = sorted(self.vms)
        vm = rng.choice(vms) if vms else None
        what = rng.choice(["create", "create", "delete", "start", "destroy", "suspend", "resume", "cpu", "mem",
                           "cancel"])
        if what == "create" or not vm:
            order = rng.choice([self.world.order, self.world.clone])
            for row in who.ok("POST cloudvm/create",
                              {**order, "vm.vcpu.num": 1, "vm.memory.mem": 64, "vm.num": rng.randint(1, 3)}).data:
                with self.lock:
                    self.vms.add(row["vm.id"])
                    self.startids.append(row["jobstartid"])
            return
        if what == "cancel":
            with self.lock:
                startid = rng.choice(self.startids)
            who.ok("PUT joblog/cancel", {"startid": startid})
            return
        if what == "delete":
            with self.lock:
                self.vms.discard(vm)  # its answer may be lost
            reply = who.ok("DELETE cloudvm/{vmId}", {"vmId": vm})
        elif what in ("cpu", "mem"):
            size = {"vm.vcpu.num": rng.randint(1, 3)} if what == "cpu" else {"vm.memory.mem": rng.randint(32, 128)}
            reply = who.ok(f"PUT cloudvm/{what}/modify", {"vm.id": vm, **size})
        else:
            reply = who.ok(f"PUT cloudvm/{what}", {"vm.id": vm})
        with self.lock:
            self.startids.append(reply.startid)

    def work(self, seed, until):
        rng = random.Random(seed)
        who = client(self.server, self.world)
        while not self.enough.is_set():
            try:
                self.act(who, rng)
            except Refused as refusal:
                assert refusal.reply.code in ("VM_STATE", "VM_LOCKED", "VM_NOT_FOUND", "QUOTA_VCPUS", "QUOTA_MEMORY",
                                              "QUOTA_STORAGE",
                                              "JOB_TOO_LATE"), refusal
            except (http.client.HTTPException, OSError):
                return
            with self.lock:
                self.acks += 1
                if self.acks >= until:
                    self.enough.set()

    def run(self, until):
        """Eight at a time, until so many answers; the caller's next act is theirs to suffer."""
        self.enough.clear()
        self.acks = 0
        workers = [threading.Thread(target=self.work, args=(self.random.random(), until)) for _ in range(8)]
        for worker in workers:
            worker.start()
        self.enough.wait(120)
        return workers


@pytest.mark.race
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kills_at_random_under_load(world, cloud, seed):
    cloud.start()
    load = Load(cloud, world, seed)
    for turn in range(4):
        workers = load.run(load.random.randint(20, 120))
        cloud.kill()
        for worker in workers:
            worker.join()
        assert cloud.fsck(hosts=False) == "", f"turn {turn}"
        cloud.start()
    for worker in load.run(60):
        worker.join()
    tenant = client(cloud, world)
    for startid in load.startids:
        assert tenant.follow(startid).result in ENDED - {"4", "6"}
    shown = tenant.ok("POST cloudvm/search").data
    assert load.vms <= {row["vm.id"] for row in shown}, "what was acknowledged is there"
    cloud.restart()
    assert tenant.ok("POST cloudvm/search").data == shown, "the rows say what the host does"


@pytest.mark.race
def test_faults_at_random_under_load(world, cloud):
    """The same with a hypervisor that fails at times, to the end of all jobs."""
    cloud.start()
    for fault in ("start:0.1", "define:0.05", "volume_create:0.05", "destroy:0.05", "set_vcpus:0.3"):
        cloud.control("fail=" + fault)
    load = Load(cloud, world, 3)
    for worker in load.run(250):
        worker.join()
    for fault in ("start:0", "define:0", "volume_create:0", "destroy:0", "set_vcpus:0"):
        cloud.control("fail=" + fault)
    tenant = client(cloud, world)
    results = {tenant.follow(startid, 120).result for startid in load.startids}
    assert results >= {"0", "1"} and results <= {"0", "1", "7"}
    cloud.expect("event=job.undo")
    since = cloud.admin.last_event()
    shown = tenant.ok("POST cloudvm/search").data
    cloud.restart()
    changed = [e for e in tenant.events(since) if e["event.objtype"] == "vm"]
    assert (changed, tenant.ok("POST cloudvm/search").data) == ([], shown), "the rows say what the host does"
