"""Tenants that do anything, a server that is killed at any moment, a disk that is full at times: what test_kills.py
and scripts/kills are made of. Knows no pytest.

What each worker has been told is compared with what the API lists, what hosts and directories hold and what
`starvirt fsck` says."""
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import traceback

from images import qcow2_bytes
from simhost import COPYING, SimHost
from smalldisk import SmallDisk
from daemon import Server
from starvirt import Client
from worker import STUCK, Gate, Worker, Wrong

MIB = 96  # the size of the disk
# A refusal that is right when a host fails, a disk is full or a guest is in another state than was thought.
EXPECTED = {"VM_STATE", "VM_LOCKED", "UNDO_PENDING", "QUOTA_STORAGE", "QUOTA_IMAGES", "QUOTA_VCPUS", "QUOTA_MEMORY",
            "DISK_IS_BOOT", "DISK_IN_SNAPSHOT", "DISK_SHRINK", "DISK_LIMIT", "NIC_LIMIT", "BACKUP_DISKS", "BACKUP_LOCKED", "SNAPSHOT_LIMIT"}
JOB_ERRORS = {"HYPERVISOR", "STORAGE", "STORAGE_FULL", "NO_ROOM", "HOST_TIMEOUT", "SNAPSHOT_HOLDS", "UNSUPPORTED"}
FAULTS = ("start", "define", "volume_create", "disk_attach", "disk_detach", "nic_attach", "nic_detach", "copy_out",
          "snapshot_create", "set_vcpus")


def small_server(folder, disk):
    """Its directory is on that disk; what its simulated hosts keep is not, as with real ones."""
    data, hosts = os.path.join(disk.path, "data"), os.path.join(folder, "hosts")
    for path in (data, hosts):
        os.mkdir(path, 0o700)
    os.symlink(hosts, os.path.join(data, "sim"))
    server = Server(data, connect="sim://?control=1")
    server.sick = None  # it is full at times
    server.expect("event=db.outage", 'result="DISK_FULL"')
    return server


