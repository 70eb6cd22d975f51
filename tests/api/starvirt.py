"""A client of a starvirt server's API: what every API test stands on.

Nothing here knows pytest. Client speaks the envelope of the StarVCenter dialect; cli() and the dumps ask the programs.
The server itself is daemon.py's.
"""
import base64
import http.client
import json
import os
import re
import subprocess
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

    def shown_everywhere(self, vm):
        """The VM, which a list tells of likewise; but for its groups, which a page does not ask for each."""
        row = self.show(vm)
        listed = {key: value for key, value in row.items() if key != "vm.affinity.id"}
        assert self.ok("POST cloudvm/search", {"vm.id": vm}).data == [listed]
        return row

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
