"""Hosts that come and go while the server runs (StarVCenter 2.14 and ours): what is told of them, what they take, what
refuses, and that nothing is lost on the way."""
import os
import threading

import pytest
from servers import Servers
from starvirt import cli, wait_until

SEARCH, ADD = "POST cloudhost/search", "POST cloudhost/add"
NOBODY = "01900000-0000-7000-8000-000000000000"
RUNS, LOOKING, LOST = "1", "-1", "2"


def sim(mark, **more):
    """A simulated host of its own: the daemon ties hosts to their URI as it is written."""
    return "sim://?" + "&".join(f"{key}={value}" for key, value in {"name": f"extra{mark}-", "cpus": 16, "mem": "64G", **more}.items())


def hosts(client, **how):
    return {row["host.id"]: row for row in client.ok(SEARCH, how).data}


def add(client, uri, name="more", **more):
    return client.ok(ADD, {"host.name": name, "host.uri": uri, **more}).data["host.id"]


def ready(client, host):
    return wait_until(lambda: (lambda row: row if row["host.isconnected"] == "true" else None)(hosts(client)[host]),
                      f"host {host} to be connected")


def remove(client, host):
    return client.ok("DELETE cloudhost/{hostId}", {"hostId": host})


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    servers = Servers(tmp_path_factory.mktemp("hosts"))
    one = servers(connect="sim://?cpus=8&mem=32G&control=1")
    one.tellable.add(one.data)
    one.tenant = one.admin.tenant()
    one.size = {"vm.tenant.model": one.admin.model(size=1), "vnic.portgroupid": one.tenant.vpc()}
    (one.first,) = hosts(one.admin)
    yield one
    servers.finish()


@pytest.fixture
def servers_of_one(tmp_path):
    """Servers of one test."""
    servers = Servers(tmp_path)
    yield servers
    servers.finish()


def test_what_is_told_of_a_host(place):
    row = ready(place.admin, place.first)
    assert row["host.state"] == RUNS and row["host.ismending"] == "false" and row["host.authentication"] == "1"
    assert row["host.cpu.num"] == "8" and row["host.mem.size"] == "32" and row["host.os.bit"] == "64"
    assert row["host.virt.versoin"].startswith("sim ") and row["host.cpu.vendor"] == "simulated"
    assert row["host.uri"] == "sim://" and row["host.isgiven"] == "true" and row["host.why"] == ""
    assert row["host.vcpu.placeable"] == "64" and row["host.memory.placeable"] == str(32 << 10)
    place.tenant.refused(SEARCH, {}, "ADMIN_ONLY")


def test_one_that_is_added_takes_vms_and_goes_when_it_is_empty(place):
    mine = add(place.admin, sim(1), "second", **{"host.desc": "on trial", "host.labels": "zone=b,disk=ssd"})
    row = ready(place.admin, mine)
    assert (row["host.name"], row["host.desc"], row["host.labels"]) == ("second", "on trial", "disk=ssd,zone=b")
    assert row["host.isgiven"] == "false" and row["host.mem.size"] == "64"
    vm = place.tenant.vm(**place.size)  # spread: where there is more room
    refused = place.admin.refused("DELETE cloudhost/{hostId}", {"hostId": mine}, "HOST_IN_USE", "hostId")
    assert "1 VMs" in refused.text
    place.tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    remove(place.admin, mine)
    assert set(hosts(place.admin)) == {place.first}
    place.admin.refused("DELETE cloudhost/{hostId}", {"hostId": mine}, "HOST_NOT_FOUND")
    assert place.fsck(hosts=False) == ""


def test_filters_and_pages(place):
    more = [add(place.admin, sim(10 + i), f"page-{i}") for i in range(3)]
    all_of = list(hosts(place.admin))
    assert all_of == [place.first, *more]
    reply = place.admin.ok(SEARCH, {"page.startnum": 2, "page.everypagenum": 3})
    assert [row["host.id"] for row in reply.data] == all_of[3:] and reply.count == 4
    assert list(hosts(place.admin, **{"host.id": more[1]})) == [more[1]]
    for nothing in ({"host.id": NOBODY}, {"host.ip": "192.0.2.7"}):
        reply = place.admin.ok(SEARCH, nothing)
        assert reply.data == [] and reply.count == 0
    for host in more:
        remove(place.admin, host)