class Storm:
    """`report` is told how far it is, a line at a time."""

    def __init__(self, server, seed, workers=8, disk=None, report=lambda line: None):
        self.server, self.disk, self.report = server, disk, report
        self.rng = random.Random(seed)
        self.gate = Gate()
        self.kills = self.early = self.fills = self.checks = 0
        self.refusals, self.broken = {}, []
        self.resting, self.rested = threading.Condition(), 0
        self.calm = False
        self.room = threading.Lock()  # held while the disk is full, and by who needs room on it
        server.expect('event=request .*result="(HYPERVISOR|STORAGE|STORAGE_FULL|HOST_DOWN)"')  # where the answer is the job's end
        for fault in FAULTS:
            server.connect[0] += f"&fail={fault}:0.03"
        server.start()
        self.admin = Client(server, server.admin.token)
        self.gate.set(open=True)
        self.model = server.admin.model(size=1)
        self.template = server.admin.template(self.image())
        server.hosts = 0  # whoever comes before they are ready is told to come again
        self.workers = [Worker(self, f"{seed}.{n}") for n in range(workers)]

    def image(self):
        path = self.server.data + ".image"
        with open(path, "wb") as f:
            f.write(qcow2_bytes())
        return path

    # --- what workers say ---
    def refused(self, op, params, reply):
        self.refusals[reply.code] = self.refusals.get(reply.code, 0) + 1
        if reply.code not in EXPECTED and reply.code not in JOB_ERRORS:
            raise Wrong(f"{op} {params}: {reply!r}")

    def failed(self, worker):
        self.broken.append(worker)
        self.gate.set()
        with self.resting:
            self.resting.notify_all()

    def rest(self):
        """Between two deeds: all wait while the storm looks at what there is."""
        with self.resting:
            if self.calm:
                self.rested += 1
                self.resting.notify_all()
                self.resting.wait_for(lambda: not self.calm)
                self.rested -= 1

    # --- kills and full disks ---
    def run(self, kills, each=100):
        """So many kills; a look at everything after each hundred and at the end."""
        for worker in self.workers:
            worker.start()
        filler = threading.Thread(target=self.fill_at_times) if self.disk else None
        if filler:
            filler.start()
        try:
            while self.kills < kills and not self.broken:
                self.kill()
                if self.kills >= min(kills, each * (self.checks + 1)):
                    self.look()
        finally:
            self.gate.set(over=True)
            self.wake()
            if filler:
                filler.join()
            for worker in self.workers:
                worker.join()
        for worker in self.broken:
            raise worker.wrong

    def kill(self):
        """At any moment: of the load, and one in five of the next start."""
        self.wait(self.rng.uniform(0, 0.5))
        self.gate.set(open=False)
        self.server.kill()
        self.kills += 1
        if self.rng.random() < 0.2:
            self.server.launch()
            self.wait(self.rng.uniform(0, 0.15))
            self.server.kill()
            self.kills += 1
            self.early += 1
        if self.rng.random() < 0.1:
            self.sound()
        self.server.start()
        self.gate.set(open=True)

    def wait(self, seconds):
        """The moment is what is tried."""
        with self.gate.changed:
            self.gate.changed.wait_for(lambda: self.broken, seconds)

    def sound(self):
        with self.room:
            breaches = self.server.fsck(hosts=False)
        if breaches:
            raise Wrong(f"after {self.kills} kills: {breaches}")

    def fill_at_times(self):
        rng = random.Random(self.rng.random())
        while not self.gate.over:
            self.wait(rng.uniform(0.5, 4))
            with self.room:
                if not self.calm:
                    self.disk.fill(rng.choice([0, 0, 4, 64]))
                    self.fills += 1
                    self.wait(rng.uniform(0.05, 2))
                self.disk.free()

    # --- looking at it ---
    def wake(self):
        with self.resting:
            self.calm = False
            self.resting.notify_all()

    def look(self):
        """Everybody has what they were told, nobody has more, and no job is open."""
        with self.resting:
            self.calm = True
            if not self.resting.wait_for(lambda: self.broken or self.rested == len(self.workers), 2 * STUCK):
                raise Wrong(f"stuck: {self.rested} of {len(self.workers)} tenants came to an end")
        with self.room:
            pass  # from here on there is some: calm
        if not self.broken:
            self.settle()
            for worker in self.workers:
                worker.check()
            self.hosts_agree()
            self.sound()
            self.checks += 1
            self.report(self.summary())
        self.wake()

    def settle(self):
        """Jobs that nobody asked for end in time, and so does what undos left, once no guest stands still."""
        for worker in self.workers:
            worker.wake_guests()
        end = time.monotonic() + STUCK
        while left := self.server.open_jobs() + self.server.pending_undos():
            if time.monotonic() > end:
                raise Wrong(f"stuck: {left}")
            self.gate.pause(0.1)

    def hosts_agree(self):
        """Hosts and directories hold what is listed and nothing else."""
        host = SimHost(self.server)
        volumes = set()
        for worker in self.workers:
            for vm in worker.vms:
                volumes |= set(host.agrees(worker.who, vm, worker.half).definition.disks.values())
        vms = {vm for worker in self.workers for vm in worker.vms}
        Worker.same("domains", vms, set(host.domains))
        Worker.same("volumes", volumes, set(host.volumes))
        Worker.same("backups", {backup for worker in self.workers for has in worker.vms.values() for backup in has.backups}
                    | {backup for worker in self.workers for backup in worker.orphans}, self.files("backups"))
        for empty in ("upload", "copy"):
            Worker.same(f"files in {empty}", set(), self.files(empty))
        if any(domain.flags & COPYING for domain in host.domains.values()):
            raise Wrong("a host still copies")

    def files(self, folder):
        path = os.path.join(self.server.data, folder)
        return {name for name in os.listdir(path) if not name.startswith(".")} if os.path.isdir(path) else set()

    def summary(self):
        deeds, had = {}, {}
        for worker in self.workers:
            for total, part in ((deeds, worker.deeds), (had, worker.had)):
                for name, n in part.items():
                    total[name] = total.get(name, 0) + n
        return (f"{self.kills} kills ({self.early} of them while it started), {self.fills} times full, {self.checks} looks; "
                f"{sum(deeds.values())} deeds, jobs done {had.get('0', 0)}, failed {had.get('1', 0)}, cancelled "
                f"{had.get('7', 0)}, requests sent again {sum(w.repeats for w in self.workers)}, refused "
                f"{sum(self.refusals.values())}")


def main(kills, seed="1", full=True):
    with tempfile.TemporaryDirectory(prefix="starvirt-kills.") as folder, SmallDisk(folder + "/disk", MIB) as disk:
        server = small_server(folder, disk)
        begun = time.monotonic()
        storm = Storm(server, seed=int(seed), disk=disk if full else None, report=lambda line: print(line, flush=True))
        try:
            storm.run(int(kills))
            complaints = server.finish()
        except Exception as wrong:
            complaints = ["".join(traceback.format_exception(wrong))]
        finally:
            if server.process:
                server.kill()
        if complaints:
            disk.free()
            keep(server)
    print("\n".join([storm.summary() + f", {time.monotonic() - begun:.0f} s", *complaints]))
    return 1 if complaints else 0


def keep(server):
    """For looking at it."""
    shutil.copy(server.stderr, "kills.log")
    shutil.copytree(server.data, "kills.data", dirs_exist_ok=True, ignore=shutil.ignore_patterns("control"))


if __name__ == "__main__":
    sys.exit(main(*[word for word in sys.argv[1:] if word != "--room"], full="--room" not in sys.argv))
