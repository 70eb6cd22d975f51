"""Asks with real packets what reach.py has worked out, all questions of everybody at once (tests/probe)."""
import concurrent.futures
import gzip
import os
import select
import subprocess
import time
from ipaddress import ip_network

from reach import EITHER
from starvirt import BUILD, wait_until

PROBE = os.path.join(BUILD, "tests", "probe", "probe")
PORTS = (22, 81, 82, 8080)  # of TCP and of UDP, at which everybody answers; at 80 guests have a web server
HOST = "203.0.113.1"  # the machine that all of it runs on
PATIENCE = 20  # [s] until what was asked for shows, on a machine that is busy
LONGER = 5  # times; then TCP has said a thing once more (after 1 s)


class Space:
    """A network namespace in the sandbox, "" for the sandbox's own; whoever asks there can be bound to a device."""

    quiet = 350  # [ms] after which nothing comes any more

    def __init__(self, sandbox, netns="", device=""):
        self.inside = ["nsenter", "-t", str(sandbox.pid), "-m", "-n", "-u", "-i", "-p", "--"]
        self.inside += ["ip", "netns", "exec", netns] if netns else []
        self.device = [device] if device else []
        self.server = None

    def serve(self, name):
        self.server = subprocess.Popen([*self.inside, PROBE, "serve", name, *map(str, PORTS)], stdout=subprocess.PIPE)
        assert self.server.stdout.readline() == b"ready\n"

    def ask(self, text, longer=1):
        done = subprocess.run([*self.inside, PROBE, "ask", str(self.quiet * longer), *self.device], input=text, text=True,
                              capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def close(self):
        if self.server:
            self.server.terminate()
            self.server.wait()
            self.server.stdout.close()


class Inside:
    """A guest, told what to ask through its agent."""

    quiet = 1500

    def __init__(self, guest):
        self.guest = guest

    def run(self, script, given=b""):
        """The output of a script with this on its stdin."""
        return self.guest.sh(script, given)

    def serve(self, name):
        with open(PROBE, "rb") as f:
            packed = gzip.compress(f.read())
        self.run(f"gunzip >/run/probe && chmod 755 /run/probe && (setsid /run/probe serve {name} "
                 f"{' '.join(map(str, PORTS))} </dev/null >/run/probe.said 2>&1 &)", packed)
        wait_until(lambda: self.run("cat /run/probe.said") == "ready", f"the answerer of {name} is there")

    def ask(self, text, longer=1):
        return self.run(f"/run/probe ask {self.quiet * longer}", text.encode())

    def close(self):
        pass


def questions(world, name):
    """What is asked of everybody: each port of each address but one's own, and each echo."""
    outer = set(world.routers.values()) | {m.outer for found in world.mappings.values() for m in found}
    own = world.nics[name].ip if name in world.nics else world.outside.get(name, HOST)
    mapped = {m.outer_port for found in world.mappings.values() for m in found if m.proto}
    for ip in sorted({nic.ip for nic in world.nics.values()} | set(world.outside.values()) | outer | world.nobodys):
        if ip != own:
            yield from ((proto, ip, port) for proto in ("tcp", "udp")
                        for port in sorted(set(PORTS) | (mapped if ip in outer else set())))
            yield "icmp", ip, 0
    yield from (("icmp", str(ip_network(cidr)[1]), 0) for cidr in world.vpcs.values())


def heard(text):
    """As World.answer() has it; of an echo it is not known whose it is."""
    if text == "-":
        return None
    return "echo" if text == "echo" else tuple(text.split())


def ask(places, cells, longer=1):
    """{(asker, question): what was heard}, of all askers at once; waiting so many times as long as usual."""
    by_asker = {}
    for asker, question in cells:
        by_asker.setdefault(asker, []).append(question)

    def one(asker):
        said = places[asker].ask("".join("%s %s %d\n" % question for question in by_asker[asker]),
                                  longer).split("\n")
        return {(asker, question): heard(text) for question, text in zip(by_asker[asker], said, strict=False)}

    with concurrent.futures.ThreadPoolExecutor(len(by_asker)) as pool:
        return {cell: answer for part in pool.map(one, by_asker) for cell, answer in part.items()}


def should(world, cell):
    asker, (proto, ip, port) = cell
    answer = world.answer(asker, proto, ip, port)
    return "echo" if answer and answer != EITHER and proto == "icmp" else answer


def disagreements(world, places, cells=None):
    """{cell: (what was heard, what should have been)} of what stays so; and how many cells were asked. What differs is
    asked again, and LONGER: a packet may have been lost, an engine may have been busy."""
    cells = [(asker, question) for asker in places for question in questions(world, asker)] if cells is None else cells
    end, count, longer = time.monotonic() + PATIENCE, len(cells), 1
    while True:
        said = ask(places, cells, longer)
        assert set(said) == set(cells), "the prober lost questions"
        wrong = {cell: (said[cell], should(world, cell)) for cell in cells
                 if should(world, cell) not in (said[cell], EITHER)}
        if not wrong or time.monotonic() > end:
            return wrong, count
        cells, longer = list(wrong), LONGER


def describe(wrong):
    return "\n".join(f"  {asker}: {proto} {ip} {port or ''}: heard {is_}, should be {want}"
                     for (asker, (proto, ip, port)), (is_, want) in sorted(wrong.items(), key=str)[:40])


class Stream:
    """A connection from a namespace to one who answers, kept open."""

    def __init__(self, space, ip, port):
        self.process = subprocess.Popen([*space.inside, "busybox", "nc", ip, str(port)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=0)
        self.sent = 0
        assert self.comes(b"\n", PATIENCE), f"{ip}:{port} does not answer"

    def comes(self, what, seconds):
        end, seen, out = time.monotonic() + seconds, b"", self.process.stdout
        while what not in seen:
            left = end - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                return False
            part = os.read(out.fileno(), 4096)
            if not part:
                return False
            seen += part
        return True

    def lives(self, seconds=5):
        """Does a word get there and back?"""
        self.sent += 1
        word = b"<%d>" % self.sent
        self.process.stdin.write(word)
        return self.comes(word, seconds)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
