"""What VMs and hosts use (StarVCenter 2.8): figures that follow from loads that were set, history over minute, hour and
day, a restart, and who may see them."""
import time

import pytest
from servers import Servers
from starvirt import wait_until
from test_clock import Clock
from test_vdisk import add

CURRENT, CURRENTS = "POST cloudmonitor/compute/current", "POST cloudmonitor/compute/currents"
HISTORIES = {"compute": ("monitor.cpu.rate", "monitor.mem.rate"),
             "disk": ("monitor.disk.writespeed", "monitor.disk.readspeed"),
             "net": ("monitor.net.downspeed", "monitor.net.upspeed")}
NOBODY = "01900000-0000-7000-8000-000000000000"
LOAD = "cpu=50,mem=30,disk=40,read=1M,write=2M,rx=3M,tx=512K"
MINUTE = 60


def of(vm, **more):
    return {"monitor.obj.type": "vm", "monitor.obj": vm, **more}


def figures(client, vm):
    return client.ok(CURRENT, of(vm)).data


def settled(client, vm, cpu="50"):
    """Once the load has held for an interval."""
    return wait_until(lambda: (lambda row: row if row["monitor.cpu.rate"] == cpu else None)(figures(client, vm)),
                      f"{vm} to use {cpu} %")


def near(text, kilobytes):
    """Two places, within what a busy machine's clocks are apart."""
    assert len(text.split(".")[1]) == 2, text
    return float(text) == pytest.approx(kilobytes, rel=0.1)


def history(client, kind, vm, line):
    return client.ok(f"POST cloudmonitor/{kind}/history", of(vm, lineType=line)).data