@pytest.mark.parametrize("uri,said", [
    ("qemu", "driver"), ("http://x", "driver"), ("sim://?hosts=2", "several hosts"), ("sim://?colour=red", "colour"),
    ("qemu+ssh://h/system?command=/bin/sh", "program"), ("qemu+ext://h/system", "program"),
    ("qemu+ssh://h/system?netcat=/bin/sh", "program"), ("qemu+ssh://h/system?%63ommand=/bin/sh", "program"),
    ("qemu+ssh://h/system?no_tty=1;command=/bin/sh", "program"), ("qemu+ssh://h/system?name=qemu:///embed", "program"),
    ("qemu+tcp://me:word@h/system", "password"), ("qemu+tcp://me%3Aword@h/system", "/system"),
    ("test:///etc/hostname", "test:///default"), ("test+ssh://h/etc/hostname", "test:///default"),
    ("qemu:///embed?root=/tmp/x", "program"), ("qemu:///embed", "/system"), ("qemu:///nowhere", "/system"), ("sim://?name=a b", "blanks"),
])
def test_uris_that_are_none(place, uri, said):
    before = list(hosts(place.admin))
    reply = place.admin.refused(ADD, {"host.name": "x", "host.uri": uri}, "HOST_URI", "host.uri")
    assert said in reply.text
    assert list(hosts(place.admin)) == before


def test_what_is_refused(place):
    mine = add(place.admin, sim(20))
    refused = place.admin.refused(ADD, {"host.name": "again", "host.uri": sim(20)}, "HOST_EXISTS", "host.uri")
    assert mine in refused.text
    place.admin.refused(ADD, {"host.name": "x", "host.uri": sim(21), "host.labels": "zone"}, "PARAM_FORMAT", "host.labels")
    place.admin.refused(ADD, {"host.name": " ", "host.uri": sim(21)}, "PARAM_MISSING", "host.name")
    place.admin.refused("PUT cloudhost/modify", {"host.id": NOBODY, "host.name": "x"}, "HOST_NOT_FOUND", "host.id")
    place.admin.refused("PUT cloudhost/modify", {"host.id": mine, "host.vcpu.overcommit": 5}, "PARAM_RANGE",
                        "host.vcpu.overcommit")
    place.admin.refused("DELETE cloudhost/{hostId}", {"hostId": place.first}, "HOST_GIVEN", "hostId")
    for op, how in [(ADD, {"host.name": "x", "host.uri": sim(22)}), ("PUT cloudhost/modify", {"host.id": mine}),
                    ("PUT cloudhost/mending", {"host.id": mine, "host.ismending": True}),
                    ("DELETE cloudhost/{hostId}", {"hostId": mine})]:
        place.tenant.refused(op, how, "ADMIN_ONLY")
    remove(place.admin, mine)


def test_overcommit(place):
    mine = add(place.admin, sim(30), **{"host.vcpu.overcommit": 200, "host.memory.overcommit": 150})
    row = ready(place.admin, mine)
    assert row["host.vcpu.placeable"] == "32" and row["host.memory.placeable"] == str(96 << 10)
    place.admin.ok("PUT cloudhost/modify", {"host.id": mine, "host.vcpu.overcommit": 0, "host.memory.overcommit": 50})
    row = hosts(place.admin)[mine]
    assert row["host.vcpu.placeable"] == "128" and row["host.memory.placeable"] == str(32 << 10)
    assert row["host.name"] == "more"
    remove(place.admin, mine)


def test_maintenance(place):
    """Nothing new is placed there; what is there stays, and the job says so."""
    mine = add(place.admin, sim(40), "workshop")
    ready(place.admin, mine)
    vm = place.tenant.vm(**place.size)
    job = place.admin.run("PUT cloudhost/mending", {"host.id": mine, "host.ismending": True})
    assert any("1 VMs stay" in line for line in job.lines), job.lines
    assert hosts(place.admin)[mine]["host.ismending"] == "true"
    other = place.tenant.vm(**place.size)
    with place.database() as db:
        where = dict(db.execute("SELECT id, host_id FROM vm WHERE id IN (?, ?)", (vm, other)).fetchall())
    assert where == {vm: mine, other: place.first}
    place.tenant.run("PUT cloudvm/destroy", {"vm.id": vm})
    place.tenant.run("PUT cloudvm/start", {"vm.id": vm})
    place.admin.run("PUT cloudhost/mending", {"host.id": mine, "host.ismending": False})
    for one in (vm, other):
        place.tenant.run("DELETE cloudvm/{vmId}", {"vmId": one})
    remove(place.admin, mine)


def test_states(place):
    place.control("down=1")
    try:
        row = wait_until(lambda: (lambda row: row if row["host.isconnected"] == "false" else None)(
            hosts(place.admin)[place.first]), "the loss to be told")
        assert row["host.state"] == LOOKING and row["host.why"]
    finally:
        place.control("down=0")
    assert ready(place.admin, place.first)["host.state"] == RUNS


def test_one_that_cannot_be_reached_is_there(place):
    mine = add(place.admin, "qemu+tcp://127.0.0.1:1/system", "far")
    row = wait_until(lambda: (lambda row: row if row["host.why"] else None)(hosts(place.admin)[mine]), "a reason")
    assert row["host.state"] == LOST and row["host.isconnected"] == "false"
    assert row["host.register.address"] == "127.0.0.1" and row["host.uri"] == "qemu+tcp://127.0.0.1:1/system"
    assert list(hosts(place.admin, **{"host.ip": "127.0.0.1"})) == [mine]
    remove(place.admin, mine)


