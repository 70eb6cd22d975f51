"""A tenant who does anything, one thing at a time, so that it knows what it has: what storm.py sets loose.

Each request has an Idempotency-Key and is repeated, whatever happens to server and disk, until it is answered; each job
is followed to its end."""
import contextlib
import http.client
import random
import threading
import time

from images import qcow2_bytes
from starvirt import OPEN, unique

STUCK = 60  # [s] the longest that anything accepted may take
PAUSED, FAILED = "2", "-2"  # states of VMs
GONE = (http.client.HTTPException, OSError)


class Wrong(AssertionError):
    """Something was lost, leaked, doubled or stuck."""


class EndOfStorm(Exception):
    pass


class Gate:
    """The server is there, or it is not; workers wait here instead of asking a dead one."""

    def __init__(self):
        self.changed = threading.Condition()
        self.open, self.over = False, False

    def set(self, **more):
        with self.changed:
            self.__dict__.update(more)
            self.changed.notify_all()

    def wait(self, timeout=STUCK):
        """Until it is open; whether to go on."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.open or self.over, timeout):
                raise Wrong("the server did not come back")
            return self.open

    def pause(self, seconds):
        """Before the same is asked again; shorter when the server comes or goes."""
        with self.changed:
            self.changed.wait(seconds)


class Vm:
    def __init__(self, name):
        self.name, self.disks, self.nics, self.snapshots, self.backups = name, set(), set(), set(), set()


class Worker(threading.Thread):
    """One tenant. `deeds` counts what was done, `had` what became of jobs."""

    def __init__(self, storm, seed):
        super().__init__(name=f"worker {seed}")
        self.storm, self.gate, self.rng = storm, storm.gate, random.Random(seed)
        self.who = storm.admin.tenant(**{"cpu": 40, "memory": 8000, "storage": 120, "portgroup": 6})
        self.vpc = self.who.vpc()
        self.vms, self.vpcs, self.templates, self.orphans = {}, {self.vpc}, set(), set()
        self.deeds, self.had, self.repeats, self.wrong = {}, {}, 0, None
        self.half = set()  # devices of removals that were not done

    # --- asking ---
    def ask(self, op, params=None, doubled=False, **how):
        """The answer to it, from whichever life of the server; None when the storm is over before there is one."""
        headers = {"Idempotency-Key": unique("storm-" + self.name.replace(" ", "-"))}
        twin = None
        if doubled:
            twin = threading.Thread(target=self._once, args=(op, params, headers, how, found := []))
            twin.start()
        end = time.monotonic() + STUCK
        while (reply := self._once(op, params, headers, how, [])) is None or self._again(reply):
            if self.gate.over and not self.gate.open:
                return None
            if time.monotonic() > end:
                raise Wrong(f"{op} {params} had no answer in {STUCK} s, the last was {reply!r}")
            self.repeats += 1
            self.gate.pause(0.02)
        if twin:
            twin.join()
            if reply.ok and found and found[0].ok and found[0].raw != reply.raw:
                raise Wrong(f"doubled: {op} {params}: {found[0]!r} and {reply!r}")
        return reply

    def _once(self, op, params, headers, how, found):
        if not self.gate.wait():
            return None
        if callable(how.get("body")):
            how = {**how, "body": how["body"]()}
        with contextlib.suppress(*GONE):
            reply = self.who.call(op, params, headers=headers, **how)
            found.append(reply)
            return reply
        return None

    @staticmethod
    def _again(reply):
        """The server says itself what may be sent again."""
        return not reply.ok and reply.code not in ("VM_LOCKED", "UNDO_PENDING") and (
            reply.body is None or reply.body["error"]["retry"] == "safe" or reply.code == "STILL_RUNNING")

    def listed(self, op, params=None, key=None):
        reply = self.ask(op, params)
        if reply is None:
            raise EndOfStorm
        if not reply.ok:
            raise Wrong(f"{op} {params}: {reply!r}")
        return {row[key] for row in reply.data} if key else reply.data

    # --- jobs ---
    def ended(self, startid, cancel=False):
        """The job's result; it is to end in time whatever else happens."""
        if cancel:
            reply = self.ask("PUT joblog/cancel", {"startid": startid})
            if reply and not reply.ok and reply.code != "JOB_TOO_LATE":
                raise Wrong(f"cancel: {reply!r}")
        end = time.monotonic() + STUCK
        while self.gate.wait():
            with contextlib.suppress(*GONE):
                reply = self.who.call("GET joblog/{startid}", {"startid": startid}, query={"wait": 2})
                if not reply.ok and not self._again(reply):
                    raise Wrong(f"lost: job {startid}: {reply!r}")
                if reply.ok and reply.data["job.result"] not in OPEN:
                    result = reply.data["job.result"]
                    if result not in ("0", "1", "7"):
                        raise Wrong(f"job {startid} ended as {result}: {reply!r}")
                    self.had[result] = self.had.get(result, 0) + 1
                    return result
            if time.monotonic() > end:
                raise Wrong(f"stuck: job {startid} did not end in {STUCK} s: {reply!r}")
        raise EndOfStorm

    def does(self, op, params=None, cancel=0.0, **how):
        """Accepted and done: the reply. None: refused, failed or cancelled, and so without effect."""
        reply = self.ask(op, params, doubled=self.rng.random() < 0.1, **how)
        if reply is None:
            raise EndOfStorm
        if not reply.ok:
            self.storm.refused(op, params, reply)
            return None
        startid = reply.data[0]["jobstartid"] if "jobstartid" in str(reply.data) else reply.body.get("startid")
        done = not startid or self.ended(startid, self.rng.random() < cancel) == "0"
        return reply if done else None

    # --- deeds ---
    def any_vm(self):
        return self.rng.choice(sorted(self.vms)) if self.vms else None

    def create(self, _):
        """A failed one stays as a row that says so, and is deleted."""
        name = unique("storm")
        source = self.rng.choice([{"vm.tenant.model": self.storm.model}, {"vm.template.id": self.storm.template}])
        more = self.rng.choice([{}, {"vm.vdisk.num": 1, "vm.vdisk.size": 1}, {"vm.vdisk.num": 2, "vm.vdisk.size": 1}])
        reply = self.does("POST cloudvm/create", {
            "vm.name": name, "vm.vcpu.num": 1, "vm.memory.mem": 64, "vnic.portgroupid": self.vpc, **source, **more},
            cancel=0.15)
        self.bury(name)
        if reply:
            self.adopt(reply.data[0]["vm.id"], name)

    def adopt(self, vm, name):
        """What it was made with."""
        made = self.vms[vm] = Vm(name)
        made.disks = self.listed("POST cloudvm/vdisk/search", {"vdisk.vmid": vm}, "vdisk.id")
        made.nics = self.listed("POST cloudvm/vnic/search", {"vnic.vmid": vm}, "vnic.id")

    def bury(self, name):
        for row in self.listed("POST cloudvm/search", {"vm.name": name}):
            if row["vm.state"] == FAILED and not self.does("DELETE cloudvm/{vmId}", {"vmId": row["vm.id"]}):
                raise Wrong(f"a failed VM cannot be deleted: {row}")

    def delete(self, vm):
        backups = self.rng.random() < 0.5
        if self.does("DELETE cloudvm/{vmId}" + ("?backups=delete" if backups else ""), {"vmId": vm}):
            gone = self.vms.pop(vm)
            self.orphans |= set() if backups else gone.backups

    def power(self, verb):
        return lambda vm: self.does(f"PUT cloudvm/{verb}", {"vm.id": vm}, cancel=0.1)

    def vcpus(self, vm):
        self.does("PUT cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": self.rng.randint(1, 3)}, cancel=0.2)

    def memory(self, vm):
        self.does("PUT cloudvm/mem/modify", {"vm.id": vm, "vm.memory.mem": self.rng.randint(32, 128)}, cancel=0.2)

    def add_disk(self, vm):
        reply = self.does("POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": 1}, cancel=0.3)
        if reply:
            self.vms[vm].disks.add(reply.data["vdisk.id"])

    def remove_disk(self, vm):
        self.remove(self.vms[vm].disks, "DELETE cloudvm/vdisk/{vdiskId}", "vdiskId")

    def extend_disk(self, vm):
        disk = self.rng.choice(sorted(self.vms[vm].disks))
        self.does("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": self.rng.randint(2, 4)}, cancel=0.2)

    def add_nic(self, vm):
        reply = self.does("POST cloudvm/vnic/add", {"vnic.vmid": vm, "vnic.portgroupid": self.vpc})
        if reply:
            self.vms[vm].nics.add(reply.data["vnic.id"])

    def remove_nic(self, vm):
        self.remove(self.vms[vm].nics, "DELETE cloudvm/vnic/{vnicId}", "vnicId")

    def remove(self, have, op, key):
        """One that failed, also unheard, is there still and may be out of the running guest."""
        device = self.rng.choice(sorted(have)) if have else None
        if device and self.does(op, {key: device}, cancel=0.3):
            have.discard(device)
        elif device:
            self.half.add(device)

    def add_snapshot(self, vm):
        reply = self.does("POST cloudvm/snapshot/create", {"snapshot.vmid": vm, "snapshot.name": unique("s")},
                          cancel=0.2)
        if reply:
            self.vms[vm].snapshots.add(reply.data["snapshot.id"])

    def use_snapshot(self, vm):
        self.use(self.vms[vm].snapshots, "snapshot")

    def add_backup(self, vm):
        reply = self.does("POST cloudvm/backup/create", {"backup.vmid": vm, "backup.name": unique("b")}, cancel=0.2)
        if reply:
            self.vms[vm].backups.add(reply.data["backup.id"])

    def use_backup(self, vm):
        self.use(self.vms[vm].backups, "backup")

    def use(self, have, kind):
        """One of these copies is gone back to, or deleted."""
        copy = self.rng.choice(sorted(have)) if have else None
        if copy and self.rng.random() < 0.5:
            self.does(f"PUT cloudvm/{kind}/restore", {f"{kind}.id": copy})
        elif copy and self.does(f"DELETE cloudvm/{kind}/{{{kind}Id}}", {f"{kind}Id": copy}):
            have.discard(copy)

    def upload(self, _):
        """In pieces, so that some are cut short."""
        def pieces():
            data = qcow2_bytes()
            for at in range(0, len(data), 65536):
                yield data[at:at + 65536]
                self.gate.pause(0.005)

        name = unique("t")
        reply = self.does("POST cloudtemplate/upload", query={"name": name}, body=pieces,
                          type="application/octet-stream", cancel=0.2)
        self.settle_templates(name, reply)

    def make_template(self, vm):
        name = unique("t")
        reply = self.does("POST cloudtemplate/create", {"vm.id": vm, "template.name": name}, cancel=0.2)
        self.settle_templates(name, reply)

    def settle_templates(self, name, reply):
        """At most one is ready; failed ones say so and are deleted."""
        if reply:
            self.templates.add(reply.data["template.id"])
        for row in self.listed("POST cloudtemplate/search", {"template.name": name}):
            if row["template.id"] not in self.templates and \
                    not self.does("DELETE cloudtemplate/{templateId}", {"templateId": row["template.id"]}):
                raise Wrong(f"doubled, or cannot be deleted: {row}")

    def remove_template(self, _):
        if self.templates:
            template = self.rng.choice(sorted(self.templates))
            if self.does("DELETE cloudtemplate/{templateId}", {"templateId": template}):
                self.templates.discard(template)

    def change_vpcs(self, _):
        spare = sorted(self.vpcs - {self.vpc})
        if len(spare) > 2:
            if self.does("POST cloudnetwork/vpc/delete", {"vpc.id": spare[0]}):
                self.vpcs.discard(spare[0])
        elif reply := self.does("POST cloudnetwork/vpc/create", {"vpc.name": unique("v")}):
            self.vpcs.add(reply.data["vpc.id"])

    def screen(self, vm):
        self.does("POST cloudvm/editvncpwd", {"vm.id": vm, "vm.vncpasswd": unique("")[-7:]})

    def suspend_and_cancel(self, vm):
        """A device changed while the guest stands still, and the change cancelled."""
        self.does("PUT cloudvm/suspend", {"vm.id": vm})
        self.rng.choice([self.add_disk, self.remove_disk, self.remove_nic])(vm)
        self.does("PUT cloudvm/resume", {"vm.id": vm})

    def deeds_by_weight(self):
        return [(6, self.create), (3, self.delete), (3, self.power("start")), (2, self.power("destroy")),
                (1, self.power("restart")), (2, self.vcpus), (2, self.memory), (5, self.add_disk),
                (4, self.remove_disk), (2, self.extend_disk), (4, self.add_nic), (3, self.remove_nic),
                (2, self.add_snapshot), (2, self.use_snapshot), (2, self.add_backup), (2, self.use_backup),
                (3, self.upload), (1, self.make_template), (3, self.remove_template), (2, self.change_vpcs),
                (1, self.screen), (4, self.suspend_and_cancel)]

    def act(self):
        deeds = self.deeds_by_weight()
        (_, deed), = self.rng.choices(deeds, [weight for weight, _ in deeds])
        vm = self.any_vm()
        if vm is None or len(self.vms) > 6 and deed == self.create:
            deed = self.create if vm is None else self.delete
        name = getattr(deed, "__name__", "power").replace("<lambda>", "power")
        deed(vm)
        self.deeds[name] = self.deeds.get(name, 0) + 1

    def run(self):
        try:
            while not self.gate.over:
                self.storm.rest()
                self.act()
        except EndOfStorm:
            pass
        except BaseException as e:  # shown by who joins it
            self.wrong = e
            self.storm.failed(self)

    def wake_guests(self):
        for row in self.listed("POST cloudvm/search", {}):
            if row["vm.state"] == PAUSED:
                self.does("PUT cloudvm/resume", {"vm.id": row["vm.id"]})

    # --- what it should have ---
    def check(self):
        """What this tenant was told it has is what the API lists: nothing lost, nothing doubled."""
        self.same("VMs", set(self.vms), self.listed("POST cloudvm/search", {}, "vm.id"))
        self.same("VPCs", self.vpcs, self.listed("POST cloudnetwork/vpc/search", {}, "vpc.id"))
        mine = {row["template.id"] for row in self.listed("POST cloudtemplate/search", {})} - {self.storm.template}
        self.same("templates", self.templates, mine)
        for vm, has in self.vms.items():
            for what, have, op, params, key in (
                    ("disks", has.disks, "POST cloudvm/vdisk/search", {"vdisk.vmid": vm}, "vdisk.id"),
                    ("NICs", has.nics, "POST cloudvm/vnic/search", {"vnic.vmid": vm}, "vnic.id"),
                    ("snapshots", has.snapshots, "GET cloudvm/snapshot/{vmId}", {"vmId": vm}, "snapshot.id"),
                    ("backups", has.backups, "GET cloudvm/backup/{vmId}", {"vmId": vm}, "backup.id")):
                self.same(f"{what} of {vm}", have, self.listed(op, params, key))

    @staticmethod
    def same(what, told, listed):
        if told != listed:
            raise Wrong(f"{what}: lost {sorted(told - listed)}, doubled or leaked {sorted(listed - told)}")