def till_midnight(seconds):
    """[s] to set a clock ahead so that a day ends soon."""
    now = time.time()
    day = time.mktime(time.localtime(now)[:3] + (23, 59, 60, 0, 0, -1))
    return day - seconds - now


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A server for which a day ends in a moment."""
    servers = Servers(tmp_path_factory.mktemp("monitor"))
    clock = Clock(tmp_path_factory.mktemp("skew") / "ms")
    clock.off(till_midnight(15))
    one = servers(connect="sim://?hosts=2&control=1&cpus=8&mem=64G&storage=1T", options=["--monitor.interval", "1"],
                  env=clock.env)
    one.clock = clock
    one.tenant = one.admin.tenant()
    one.size = {"vm.tenant.model": one.admin.model(size=1), "vm.vcpu.num": 1, "vm.memory.mem": 1024,
                "vnic.portgroupid": one.tenant.vpc()}
    one.vm = one.tenant.vm(**{**one.size, "vm.vcpu.num": 2, "vm.memory.mem": 2048})
    for host in ("host1", "host2"):  # one of them has it, the other refuses
        one.control(f"load={one.vm}:{LOAD}", host)
    yield one
    servers.finish()


def test_figures_are_what_the_guest_uses(place):
    row = settled(place.tenant, place.vm)
    assert row == {"monitor.obj": place.vm, "monitor.createtime": row["monitor.createtime"], "monitor.cpu.rate": "50",
                   "monitor.mem.rate": "30", "monitor.cpu.num": "2", "monitor.mem.size": "2048",
                   "monitor.mem.usedsize": "614"}
    time.strptime(row["monitor.createtime"], "%Y-%m-%d %H:%M:%S")


def test_each_disk_and_each_nic(place):
    settled(place.tenant, place.vm)
    (disk,) = place.tenant.ok("POST cloudmonitor/everydisk/current", of(place.vm)).data
    assert near(disk["monitor.disk.readspeed"], 1024) and near(disk["monitor.disk.writespeed"], 2048)
    assert float(disk["monitor.disk.rqbs"]) == pytest.approx(256, rel=0.1)
    assert float(disk["monitor.disk.wqbs"]) == pytest.approx(512, rel=0.1)
    size = int(disk["monitor.disk.size"])
    assert size % (1 << 20) == 0 and int(disk["monitor.disk.usedsize"]) == size * 40 // 100
    (nic,) = place.tenant.ok("POST cloudmonitor/everynet/current", of(place.vm)).data
    assert near(nic["monitor.net.downspeed"], 3072) and near(nic["monitor.net.upspeed"], 512)
    (row,) = place.tenant.ok("POST cloudvm/vnic/search", {"vnic.vmid": place.vm}).data
    assert (nic["monitor.netcardid"], nic["monitor.netcardmac"]) == (row["vnic.id"], row["vnic.macaddress"])
    assert disk["monitor.obj"] == nic["monitor.obj"] == place.vm


def test_history_of_a_day_that_ends(place):
    """Minutes are written as they end, hours and days of them; of those that go on what is known so far."""
    assert history(place.tenant, "compute", place.vm, "day"), "nothing of the day that goes on"
    wait_until(lambda: len(history(place.tenant, "compute", place.vm, "day")) == 2, "a day to end", timeout=40)
    for kind, (first, second) in HISTORIES.items():
        for line in ("minute", "hour", "day"):
            rows = history(place.tenant, kind, place.vm, line)
            assert rows and set(rows[0]) == {"monitor.obj", "monitor.createtime", first, second}, rows
            times = [row["monitor.createtime"] for row in rows]
            assert times == sorted(set(times))
            assert all(stamp[17:] == "00" for stamp in times)
    (minute, *_) = history(place.tenant, "compute", place.vm, "minute")
    assert minute["monitor.createtime"][11:] == "23:59:00"
    assert 5 <= int(minute["monitor.cpu.rate"]) <= 50 and int(minute["monitor.mem.rate"]) <= 30
    (hour, *_) = history(place.tenant, "compute", place.vm, "hour")
    (day, *_) = history(place.tenant, "compute", place.vm, "day")
    assert hour["monitor.createtime"][11:] == "23:00:00" and day["monitor.createtime"][11:] == "00:00:00"
    assert minute["monitor.createtime"][:10] == hour["monitor.createtime"][:10] == day["monitor.createtime"][:10]
    assert hour["monitor.cpu.rate"] == day["monitor.cpu.rate"] == minute["monitor.cpu.rate"]


def test_many_at_once(place):
    settled(place.tenant, place.vm)
    other = place.tenant.vm(**place.size)
    rows = place.tenant.ok(CURRENTS, {"monitor.obj.type": "vm", "monitor.objids": [other, place.vm]}).data
    assert [row["monitor.obj"] for row in rows] == [other, place.vm]
    assert rows[1]["monitor.cpu.rate"] == "50" and int(rows[1]["monitor.disk.usedsize"]) > 0
    place.tenant.refused(CURRENTS, {"monitor.obj.type": "vm", "monitor.objids": [other, NOBODY]}, "VM_NOT_FOUND", "monitor.objids")
    place.tenant.refused(CURRENTS, {"monitor.obj.type": "vm", "monitor.objids": []}, "PARAM_MISSING", "monitor.objids")


def test_a_guest_that_stops_has_no_figures(place):
    vm = place.tenant.vm(**place.size)
    settled(place.tenant, vm, cpu="5")
    place.tenant.run("PUT cloudvm/destroy", {"vm.id": vm})
    gone = wait_until(lambda: (lambda row: row if row["monitor.cpu.rate"] == "" else None)(figures(place.tenant, vm)),
                      "no figures")
    assert gone["monitor.mem.rate"] == gone["monitor.mem.usedsize"] == ""
    assert gone["monitor.mem.size"] == "1024" and gone["monitor.createtime"]
    (disk,) = place.tenant.ok("POST cloudmonitor/everydisk/current", of(vm)).data
    assert disk["monitor.disk.readspeed"] == disk["monitor.disk.usedsize"] == "" and int(disk["monitor.disk.size"]) > 0


def test_a_disk_that_is_plugged_has_a_beginning(place):
    """No rate of its first moment; the others' go on."""
    vm = place.tenant.vm(**place.size)
    settled(place.tenant, vm, cpu="5")
    disk = add(place.tenant, vm)

    def both():
        rows = place.tenant.ok("POST cloudmonitor/everydisk/current", of(vm)).data
        return rows if len(rows) == 2 and all(row["monitor.disk.readspeed"] for row in rows) else None

    rows = wait_until(both, "figures of both disks")
    assert disk in [row["monitor.diskid"] for row in rows]
    assert all(near(row["monitor.disk.readspeed"], 4) for row in rows)


