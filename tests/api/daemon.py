"""A starvirt server under test.

Nothing here knows pytest. Server starts one daemon on its own data directory and a free port, stops or kills it, and
says at the end what was wrong with it. It is told what differs between a simulated cloud and a real one: the URI of the
hypervisor, the network engine, a launcher to put in front (nsenter, scripts/sandbox --enter), a socket to hand over.
"""
import contextlib
import fcntl
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
import urllib.parse

from starvirt import BUILD, CLI, DAEMON, ROOT, TIMEOUT, Client, unique, wait_until

# Handed-over sockets are number 3 and name the process that may take them (sd_listen_fds(3)).
HAND_OVER = ("import os,sys;os.dup2(int(sys.argv[1]),3);"
             "os.environ.update(LISTEN_PID=str(os.getpid()),LISTEN_FDS='1');os.execvp(sys.argv[2],sys.argv[2:])")


def is_free(lock):
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# A kill or a full disk may cut a line of the log short; the next one then begins in it.
HEAD = re.compile(r"(?<=.)(?=ts=\d{4}-\d\d-\d\dT\S+Z level=)")


def lines_of(log):
    return [part for line in log.splitlines() for part in HEAD.split(line)]


SANITIZER = re.compile(r"(Address|Leak|Thread|UndefinedBehavior|Memory)Sanitizer|runtime error:|WARNING: .*Sanitizer")


def hosts_of(uri):
    """How many hosts behind it can be expected to answer."""
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(uri).query) if uri.startswith("sim:") else {}
    return int(query.get("hosts", ["1"])[0]) - len(query.get("hang", []))


