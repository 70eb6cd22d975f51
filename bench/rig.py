"""What bench/run drives: the daemon on a fresh directory, the yardsticks, and the two load clients."""

import base64
import http.client
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import time
import urllib.parse

BASE = "/starvcenter/services/cloudresource/"
ROUNDS = 3  # a figure is the median of this many, yardstick and product in turn


def form(params):
    """KEY_PARAM as the body of a request; "" for none."""
    if params is None:
        return ""
    packed = base64.b64encode(json.dumps(params).encode())
    return "KEY_PARAM=" + urllib.parse.quote(packed.decode(), safe="")


def request_line(method, path, params=None):
    return "\t".join((method, BASE + path, form(params)))


def median(rows, key):
    return statistics.median(r[key] for r in rows)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_mb(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return int(re.search(r"^Pss:\s+(\d+) kB", f.read(), re.M).group(1)) / 1024


class Failed(Exception):
    pass


class Rig:
    """Where things are: programs, a scratch directory on the disk that is measured."""

    def __init__(self, build, scratch, verbose):
        self.build, self.scratch, self.verbose = build, scratch, verbose
        self.source = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        self.daemon = os.path.join(build, "starvirtd")
        os.makedirs(scratch)

    def program(self, name):
        return os.path.join(self.build, "bench", name)

    def path(self, name):
        return os.path.join(self.scratch, name)

    def note(self, text):
        if self.verbose:
            print("   ", text, flush=True)

    def run(self, *argv):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False)
        if done.returncode:
            raise Failed(f"{os.path.basename(argv[0])}: {done.stderr.strip() or done.returncode}")
        return done.stdout

    def requests(self, name, lines):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as f:
            f.write("".join(line + "\n" for line in lines))
        return path

    def load(self, port, requests, conns=1, token=None, follow=False, replies=None):
        """Sends each request once over `conns` connections; errors are fatal: they would flatter."""
        argv = [self.program("load"), "-c", str(conns)]
        if token:
            argv += ["-t", token]
        if follow:
            argv += ["-j", BASE + "joblog"]
        if replies:
            argv += ["-o", replies]
        row = json.loads(self.run(*argv, str(port), requests))
        if row["errors"]:
            raise Failed(f"{row['errors']} of {row['n']} requests failed: {row['first_error']}")
        return row

    def wrk(self, port, requests, conns, seconds, token=None):
        script = os.path.join(self.source, "bench/wrk.lua")
        argv = ["wrk", "-t", "1", "-c", str(conns), "-d", f"{seconds}s", "-s", script, f"http://127.0.0.1:{port}/", "--",
                requests]
        row = json.loads(self.run(*argv, *([token] if token else [])).strip().splitlines()[-1])
        if row["errors"]:
            raise Failed(f"{row['errors']} requests failed")
        return row

    def close(self):
        shutil.rmtree(self.scratch, ignore_errors=True)


class Process:
    """A child that is ended with SIGTERM, and killed when it does not listen."""

    def __init__(self, argv, log):
        with open(log, "ab") as f:
            self.child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=f, text=True)
        self.pid = self.child.pid

    def line(self, pattern):
        for text in self.child.stdout:
            found = re.search(pattern, text)
            if found:
                return found
        raise Failed(f"{self.child.args[0]} ended with {self.child.wait()}")

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(45)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
                raise Failed(f"{self.child.args[0]} does not stop") from None
        self.child.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Limit(Process):
    """A bare libmicrohttpd service in one mode."""

    PORT = 18179

    def __init__(self, rig, mode):
        super().__init__([rig.program("limit_http"), str(self.PORT), mode, rig.path("limit.db")], rig.path("limit.log"))
        self.port = self.PORT
        self.line("ready")