def test_who_may_see_them(place):
    stranger = place.admin.tenant()
    for op, how in [(CURRENT, of(place.vm)), ("POST cloudmonitor/everydisk/current", of(place.vm)),
                    ("POST cloudmonitor/everynet/current", of(place.vm)),
                    (CURRENTS, {"monitor.obj.type": "vm", "monitor.objids": [place.vm]}),
                    *((f"POST cloudmonitor/{kind}/history", of(place.vm, lineType="minute")) for kind in HISTORIES)]:
        stranger.refused(op, how, "VM_NOT_FOUND")
        place.admin.ok(op, how)
    place.tenant.refused(CURRENTS, {"monitor.obj.type": "host", "monitor.objids": [NOBODY]}, "ADMIN_ONLY")
    place.admin.refused(CURRENTS, {"monitor.obj.type": "host", "monitor.objids": [NOBODY]}, "HOST_NOT_FOUND")


def test_hosts(place):
    settled(place.tenant, place.vm)
    with place.database() as db:
        hosts = [row[0] for row in db.execute("SELECT id FROM host ORDER BY created, id")]
        (home,) = db.execute("SELECT host_id FROM vm WHERE id = ?", (place.vm,)).fetchone()

    def busy():
        rows = place.admin.ok(CURRENTS, {"monitor.obj.type": "host", "monitor.objids": hosts}).data
        row, = [one for one in rows if one["monitor.obj"] == home]
        return row if row["monitor.cpu.rate"] and int(row["monitor.cpu.rate"]) >= 12 else None

    row = wait_until(busy, "the host to be seen at work")  # two vCPUs at 50 % of eight CPUs
    assert row["monitor.cpu.num"] == "8" and row["monitor.mem.size"] == str(64 << 10)
    assert 2048 <= int(row["monitor.mem.usedsize"]) < 16384


def test_a_host_that_hangs_costs_itself(place):
    vms = [place.tenant.vm(**place.size) for _ in range(4)]
    with place.database() as db:
        where = dict(db.execute(f"SELECT v.id, h.name FROM vm v JOIN host h ON h.id = v.host_id WHERE v.id IN"
                                f" ({','.join('?' * len(vms))})", vms).fetchall())
    assert set(where.values()) == {"host1", "host2"}
    place.control("hang=1", "host2")
    try:
        mine = next(vm for vm, host in where.items() if host == "host1")
        seen = figures(place.tenant, mine)["monitor.createtime"]
        wait_until(lambda: figures(place.tenant, mine)["monitor.createtime"] > seen, "host1 to be asked still")
        theirs = next(vm for vm, host in where.items() if host == "host2")
        wait_until(lambda: figures(place.tenant, theirs)["monitor.cpu.rate"] == "", "no figures of host2")
    finally:
        place.control("hang=0", "host2")



def test_a_restart_makes_no_spike(place):
    settled(place.tenant, place.vm)
    before = history(place.tenant, "compute", place.vm, "minute")
    place.restart()
    rows = []

    def again():
        rows.append(figures(place.tenant, place.vm))
        return rows[-1]["monitor.cpu.rate"]

    wait_until(again, "figures")
    assert {row["monitor.cpu.rate"] for row in rows} <= {"", "5", "50"}
    assert history(place.tenant, "compute", place.vm, "minute")[:len(before) - 1] == before[:-1]
