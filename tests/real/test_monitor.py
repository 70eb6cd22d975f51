"""What real guests use: what the API said all along, added up, is what the hypervisor and the guest itself counted."""
import contextlib
import threading
import time

import pytest
from conftest import Linux
from sandbox import until

WITHIN = 0.1
SECONDS = 8


@pytest.fixture(scope="module")
def engine(sandbox):
    made = Linux(sandbox)
    made.options = ["--monitor.interval", "1"]
    return made


@pytest.fixture
def guest(cloud):
    if not hasattr(cloud, "lone"):
        cloud.lone = cloud.guest(**{"vm.vcpu.num": 2})
    return cloud.lone


class Meter:
    """Adds up rates over the time that each of them stood for."""

    OPS = {"cpu": ("POST cloudmonitor/compute/currents", {"cpu": "monitor.cpu.rate"}),
           "disk": ("POST cloudmonitor/everydisk/current", {"read": "monitor.disk.readspeed",
                                                            "written": "monitor.disk.writespeed"}),
           "net": ("POST cloudmonitor/everynet/current", {"received": "monitor.net.downspeed",
                                                          "sent": "monitor.net.upspeed"})}

    def __init__(self, client, guest, what):
        self.client, self.guest = type(client)(client.server, client.token), guest
        self.op, self.fields = self.OPS[what]
        self.params = {"monitor.obj.type": "vm"}
        self.params.update({"monitor.objids": [guest.id]} if what == "cpu" else {"monitor.obj": guest.id})
        self.sums, self.samples = dict.fromkeys(self.fields, 0.0), 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def ask(self):
        row = self.client.ok(self.op, self.params).data[0]
        return row if all(row[field] for field in self.fields.values()) else None

    def run(self):
        last, at = None, time.monotonic()
        while not self.stop.wait(0.05):
            row, now = self.ask(), time.monotonic()
            if row is None or row == last:
                continue
            for name, field in self.fields.items() if last else ():
                self.sums[name] += float(row[field]) * (now - at)
            self.samples += last is not None
            last, at = row, now

    def wait(self, samples):
        seen = self.samples
        until(lambda: self.samples >= seen + samples, f"{samples} more samples", tick=0.05)

    def __enter__(self):
        until(self.ask, "figures")
        self.thread.start()
        self.wait(2)
        return self

    def __exit__(self, *why):
        with contextlib.suppress(Exception):
            self.wait(3)
        self.stop.set()
        self.thread.join()


def counters(guest, *names):
    """Of the hypervisor."""
    text = guest.sandbox.virsh("domstats", guest.id)
    rows = dict(line.strip().split("=", 1) for line in text.splitlines() if "=" in line)
    return [int(rows[name]) for name in names]


def grown(before, after):
    return [b - a for a, b in zip(before, after)]


def test_a_busy_loop(cloud, guest):
    """Of two vCPUs one: what the guest counts as busy it may not all have got from a busy machine."""
    with Meter(cloud.tenant, guest, "cpu") as meter:
        before = counters(guest, "cpu.time")
        guest.sh(f"timeout {SECONDS} sh -c 'while :; do :; done' || true")
        meter.wait(2)
        (used,) = grown(before, counters(guest, "cpu.time"))
    seconds = meter.sums["cpu"] / 100 * 2
    assert seconds == pytest.approx(used / 1e9, rel=WITHIN, abs=0.5)


def test_a_disk_that_is_written_and_read(cloud, guest):
    def own():
        """By the guest's own count, in bytes: of all whole disks."""
        words = guest.sh("grep -w vda /proc/diskstats").split()
        return [int(words[5]) * 512, int(words[9]) * 512]

    with Meter(cloud.tenant, guest, "disk") as meter:
        hyper, inside = counters(guest, "block.0.rd.bytes", "block.0.wr.bytes"), own()
        guest.sh("for i in 1 2 3 4 5 6; do dd if=/dev/zero of=/big bs=1M count=4; sync; echo 3 > /proc/sys/vm/drop_caches;"
                 " dd if=/big of=/dev/null bs=1M; sleep 1; done; rm /big; sync")
        meter.wait(2)
        hyper = grown(hyper, counters(guest, "block.0.rd.bytes", "block.0.wr.bytes"))
        inside = grown(inside, own())
    told = [meter.sums["read"] * 1024, meter.sums["written"] * 1024]
    assert min(hyper) > 8 << 20, "the disk was not used"
    assert told == pytest.approx(hyper, rel=WITHIN, abs=1 << 18)
    assert told == pytest.approx(inside, rel=WITHIN, abs=1 << 18)


def test_traffic(cloud, guest):
    def own():
        words = guest.sh("grep eth0 /proc/net/dev | tr ':' ' '").split()
        return [int(words[1]), int(words[9])]

    with Meter(cloud.tenant, guest, "net") as meter:
        hyper, inside = counters(guest, "net.0.rx.bytes", "net.0.tx.bytes"), own()
        guest.sh(f"ping -q -i 0.01 -s 1400 -c 600 {guest.ip.rsplit('.', 1)[0]}.1")
        meter.wait(2)
        hyper = grown(hyper, counters(guest, "net.0.rx.bytes", "net.0.tx.bytes"))
        inside = grown(inside, own())
    told = [meter.sums["received"] * 1024, meter.sums["sent"] * 1024]
    assert min(hyper) > 600 * 1400 * 0.9, "there was no traffic"
    assert told == pytest.approx(hyper, rel=WITHIN, abs=1 << 14)
    assert told == pytest.approx(inside, rel=WITHIN, abs=1 << 14)


def test_memory_is_the_guests_own_word(cloud, guest):
    def own():
        rows = dict(line.split(":") for line in guest.sh("cat /proc/meminfo").splitlines())
        size = {key: int(value.split()[0]) / 1024 for key, value in rows.items()}
        return size["MemTotal"] - size["MemAvailable"]

    def told():
        row = cloud.tenant.ok("POST cloudmonitor/compute/current",
                              {"monitor.obj.type": "vm", "monitor.obj": guest.id}).data
        return float(row["monitor.mem.usedsize"] or -1)

    until(lambda: told() == pytest.approx(own(), rel=WITHIN, abs=4), "the guest's word on its memory")


def test_a_host(cloud):
    """As the machine says itself."""
    with open("/proc/meminfo", encoding="ascii") as f:
        total = int(next(line for line in f if line.startswith("MemTotal")).split()[1]) // 1024
    (host,) = cloud.admin.ok("POST cloudhost/search").data

    def figures():
        (row,) = cloud.admin.ok("POST cloudmonitor/compute/currents",
                                {"monitor.obj.type": "host", "monitor.objids": [host["host.id"]]}).data
        return row if row["monitor.cpu.rate"] else None

    row = until(figures, "figures of the host")
    assert int(row["monitor.mem.size"]) == pytest.approx(total, rel=WITHIN)
    assert int(host["host.mem.size"]) == pytest.approx(total / 1024, abs=1)
    assert 0 < int(row["monitor.mem.usedsize"]) < total and 0 <= int(row["monitor.cpu.rate"]) <= 100
