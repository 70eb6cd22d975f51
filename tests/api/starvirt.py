"""A starvirt server under test and a client of its API: what every API test stands on.

Nothing here knows pytest. Server starts one daemon on its own data directory and a free port, stops or
kills it, and says at the end what was wrong with it. Client speaks the envelope of the StarVCenter
dialect. Both are told what differs between a simulated cloud and a real one: the URI of the hypervisor,
the network engine, a launcher to put in front (nsenter, scripts/sandbox --enter), a socket to hand over.
"""
import base64
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
import threading
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("STARVIRT_BUILD", os.path.join(ROOT, "build")))
DAEMON = os.path.join(BUILD, "starvirtd")
CLI = os.path.join(BUILD, "starvirt")
BASE = "/starvcenter/services/cloudresource/"
TIMEOUT = 60  # [s] for anything that should happen soon
OPEN = ("2", "3")  # results of jobs that have not ended: running, queued

# Handed-over sockets are number 3 and name the process that may take them (sd_listen_fds(3)).
HAND_OVER = ("import os,sys;os.dup2(int(sys.argv[1]),3);"
             "os.environ.update(LISTEN_PID=str(os.getpid()),LISTEN_FDS='1');os.execvp(sys.argv[2],sys.argv[2:])")


def wait_until(ready, what, timeout=TIMEOUT):
    """For the few things nobody tells about: a file that goes, a process that ends."""
    end = time.monotonic() + timeout
    while True:
        value = ready()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"after {timeout} s still not: {what}")
        time.sleep(0.002)


# ------------------------------------------------------------------------------------------- the envelope
def encode(params):
    """What stands in KEY_PARAM; text is taken as the JSON itself, bytes as they are."""
    if isinstance(params, bytes):
        raw = params
    elif isinstance(params, str):
        raw = params.encode()
    else:
        raw = json.dumps(params, ensure_ascii=False).encode()
    return base64.b64encode(raw).decode()


def multipart(fields, boundary="starvirt-test-7f3a"):
    lines = []
    for name, value in fields:
        lines += [f"--{boundary}", f'Content-Disposition: form-data; name="{name}"', "", value]
    lines += [f"--{boundary}--", ""]
    return f"multipart/form-data; boundary={boundary}", "\r\n".join(lines).encode()


def form_body(params, encoding="form"):
    """(content type, body): the ways in which real clients send the same thing."""
    text = encode(params)
    urlencoded = "application/x-www-form-urlencoded"
    if encoding == "form":
        return urlencoded, ("KEY_PARAM=" + urllib.parse.quote(text, safe="")).encode()
    if encoding == "raw":  # curl -d: nothing is escaped
        return urlencoded, ("KEY_PARAM=" + text).encode()
    if encoding == "blank":  # what an unescaped '+' becomes on its way through some proxies
        return urlencoded, ("KEY_PARAM=" + text.replace("+", " ")).encode()
    if encoding == "unpadded":
        return urlencoded, ("KEY_PARAM=" + text.rstrip("=")).encode()
    if encoding == "urlsafe":
        return urlencoded, ("KEY_PARAM=" + text.replace("+", "-").replace("/", "_")).encode()
    if encoding == "mime":  # lines of 76, as Java's MIME encoder makes them
        lines = "\r\n".join(text[i:i + 76] for i in range(0, len(text), 76)) + "\r\n"
        return urlencoded, ("KEY_PARAM=" + urllib.parse.quote(lines, safe="")).encode()
    if encoding == "mime-raw":
        return urlencoded, ("KEY_PARAM=" + "\n".join(text[i:i + 76] for i in range(0, len(text), 76))).encode()
    if encoding == "multipart":
        return multipart([("KEY_PARAM", text)])
    raise ValueError(encoding)


ENCODINGS = ("form", "raw", "blank", "unpadded", "urlsafe", "mime", "mime-raw", "multipart")


class Reply:
    """One answer, taken apart. `body` is the envelope, or None where the reply is no envelope."""

    def __init__(self, status, headers, raw):
        self.status = status
        self.headers = headers
        self.raw = raw
        try:
            self.body = json.loads(base64.b64decode(raw, validate=True))
        except ValueError:
            self.body = None

    @property
    def ok(self):
        return self.body is not None and self.body["result"] == "0"

    @property
    def data(self):
        return self.body["data"]

    @property
    def startid(self):
        return self.body["startid"]

    @property
    def count(self):
        return self.body["dataCount"]

    @property
    def code(self):
        return self.body["error"]["code"] if self.body and "error" in self.body else None

    @property
    def field(self):
        return self.body["error"].get("field") if self.body and "error" in self.body else None

    @property
    def text(self):
        return (self.body or {}).get("resultinfo")

    def __repr__(self):
        shown = json.dumps(self.body, ensure_ascii=False) if self.body is not None else repr(self.raw[:400])
        return f"HTTP {self.status} {shown[:2000]}"