class Server:
    """One daemon. Every start of it uses the same data directory and, unless told otherwise, a free port."""

    def __init__(self, data, connect="sim://", network="none", options=(), prefix=(), listen="127.0.0.1:0",
                 listen_fd=None, env=None, crash_point=None, hosts=None, tls=None, daemon=DAEMON,
                 data_option=True):
        """`hosts`: how many hypervisor hosts start() waits for; all that answer, unless told. `tls`: whom to trust.
        `data_option`: the server is told of its data directory on the command line."""
        self.data = str(data)
        self.data_option = data_option
        self.daemon = daemon
        self.connect = [connect] if isinstance(connect, str) else list(connect)
        self.network = network
        self.options = list(options)
        self.prefix = list(prefix)
        self.listen = listen
        self.listen_fd = listen_fd
        self.env = dict(env or {})
        self.crash_point = crash_point
        self.hosts = sum(map(hosts_of, self.connect)) if hosts is None else hosts
        self.tls = ssl.create_default_context(cafile=tls) if tls else None
        self.address = None
        self.said = []  # where it listens, a line a listener
        self.process = None
        self.expected = []
        self.tellable = set()
        self.ended_badly = []
        self.sick = False  # whether a start is expected to be of bad health; None: it may be
        self.stderr = self.data.rstrip("/") + ".log"
        self.admin = Client(self)

    # --- life ---
    def argv(self):
        found = list(self.prefix)
        if self.listen_fd is not None:
            found += [sys.executable, "-c", HAND_OVER, str(self.listen_fd)]
        found += [self.daemon, *(["--data", self.data] if self.data_option else []), "--listen", self.listen, "--network", self.network,
                  "--check-replies"]
        for uri in self.connect:
            found += ["--connect", uri]
        if self.crash_point:
            found += ["--crash-point", self.crash_point]
        return found + self.options

    def launch(self):
        """Begins a start that nobody waits for."""
        assert self.process is None, "is running already"
        with open(self.stderr, "ab") as log:
            self.process = subprocess.Popen(
                self.argv(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                env={**os.environ, **self.env}, pass_fds=() if self.listen_fd is None else (self.listen_fd,))

    def start(self, timeout=TIMEOUT):
        """Returns once the server serves and its hosts are known."""
        before = self._query("SELECT coalesce(max(seq), 0) FROM event", [(0,)])[0][0] if self.hosts else 0
        self.launch()
        try:
            self.address = self._read_address(timeout)
            self._read_token()
            reply = Client(self).request("GET", "/healthz")
            assert self.sick is None or reply.status == (503 if self.sick else 200), reply
            self._wait_hosts(before, timeout)
        except BaseException:
            self.kill()
            raise
        return self

    def _read_token(self):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(self.data, "admin.token")) as f:
            self.admin.token = f.read().strip()

    def _wait_hosts(self, since, timeout):
        """A host can be used once its connection became an event."""
        end, seen = time.monotonic() + timeout, set()
        while len(seen) < self.hosts:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(seen)} of {self.hosts} hosts are connected\n" + self.log()[-4000:])
            for event in self.admin.ok("GET events", query={"since": since, "wait": 2}).data:
                since = event["event.seq"]
                if event["event.type"] == "host.connected":
                    seen.add(event["event.objid"])

    def _read_address(self, timeout):
        out, text, end = self.process.stdout, b"", time.monotonic() + timeout
        while b"\n" not in text:
            left = end - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                raise TimeoutError("the server did not say where it listens\n" + self.log()[-4000:])
            part = os.read(out.fileno(), 4096)
            if not part:
                raise RuntimeError(f"the server ended with {self.process.wait()}\n" + self.log()[-4000:])
            text += part
        self.said = text.decode().splitlines()
        host, _, port = re.search(rb"listening on (\S+)", text).group(1).decode().rpartition(":")
        return host.strip("[]"), int(port)

    def stop(self, timeout=45):
        """SIGTERM; the server must end by itself, with 0."""
        process, self.process = self.process, None
        self.admin.close()
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = f"no end within {timeout} s"
        process.stdout.close()
        if code != 0:
            self.ended_badly.append(f"SIGTERM: ended with {code}")
        if not self.prefix:
            self._check_group(process.pid)
        assert code == 0, f"SIGTERM: ended with {code}\n" + self.log()[-4000:]

    def _check_group(self, group):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, 0)
            self.ended_badly.append("left a process behind")
            os.killpg(group, signal.SIGKILL)

    def kill(self):
        """SIGKILL, as a power cut does it."""
        process, self.process = self.process, None
        self.admin.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        self._wait_lock()

    def _wait_lock(self):
        """Children that are about to end, and a server that is no child of ours, may hold it a moment longer."""
        with contextlib.suppress(FileNotFoundError), open(os.path.join(self.data, "lock"), "rb") as lock:
            wait_until(lambda: is_free(lock), "the killed server has let go of its data")

    def database(self, mode="ro"):
        """Its file, for looking at (or, while it is stopped, changing) what no reply shows."""
        return contextlib.closing(sqlite3.connect(f"file:{self.data}/starvirt.db?mode={mode}", uri=True))

    def secrets(self, kind=None):
        """Owners of what is kept sealed, of one kind or all."""
        with self.database() as db:
            found = db.execute("SELECT owner_id FROM secret WHERE ?1 IS NULL OR kind = ?1", (kind,)).fetchall()
        return sorted(owner for owner, in found)

    def crashed(self, timeout=TIMEOUT):
        """Waits until the server has killed itself at its crash point."""
        process, self.process = self.process, None
        self.admin.close()
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process = process
            raise TimeoutError(f"the crash point {self.crash_point} was not reached") from None
        process.stdout.close()
        self._wait_lock()
        assert code == -signal.SIGKILL, f"ended with {code}\n" + self.log()[-4000:]

    def through_crash(self, ask, meanwhile=lambda: None):
        """Asks for what the server dies of, be its answer out before that or not; the newest job, once it is back."""
        with contextlib.suppress(http.client.HTTPException, OSError):
            ask()
        self.crashed()
        meanwhile()
        self.crash_point = None
        self.start()
        return self.newest_job()

    def newest_job(self):
        return self.admin.ok("POST joblog/search").data[-1]

    def restart(self):
        self.stop()
        return self.start()

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    # --- what it says ---
    def log(self):
        with contextlib.suppress(FileNotFoundError):
            with open(self.stderr, encoding="utf-8", errors="replace") as f:
                return f.read()
        return ""

    def expect(self, *patterns):
        """Lines of the log with level=error that this test means to cause (regular expressions)."""
        self.expected += [re.compile(p) for p in patterns]

    def metrics(self):
        """{'name{label="x"}': value}"""
        reply = Client(self).request("GET", "/metrics", headers={"KEY_TOKEN": self.admin.token})
        assert reply.status == 200, reply
        rows = (line.rsplit(" ", 1) for line in reply.raw.decode().splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in rows}

    # --- the simulator's switches: the URI needs control=1 ---
    def control(self, command, host="host1"):
        """Takes effect before this returns: the simulator removes the file when it did."""
        folder = os.path.join(self.data, "sim", "control")
        name = unique("command")
        with open(os.path.join(folder, "." + name), "w") as f:
            f.write(f"{host}:{command}\n")
        os.rename(os.path.join(folder, "." + name), os.path.join(folder, name))
        wait_until(lambda: not os.path.exists(os.path.join(folder, name)) or not self.running,
                   f"the simulator took {command}")

    # --- raw bytes, and HTTP ---
    def connection(self, timeout):
        if self.tls:
            return http.client.HTTPSConnection(*self.address, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection(*self.address, timeout=timeout)

    def socket(self, timeout=TIMEOUT):
        return socket.create_connection(self.address, timeout)

    def heard(self, reply):
        """No reply tells how this machine is laid out (threat 24)."""
        text = json.dumps(reply.body, ensure_ascii=False) if reply.body is not None else ""
        for secret in (self.data, ROOT, BUILD, "SQLITE", "sqlite", "virError", ".c:", "/proc/"):
            if secret in text and secret not in self.tellable:
                self.ended_badly.append(f"a reply tells {secret!r}: {text[:400]}")
        return reply

    # --- the end ---
    def _query(self, sql, absent):
        """Of a server that does not run."""
        path = f"{self.data}/starvirt.db"
        if not os.path.exists(path):
            return absent
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            made = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            return db.execute(sql).fetchall() if made else absent

    def open_jobs(self):
        return self._query("SELECT id, kind, result FROM job WHERE result IN (2, 3)", [])

    def pending_undos(self):
        return self._query("SELECT object_id, job_id FROM pending_undo", [])

    def locks(self):
        return self._query("SELECT object_id, job_id FROM lock", [])

    def fsck(self, hosts=True):
        """Breaches of the invariants, as text; "" is good. With what the hosts really hold, unless told."""
        argv = [*self.prefix, CLI, "fsck", "--data", self.data]
        for uri in self.connect if hosts else ():
            argv += ["--connect", uri]
        found = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        return "" if found.returncode == 0 else found.stdout + found.stderr

    def complaints(self):
        """What is in the log and should not be."""
        found = []
        for line in lines_of(self.log()):
            if SANITIZER.search(line):
                found.append(line)
            elif not re.match("t?s?ts=|ts?$", line):  # a full disk or a kill may cut the one before
                found.append("not a log line: " + line)
            elif re.match(r"ts=\S+ level=error event=", line) and not any(p.search(line) for p in self.expected):
                found.append(line)
        return found[:40]

    def finish(self, fsck=True):
        """Stops the server if it runs; every complaint about its life, as a list of texts."""
        found = []
        if self.process is not None and self.process.poll() is not None:
            found.append(f"the server ended by itself with {self.process.returncode}")
            self.process.stdout.close()
            self.process = None
        if self.process is not None:
            with contextlib.suppress(AssertionError):
                self.stop()
        found += self.ended_badly
        found += self.complaints()
        if os.path.exists(os.path.join(self.data, "starvirt.db")):
            found += [f"open job {row}" for row in self.open_jobs()] + [f"lock {row}" for row in self.locks()]
            breaches = self.fsck() if fsck else ""
            if breaches:
                found.append("fsck: " + breaches)
        return found

    def erase(self):
        shutil.rmtree(self.data, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.stderr)
