"""A libvirtd that stands still (SIGSTOP) again and again under load: 14 clients and 6 guests on one server.
test_stops.py runs few rounds around the keep-alive limit, bench/stops many of all lengths."""
import contextlib
import os
import random
import signal
import threading
import time

from conftest import RealServer
from sandbox import SLOW, Sandbox
from starvirt import unique

CLIENTS, GUESTS, HV_THREADS = 14, 6, 16
LIMIT = 20   # [s] after which keep-alive (5 s, 3 times) takes a libvirtd for hung
TOLD = 25    # [s] within which the loss must be told
BACK = 5     # [s] after SIGCONT within which a call must have been answered
PATIENCE = 60  # [s] after which a round is given up


class Round:
    def __init__(self, length):
        self.length = length
        self.told = self.back = None  # [s]; None: not at all
        self.crashed = False

    def faults(self):
        found = ["the server crashed"] if self.crashed else []
        if not self.crashed and self.length > TOLD and (self.told is None or self.told > TOLD):
            found.append(f"loss told after {self.told}")
        if not self.crashed and (self.back is None or self.back > BACK):
            found.append(f"back after {self.back}")
        return [f"stop of {self.length:.1f} s: {what}" for what in found]


class Field:
    """One sandbox, its server, six guests that need no disk to be busy, and the clients that keep it so."""

    def __init__(self, folder, daemon_options=()):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.sandbox = Sandbox(folder)
        self.server = RealServer(os.path.join(folder, "data"), self.sandbox,
                                 ["--hv.threads", str(HV_THREADS), "--log.level", "info", *daemon_options])
        self.over = threading.Event()
        self.answers = 0
        self.clients = []

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def begin(self):
        self.server.start().wait_connected()
        admin = self.server.admin
        self.tenant = admin.tenant(cpu=32, memory=16384, storage=400, portgroup=20, outerip=0)
        params = {"vnic.portgroupid": self.tenant.vpc(), "vm.tenant.model": admin.model(), "vm.memory.mem": 64}
        made = self.tenant.create(**params, **{"vm.num": GUESTS + 1, "vm.name": unique("busy")}).data
        for row in made:
            self.tenant.done(row["jobstartid"], SLOW)
        self.guests = [row["vm.id"] for row in made[1:]]
        self.quiet = made[0]["vm.id"]  # nobody else's: what the field asks about to see that the host is back
        self.clients = [threading.Thread(target=self.client, args=(i,), daemon=True) for i in range(CLIENTS)]
        for client in self.clients:
            client.start()

    def __exit__(self, *error):
        self.over.set()
        for client in self.clients:
            client.join(PATIENCE)
        with contextlib.suppress(Exception):
            os.kill(self.sandbox.libvirtd(), signal.SIGCONT)
        try:
            if self.server.running:
                self.server.stop()
        finally:
            self.sandbox.close()

    def client(self, seed):
        """Calls that reach the hypervisor, without an end; refusals are expected, of most of them."""
        pick = random.Random(seed)
        while not self.over.is_set():
            vm = pick.choice(self.guests)
            try:
                kind = pick.randrange(3)
                if kind:
                    verb = "suspend" if kind == 1 else "resume"
                    reply = self.tenant.call(f"PUT cloudvm/{verb}", {"vm.id": vm})
                    if reply.ok:
                        self.tenant.follow(reply.startid, SLOW)
                else:
                    reply = self.tenant.call("POST cloudvm/setvncpwd", {"vm.id": vm})
                self.answers += reply.ok
                self.over.wait(0.01 if reply.ok else 0.05)
            except Exception:  # the server is gone: the round says so
                self.over.wait(0.2)

    # --- a round ---
    def lost(self, since):  # asked of the database: no client is needed for it
        rows = self.server._query(f"SELECT count(*) FROM event WHERE seq > {since} AND type = 'host.lost'", [(0,)])
        return rows[0][0] > 0

    def last_event(self):
        return self.server._query("SELECT coalesce(max(seq), 0) FROM event", [(0,)])[0][0]

    def answered(self):
        with contextlib.suppress(Exception):
            return self.server.admin.call("POST cloudvm/setvncpwd", {"vm.id": self.quiet}).ok
        return False

    def watch(self, until, ready):
        """Seconds until ready(); None when it was not by `until`, or the server is gone."""
        began = time.monotonic()
        while self.server.running and time.monotonic() < until:
            if ready():
                return time.monotonic() - began
            time.sleep(0.05)
        return None

    def round(self, length):
        """One stop of `length` seconds. After a crash the server is started again."""
        this = Round(length)
        since, pid = self.last_event(), self.sandbox.libvirtd()
        began = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:
            this.told = self.watch(began + length, lambda: self.lost(since))
            while self.server.running and time.monotonic() < began + length:
                time.sleep(0.02)
        finally:
            os.kill(pid, signal.SIGCONT)
        this.back = self.watch(time.monotonic() + PATIENCE, self.answered)
        this.crashed = not self.server.running
        if this.crashed:
            self.server.kill()
            self.server.start().wait_connected()
        # Load is what the next stop is to fall into.
        seen = self.answers
        self.watch(time.monotonic() + PATIENCE, lambda: self.answers > seen + CLIENTS)
        return this
