"""The machine that the tests of this folder run on: one scripts/sandbox with a libvirt of its own, seen
from inside without asking the server: domains, files, devices, processes, and guests by their agent."""
import base64
import contextlib
import json
import os
import signal
import subprocess
import time
import xml.etree.ElementTree

from starvirt import ROOT

TOOL = os.path.join(ROOT, "scripts", "sandbox")
SLOW = 180  # [s] for anything a guest or a daemon does; the machine may be busy


def until(ready, what, timeout=SLOW, tick=0.2):
    """As wait_until, for questions that cost a process: asked seldom enough to leave guests the CPU."""
    end = time.monotonic() + timeout
    while True:
        value = ready()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"after {timeout} s still not: {what}")
        time.sleep(tick)


def why_not():
    """Why there can be no sandbox here; None when there can."""
    if os.geteuid() != 0:
        return "real guests need root for namespaces and networks"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for program in ("libvirtd", "virtlogd", "virsh", "qemu-img", "dnsmasq", "nsenter"):
        if not any(os.access(os.path.join(folder, program), os.X_OK) for folder in path.split(":")):
            return f"{program} is missing: scripts/install-packages run"
    allowed = subprocess.run(["unshare", "-m", "-n", "-p", "-f", "true"], capture_output=True, text=True)
    return f"no namespaces here: {allowed.stderr.strip()}" if allowed.returncode else None