class Refused(AssertionError):
    def __init__(self, op, params, reply):
        super().__init__(f"{op} {json.dumps(params, ensure_ascii=False)[:600]}: {reply!r}")
        self.reply = reply


class Job(dict):
    """A job as joblog shows it, with every log line seen."""

    @property
    def result(self):
        return self["job.result"]

    @property
    def info(self):
        return self["job.resultinfo"]

    @property
    def lines(self):
        return [line["log.content"] for line in self["job.logs"]]


class Client:
    """Calls operations: client.ok("PUT cloudvm/start", {"vm.id": id}). A {name} in the path is taken from
    the parameters. Connections are kept and are each thread's own; the server may restart meanwhile."""

    def __init__(self, server, token=None, lang="en"):
        self.server = server
        self.token = token
        self.lang = lang
        self._local = threading.local()

    # --- HTTP ---
    def _connection(self):
        address = self.server.address
        if getattr(self._local, "address", None) != address:
            self.close()
            self._local.connection = self.server.connection(TIMEOUT + 30)
            self._local.address = address
        return self._local.connection

    def close(self):
        if getattr(self._local, "connection", None):
            self._local.connection.close()
        self._local.connection = self._local.address = None

    def request(self, method, path, body=None, headers=()):
        """Any request; a kept connection that the server closed meanwhile is opened anew."""
        for again in (True, False):
            connection = self._connection()
            fresh = connection.sock is None
            try:
                connection.request(method, path, body, dict(headers))
                response = connection.getresponse()
                return self.server.heard(Reply(response.status, response.headers, response.read()))
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.close()
                if fresh or not again:
                    raise
            except Exception:
                self.close()
                raise

    def headers(self, token=None, **more):
        token = self.token if token is None else token
        found = {"Accept-Language": self.lang} if self.lang else {}
        if token:
            found["KEY_TOKEN"] = token
        return {**found, **more}

    # --- operations ---
    def call(self, op, params=None, *, query=None, encoding="form", token=None, headers=None, body=None, type=None):
        """The reply, whatever it is. `body` and `type` replace the form."""
        method, path = op.split(" ", 1)
        left = dict(params) if isinstance(params, dict) else params

        def fill(match):
            return urllib.parse.quote(str(left.pop(match.group(1))), safe="")

        path = re.sub(r"\{(\w+)\}", fill, path)
        if query:
            path += "?" + urllib.parse.urlencode(query)
        sent = self.headers(token)
        if body is None and left:
            type, body = form_body(left, encoding)
        if type:
            sent["Content-Type"] = type
        sent.update(headers or {})
        return self.request(method, BASE + path, body, sent)

    def ok(self, op, params=None, **how):
        reply = self.call(op, params, **how)
        if not reply.ok:
            raise Refused(op, params, reply)
        return reply

    def refused(self, op, params=None, code=None, field=None, **how):
        """The operation must fail; with this code and naming this wire key, where given."""
        reply = self.call(op, params, **how)
        assert reply.body is not None and reply.body["result"] != "0", f"{op} {params} was not refused: {reply!r}"
        assert "error" in reply.body and reply.text, f"{op} {params}: no error in {reply!r}"
        if code:
            assert reply.code == code, f"{op} {params}: {code} expected, got {reply!r}"
        if field:
            assert reply.field == field, f"{op} {params}: {field} expected, got {reply!r}"
        return reply

    # --- jobs and events ---
    def follow(self, startid, timeout=TIMEOUT):
        """The job's end, by long polls."""
        end = time.monotonic() + timeout
        since, lines = 0, []
        while True:
            left = end - time.monotonic()
            job = self.ok("GET joblog/{startid}", {"startid": startid},
                          query={"since": since, "wait": max(1, min(25, int(left)))}).data
            lines += job["job.logs"]
            if lines:
                since = int(lines[-1]["log.serial"])
            if job["job.result"] not in OPEN:
                return Job(job, **{"job.logs": lines})
            if left < 0:
                raise TimeoutError(f"job {startid} did not end in {timeout} s: {job}")

    def wait_line(self, startid, text, timeout=TIMEOUT):
        """Until the job's log says so; whether the job goes on or ends then."""
        end, since = time.monotonic() + timeout, 0
        while time.monotonic() < end:
            job = self.ok("GET joblog/{startid}", {"startid": startid}, query={"since": since, "wait": 5}).data
            if any(text in line["log.content"] for line in job["job.logs"]):
                return
            if job["job.logs"]:
                since = int(job["job.logs"][-1]["log.serial"])
            assert job["job.result"] in OPEN or job["job.logs"], f"the job ended without saying {text!r}"
        raise TimeoutError(f"job {startid} did not say {text!r} in {timeout} s")

    def done(self, startid, timeout=TIMEOUT):
        job = self.follow(startid, timeout)
        assert job.result == "0", f"job failed: {job.info}\n" + "\n".join(job.lines)
        return job

    def run(self, op, params=None, timeout=TIMEOUT, **how):
        """An operation that answers with a startid, to its good end."""
        return self.done(self.ok(op, params, **how).startid, timeout)

    def events(self, since=0, wait=0):
        found = []
        while True:
            page = self.ok("GET events", query={"since": since, "wait": wait}).data
            if not page:
                return found
            found += page
            since, wait = page[-1]["event.seq"], 0

    def last_event(self):
        events = self.events()
        return int(events[-1]["event.seq"]) if events else 0

    def wait_event(self, wanted, since=0, timeout=TIMEOUT):
        """The first event after `since` that wanted(event) is true of."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for event in self.ok("GET events", query={"since": since, "wait": 5}).data:
                since = event["event.seq"]
                if wanted(event):
                    return event
        raise TimeoutError(f"no such event in {timeout} s")

    # --- what most tests need first ---
    def tenant(self, name=None, **quota):
        """A new tenant and a client with its token. Quotas: cpu, memory, storage, portgroup, outerip."""
        params = {"app.name": name or unique("tenant")}
        params.update({f"app.{key}.quota": value for key, value in quota.items()})
        made = self.ok("POST cloudTenant/create", params).data
        client = Client(self.server, made["app.token"], self.lang)
        client.id = made["app.id"]
        client.name = params["app.name"]
        return client

    def vpc(self, name=None, **more):
        return self.ok("POST cloudnetwork/vpc/create", {"vpc.name": name or unique("vpc"), **more}).data["vpc.id"]

    def model(self, type=None, template=None, size=None):
        """A new model (of a new type, where none is named); its value."""
        if type is None:
            type = unique("type")
            self.ok("POST cloudvm/addVhostModelAndType", {"type": "tenant_type", "label": type, "value": type})
        value = unique("model")
        self.ok("POST cloudvm/addVhostModelAndType", {"type": type, "label": value, "value": value})
        if template or size:
            params = {"vm.tenant.model": value}
            if template:
                params["vm.template.id"] = template
            if size:
                params["vm.sysdisk.size"] = size
            self.ok("POST cloudvm/model/bind", params)
        return value

    def template(self, path, name=None, **more):
        reply = self.ok("POST cloudtemplate/import",
                        {"template.name": name or unique("template"), "template.path": path, **more})
        self.done(reply.startid)
        return reply.data["template.id"]

    def create(self, **params):
        """cloudvm/create with small defaults; keys as vm_name= or in full: **{"vm.name": "x"}."""
        full = {"vm.vcpu.num": 1, "vm.memory.mem": 64}
        full.update({key.replace("_", ".") if "." not in key else key: value for key, value in params.items()})
        return self.ok("POST cloudvm/create", {k: v for k, v in full.items() if v is not None})

    def vm(self, timeout=TIMEOUT, **params):
        """A running VM; its id."""
        made = self.create(**params).data[0]
        self.done(made["jobstartid"], timeout)
        return made["vm.id"]

    def show(self, vm):
        return self.ok("GET cloudvm/{vmId}", {"vmId": vm}).data

    def usable(self, tenant=None):
        return self.ok("POST resourcequota/usableQuota", {"tenant.id": tenant or self.id}).data


_numbers = iter(range(1, 1 << 62))
_numbers_lock = threading.Lock()


def unique(prefix):
    with _numbers_lock:
        return f"{prefix}-{next(_numbers)}"


def files_below(folder):
    """Paths of all regular files."""
    for where, _, names in os.walk(folder):
        for path in (os.path.join(where, name) for name in names):
            if os.path.isfile(path):
                yield path


# --------------------------------------------------------------------------------------------- the server
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


# ----------------------------------------------------------------------------------------- the operations
def dump_routes(dialect="starvcenter"):
    out = subprocess.run([DAEMON, "--dump-routes"], capture_output=True, text=True, check=True).stdout
    return [row for row in map(json.loads, out.splitlines()) if row["dialect"] == dialect]


def dump_kinds():
    """{kind: {"steps": [...], "undo": [...]}}, as the program has them."""
    out = subprocess.run([DAEMON, "--dump-kinds"], capture_output=True, text=True, check=True).stdout
    return {row.pop("kind"): row for row in map(json.loads, out.splitlines())}


def op_name(route):
    return f"{route['method']} {route['path']}"


def cli(*argv, server=None, token=None, input=None, env=None, timeout=TIMEOUT, prefix=()):
    """The command line, without the settings of whoever runs the tests."""
    full = {key: value for key, value in os.environ.items() if not key.startswith(("STARVIRT_", "LC_", "LANG"))}
    full.update(XDG_CONFIG_HOME="/nonexistent", LC_ALL="C.UTF-8")
    if server is not None:
        full["STARVIRT_SERVER"] = "http://%s:%d" % server.address
        full["STARVIRT_TOKEN"] = token or server.admin.token
    full.update(env or {})
    return subprocess.run([*prefix, CLI, *argv], capture_output=True, text=True, input=input, env=full, timeout=timeout)