class Server(Process):
    """The daemon on a directory; `started` is [s] from exec to the first answer of /healthz."""

    def __init__(self, rig, data, uri="sim://", options=()):
        self.rig, self.data, self.tokens = rig, data, {}
        os.makedirs(data, mode=0o700, exist_ok=True)
        begin = time.monotonic()
        super().__init__([rig.daemon, "--listen", "127.0.0.1:0", "--data", data, "--connect", uri, "--network", "none",
                          "--log.level", "warn", *options], os.path.join(data, "log"))
        try:
            self.port = int(self.line(r"listening on .*?:(\d+)\b").group(1))
            while not self.healthy():
                time.sleep(0.0005)
        except BaseException:
            self.child.kill()
            raise
        self.started = time.monotonic() - begin
        with open(os.path.join(data, "admin.token"), encoding="ascii") as f:
            self.admin = f.read().strip()

    def healthy(self):
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def get(self, path, method="GET", body=None, headers=None):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            conn.request(method, path, body, headers or {})
            reply = conn.getresponse()
            return reply.status, reply.read()
        finally:
            conn.close()

    def wait_hosts(self, count):
        end = time.monotonic() + 60
        while sum(row["host.isconnected"] == "true" for row in self.call("POST", "cloudhost/search")["data"]) < count:
            if time.monotonic() > end:
                raise Failed(f"{count} hosts did not connect")
            time.sleep(0.05)

    def call(self, method, path, params=None, token=None):
        """The reply's envelope; a refusal is fatal."""
        headers = {"KEY_TOKEN": token or self.admin}
        body = form(params)
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        _, text = self.get(BASE + path, method, body or None, headers)
        reply = json.loads(base64.b64decode(text))
        if reply["result"] != "0":
            raise Failed(f"{method} {path}: {reply}")
        return reply

    def metric(self, name):
        status, text = self.get("/metrics", headers={"KEY_TOKEN": self.admin})
        if status != 200:
            raise Failed(f"/metrics: {status}")
        found = re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)$", text.decode(), re.M)
        return sum(float(v) for v in found)

    def wait_steady(self):
        """Until no job has ended for a second; returns how many are left."""
        left, since = self.metric("starvirt_jobs_open"), time.monotonic()
        while time.monotonic() < since + 1:
            time.sleep(0.05)
            now = self.metric("starvirt_jobs_open")
            if now != left:
                left, since = now, time.monotonic()
        return left

    def wait_idle(self, limit=600):
        """Until no job waits or runs."""
        end = time.monotonic() + limit
        while self.metric("starvirt_jobs_open"):
            if time.monotonic() > end:
                raise Failed("jobs do not end")
            time.sleep(0.005)

    def wait_known(self, token, limit=30):
        """Until the hosts have come in after a start: before that, VMs are in an unknown state."""
        end = time.monotonic() + limit
        page = {"page.startnum": 1, "page.everypagenum": 1}
        while self.call("POST", "cloudvm/search", page, token)["data"][0]["vm.state"] == "-1":
            if time.monotonic() > end:
                raise Failed("no host comes in")
            time.sleep(0.01)

    def follow(self, startid, token, limit=600):
        """Until the job is done, by long polls."""
        end, since, result = time.monotonic() + limit, 0, "3"
        while result in ("2", "3"):
            if time.monotonic() > end:
                raise Failed(f"job {startid} does not end")
            job = self.call("GET", f"joblog/{startid}?since={since}&wait=20", None, token)["data"]
            result = job["job.result"]
            since = max([since] + [int(line["log.serial"]) for line in job["job.logs"]])
        if result != "0":
            raise Failed(f"job {startid}: {job['job.resultinfo']}")

    def first_vm(self, params, token, limit=30):
        """Creates one VM, as soon as a host has come in; the job has ended on return."""
        end = time.monotonic() + limit
        while True:
            try:
                made = self.call("POST", "cloudvm/create", params, token)["data"]
                break
            except Failed as refused:
                if "NO_CAPACITY" not in str(refused) or time.monotonic() > end:
                    raise
                time.sleep(0.01)
        self.wait_idle()
        return made[0]["vm.id"]

    def control(self, command):
        """One switch of the simulator (needs control=1); returns once it took effect."""
        where = os.path.join(self.data, "sim", "control")
        with open(os.path.join(where, ".new"), "w", encoding="ascii") as f:
            f.write(command)
        os.rename(os.path.join(where, ".new"), os.path.join(where, "1"))
        while os.path.exists(os.path.join(where, "1")):
            time.sleep(0.001)