class Sandbox:
    def __init__(self, folder, libvirt=True):
        """Without libvirt where nothing runs that needs it."""
        mark = os.path.join(str(folder), "pid")
        self.log = os.path.join(str(folder), "sandbox.log")
        with open(self.log, "wb") as log:
            how = [] if libvirt else ["--no-libvirt"]
            self.process = subprocess.Popen([TOOL, *how, "--hold", mark], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        try:
            until(lambda: os.path.exists(mark) or self.process.poll() is not None, "the sandbox is there")
        except TimeoutError:
            self.close()
            raise
        assert self.process.poll() is None, "no sandbox: " + open(self.log).read()
        with open(mark) as f:
            self.pid = int(f.read())
        self.space = os.readlink(f"/proc/{self.pid}/ns/pid")
        self.enter = [TOOL, "--enter", str(self.pid), "--"]

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    # --- programs inside ---
    def try_run(self, *argv, timeout=SLOW, **how):
        inside = ["nsenter", "-t", str(self.pid), "-m", "-n", "-u", "-i", "-p", "--"]
        return subprocess.run([*inside, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout, **how)

    def run(self, *argv, timeout=SLOW):
        done = self.try_run(*argv, timeout=timeout)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.returncode}: {done.stderr.strip()}"
        return done.stdout

    def virsh(self, *argv, timeout=SLOW):
        return self.run("virsh", "-q", "-c", "qemu:///system", *argv, timeout=timeout)

    def json(self, *argv):
        return json.loads(self.run(*argv) or "[]")

    # --- processes inside, by their pids outside ---
    def processes(self, name):
        """{pid: argv} of those whose program has this name."""
        found = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{entry}/ns/pid") != self.space:
                    continue
                with open(f"/proc/{entry}/cmdline", "rb") as f:
                    argv = f.read().decode(errors="replace").split("\0")[:-1]
                if argv and os.path.basename(argv[0]) == name:
                    found[int(entry)] = argv
        return found

    def qemu_of(self, vm):
        """The pid of a VM's QEMU; None when there is none."""
        for pid, argv in self.processes("qemu-system-x86_64").items():
            if any(f"guest={vm}," in word for word in argv):
                return pid
        return None

    def libvirtd(self):
        (pid,) = self.processes("libvirtd")
        return pid

    def stop_libvirtd(self):
        pid = self.libvirtd()
        os.kill(pid, signal.SIGKILL)
        until(lambda: not self.processes("libvirtd"), "libvirtd is gone")

    def mend(self):
        """After a failed test: libvirtd runs and is not stopped."""
        if self.processes("libvirtd"):
            os.kill(self.libvirtd(), signal.SIGCONT)
        else:
            self.start_libvirtd()

    def start_libvirtd(self):
        self.run("libvirtd", "-d")
        until(lambda: self.try_run("virsh", "-q", "-c", "qemu:///system", "list").returncode == 0,
                   "libvirtd answers")

    # --- what libvirt has ---
    def domains(self):
        """{name: state}, as virsh words it."""
        rows = [line.split(None, 2) for line in self.virsh("list", "--all").splitlines() if line.strip()]
        return {name: state.strip() for _, name, state in rows}

    def definition(self, vm, *flags):
        return xml.etree.ElementTree.fromstring(self.virsh("dumpxml", *flags, vm))

    # --- what the kernel has ---
    def links(self):
        """{name: {"master": ...}} of the network devices outside of any VPC's namespace."""
        return {row["ifname"]: row for row in self.json("ip", "-j", "link", "show")}

    def namespaces(self):
        return sorted(row["name"] for row in self.json("ip", "-j", "netns", "list"))

    # --- a clean slate, after a test has failed ---
    def clear(self):
        """Takes away whatever guests and networks there are."""
        for name, state in self.domains().items():
            if state != "shut off":
                self.try_run("virsh", "-q", "-c", "qemu:///system", "destroy", name)
            self.try_run("virsh", "-q", "-c", "qemu:///system", "undefine", name, "--managed-save",
                         "--snapshots-metadata")
        for pid in self.processes("dnsmasq"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for name in self.namespaces():
            self.try_run("ip", "netns", "del", name)
        for name in self.links():
            if name.startswith(("svb", "svl", "svt")):
                self.try_run("ip", "link", "del", name)


class AgentError(AssertionError):
    pass


class Guest:
    """A VM's inside, by its agent; its web server, from its network."""

    def __init__(self, sandbox, vm, vpc=None, ip=None):
        self.sandbox, self.id, self.vpc, self.ip = sandbox, vm, vpc, ip

    def __repr__(self):
        return f"Guest({self.id})"

    # --- agent ---
    def agent(self, command, patience=20, **arguments):
        words = {"execute": command}
        if arguments:
            words["arguments"] = arguments
        done = self.sandbox.try_run("virsh", "-q", "-c", "qemu:///system", "qemu-agent-command", "--timeout",
                                    str(patience), self.id, json.dumps(words))
        if done.returncode:
            raise AgentError(f"{command}: {done.stderr.strip()}")
        return json.loads(done.stdout)["return"]

    def agent_answers(self):
        with contextlib.suppress(AgentError):
            self.agent("guest-ping", patience=5)
            return True
        return False

    def wait_agent(self):
        until(self.agent_answers, f"the agent of {self.id} answers")
        return self

    def exec(self, script, given=b""):
        """(exit code, output) of a shell script in the guest, with this on its stdin."""
        pid = self.agent("guest-exec", **{"path": "/bin/sh", "arg": ["-c", script + " 2>&1"], "capture-output": True,
                                          "input-data": base64.b64encode(given).decode()})["pid"]

        def ended():
            status = self.agent("guest-exec-status", pid=pid)
            return status if status["exited"] else None

        status = until(ended, f"{script!r} ended in {self.id}", tick=0.05)
        code = status.get("exitcode", f"signal {status.get('signal')}")
        return code, base64.b64decode(status.get("out-data", "")).decode(errors="replace")

    def sh(self, script, given=b""):
        code, text = self.exec(script, given)
        assert code == 0, f"{script!r} in the guest: {code}: {text}"
        return text.strip()

    def boot_id(self):
        return self.sh("cat /proc/sys/kernel/random/boot_id")

    def wait_reboot(self, boot):
        """Until another boot answers; the agent of the last one may go in the middle of a question."""
        def has_rebooted():
            with contextlib.suppress(AgentError):
                return self.agent_answers() and self.boot_id() != boot

        until(has_rebooted, f"{self.id} has rebooted")

    def memory_mib(self):
        return int(self.sh("awk '/^MemTotal/ { print $2 }' /proc/meminfo")) // 1024

    def cpus(self):
        return int(self.sh("nproc"))

    # --- network ---
    @property
    def namespace(self):
        return "sv-" + self.vpc[-12:]

    def http(self, limit=4):
        """What the guest's web server says, asked from the VPC's namespace; None when it says nothing."""
        done = self.sandbox.try_run("ip", "netns", "exec", self.namespace, "curl", "-s", "-m", str(limit),
                                    f"http://{self.ip}/")
        return done.stdout.strip() or None if done.returncode == 0 else None

    def wait_http(self):
        until(self.http, f"{self.id} answers HTTP at {self.ip}")
        return self

    def ready(self):
        """Booted whole: its address is taken, its agent answers."""
        self.wait_http()
        return self.wait_agent()