def test_one_that_is_still_in_use_holds_up_no_other(servers_of_one, raw_image):
    """An import goes through all hosts, and waits for one that hangs: what was removed meanwhile stays open for it."""
    two = servers_of_one(connect="sim://?hosts=2&control=1")
    gone = add(two.admin, sim(1))
    ready(two.admin, gone)
    two.control("hang=1", host="host2")
    job = two.admin.ok("POST cloudtemplate/import", {"template.name": "slow", "template.path": raw_image,
                                                     "template.format": "raw"})
    wait_until(lambda: int(two.admin.ok("GET joblog/{startid}", {"startid": job.startid}).data["job.percent"]) > 30,
               "the first host to have it")
    remove(two.admin, gone)
    more = add(two.admin, sim(2))
    ready(two.admin, more)
    assert "event=host.closed" not in two.log(), "it was not held: the test shows nothing"
    two.control("hang=0", host="host2")
    two.admin.follow(job.startid)
    wait_until(lambda: "event=host.closed" in two.log(), "the removed one to be closed")


def test_they_are_back_after_a_restart(place):
    mine, gone = add(place.admin, sim(50), "stays"), add(place.admin, sim(51), "goes")
    remove(place.admin, gone)
    place.kill()
    place.start()
    assert list(hosts(place.admin)) == [place.first, mine]
    assert ready(place.admin, mine)["host.name"] == "stays"
    remove(place.admin, mine)


def test_the_command_line(place):
    done = cli("host", "list", server=place)
    assert done.returncode == 0 and place.first in done.stdout, done.stderr
    done = cli("host", "add", "by-hand", sim(60), server=place)
    assert done.returncode == 0, done.stderr
    (mine,) = [host for host, row in hosts(place.admin).items() if row["host.name"] == "by-hand"]
    assert cli("host", "remove", mine, server=place).returncode == 0
    assert mine not in hosts(place.admin)


def target(link):
    try:
        return os.readlink(link)
    except FileNotFoundError:  # closed since it was listed
        return ""


def left_of(server):
    """Threads, and files of hosts that were added: connections to the database come and go by themselves."""
    proc = f"/proc/{server.process.pid}"
    with open(f"{proc}/status", encoding="ascii") as f:
        threads = int(next(line for line in f if line.startswith("Threads:")).split()[1])
    return threads, [name for name in (target(f"{proc}/fd/{fd}") for fd in os.listdir(f"{proc}/fd")) if "extra" in name]


def test_a_hundred_come_and_go_under_load(place):
    """While VMs are made and deleted on others: nothing is lost, and nothing is left of them."""
    stop, failed, made = threading.Event(), [], [0]

    def load():
        client = type(place.tenant)(place, place.tenant.token)
        try:
            while not stop.is_set():
                vm = client.vm(**place.size)
                client.run("DELETE cloudvm/{vmId}", {"vmId": vm})
                made[0] += 1
        except Exception as error:  # noqa: BLE001 - told below
            failed.append(error)

    first = add(place.admin, sim(99))  # what stays for good is there now
    ready(place.admin, first)
    remove(place.admin, first)
    wait_until(lambda: "host.closed" in place.log(), "the first to be closed")
    threads, _ = left_of(place)
    workers = [threading.Thread(target=load) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        for i in range(100):
            mine = add(place.admin, sim(100 + i), f"guest-{i}")
            place.admin.ok("PUT cloudhost/mending", {"host.id": mine, "host.ismending": True})
            reply = place.admin.call("DELETE cloudhost/{hostId}", {"hostId": mine})
            while not reply.ok:  # a VM was quicker, or the job of its maintenance is open
                assert reply.code in ("HOST_IN_USE", "HOST_LOCKED"), reply
                reply = place.admin.call("DELETE cloudhost/{hostId}", {"hostId": mine})
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert not failed and made[0] > 0, failed
    assert set(hosts(place.admin)) == {place.first}
    assert place.fsck(hosts=False) == ""
    wait_until(lambda: left_of(place)[1] == [] and left_of(place)[0] <= threads + 8, "all of them to be closed")


def test_one_that_does_not_open_is_tried_again(place):
    """What is in the way goes."""
    way = os.path.join(place.data, "sim", "extra77-1.journal")
    os.mkdir(way)
    mine = add(place.admin, sim(77), "late")
    wait_until(lambda: "host.not_opened" in place.log(), "the first try")
    assert hosts(place.admin)[mine]["host.isconnected"] == "false"
    os.rmdir(way)
    ready(place.admin, mine)
    place.stop()
    os.rename(way, way + ".away")
    os.mkdir(way)
    place.start()  # in spite of it
    os.rmdir(way)
    os.rename(way + ".away", way)
    ready(place.admin, mine)
    remove(place.admin, mine)
