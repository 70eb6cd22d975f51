"""Which host a VM goes to, held against a model that computes it from sizes alone: 1,000 VMs on 20 unequal hosts. What a
job's log says of it, what NO_CAPACITY says, and the last place under a race."""

import contextlib
import random

import pytest
from starvirt import Client, wait_until
from test_vdisk import at_once

GIB = 1024  # [MB]
SIZES = [(40 + 8 * (n % 5), 60 + 16 * (n % 7)) for n in range(20)]  # (CPUs, GiB)


def uri(sizes, more=""):
    own = "".join(f"&cpus.host{n}={cpus}&mem.host{n}={gib}G" for n, (cpus, gib) in enumerate(sizes, 1))
    return f"sim://?hosts={len(sizes)}{own}{more}"


def wait_for(rows):
    wait_until(lambda: bool(rows()), "the host is known to be there, or away")


class Model:
    """The hosts as they should be: free vCPUs and memory [MB] of each."""

    def __init__(self, rows, policy):
        self.free = {host: [vcpus, memory >> 20] for host, vcpus, memory in rows}
        self.away, self.least_first = set(), policy == "pack"

    def fit(self, vcpus, memory):
        return [host for host, (c, m) in self.free.items() if host not in self.away and c >= vcpus and m >= memory]

    def place(self, vcpus, memory):
        sign = 1 if self.least_first else -1
        best = min(self.fit(vcpus, memory), key=lambda host: (sign * self.free[host][1], host))
        self.give(best, -vcpus, -memory)
        return best

    def give(self, host, vcpus, memory):
        self.free[host][0] += vcpus
        self.free[host][1] += memory


class Place:
    """A server of its own, whose hosts nobody else uses."""

    def __init__(self, server, connect, *options):
        self.server = server(connect=connect, options=list(options))
        self.admin, self.tenant = self.server.admin, self.server.admin.tenant()
        self.model = self.admin.model(size=1)
        self.vpc, self.left = None, 0

    def order(self, vcpus, memory, count=1):
        if self.left < count:  # a VPC has some 250 addresses
            self.vpc, self.left = self.tenant.vpc(), 240
        self.left -= count
        return {"vnic.portgroupid": self.vpc, "vm.tenant.model": self.model, "vm.vcpu.num": vcpus,
                "vm.memory.mem": memory, "vm.num": count}

    def create(self, vcpus, memory, count=1):
        return self.tenant.ok("POST cloudvm/create", self.order(vcpus, memory, count)).data

    def refused(self, vcpus, memory):
        return self.tenant.refused("POST cloudvm/create", self.order(vcpus, memory), "NO_CAPACITY").text

    def rows(self, sql, mode="ro"):
        with self.server.database(mode) as db, contextlib.closing(db.execute(sql)) as found:
            rows = found.fetchall()
            db.commit()
            return rows

    def maintain(self, hosts):
        """Just these hosts are in maintenance from now on."""
        self.server.stop()
        for host, in self.rows("SELECT id FROM host"):
            self.rows(f"UPDATE host SET maintenance = {int(host in hosts)} WHERE id = '{host}' RETURNING 1", "rw")
        self.server.start()

    def hosts(self):
        """id -> number behind the URI"""
        return dict(self.rows("SELECT id, idx + 1 FROM host"))


@pytest.mark.parametrize("policy", ["spread", "pack"])
def test_a_thousand_vms_go_where_the_model_says(server, policy):
    one = Place(server, uri(SIZES), "--placement.policy", policy, "--hv.vcpu_overcommit", "4")
    model = Model(one.rows("SELECT id, vcpus, memory FROM host"), policy)
    numbers, dice = one.hosts(), random.Random(10)
    assert sorted(c for c, _ in model.free.values()) == sorted(4 * cpus for cpus, _ in SIZES)
    assert sorted(m for _, m in model.free.values()) == sorted(gib * GIB for _, gib in SIZES)
    wanted = {}
    for round_ in range(4):
        if round_:  # some hosts go into maintenance, some come back
            model.away ^= set(dice.sample(sorted(model.free), 5))
            one.maintain(model.away)
        made = []
        while len(made) < 250:
            vcpus, memory, count = dice.choice([1, 1, 2, 4]), dice.choice([256, 512, 1024, 2048]), dice.randint(1, 10)
            rows = one.create(vcpus, memory, min(count, 250 - len(made)))
            wanted.update((row["vm.id"], model.place(vcpus, memory)) for row in rows)
            made += rows
        for row in made:
            one.tenant.done(row["jobstartid"])
    where = dict(one.rows("SELECT id, host_id FROM vm"))
    assert {vm: numbers[host] for vm, host in where.items()} == {vm: numbers[host] for vm, host in wanted.items()}
    books = {host: [vcpus, memory >> 20] for host, vcpus, memory in
             one.rows("SELECT id, vcpus - used_vcpus, memory - used_memory FROM host")}
    assert books == model.free


def test_the_log_says_why(server):
    """The administrator reads the host's name, the owner how many there were; both read what ruled hosts out."""
    one = Place(server, uri([(8, 8), (8, 4), (1, 64), (8, 64)], "&control=1"), "--hv.vcpu_overcommit", "1")
    one.server.control("down=1", host="host4")
    wait_for(lambda: one.rows("SELECT 1 FROM host WHERE connected = 0"))
    row, = one.create(2, 1024)
    tenant, admin = (" ".join(map(str, who.follow(row["jobstartid"]).lines)) for who in (one.tenant, one.admin))
    assert "placed on a host: most free memory (of 2 that can take it)" in tenant and "host1" not in tenant
    assert "placed on host host1: most free memory (of 2 that can take it)" in admin
    for text in (tenant, admin):
        assert "hosts that cannot: 1 not connected, 1 short of vCPU (2 > 1)" in text
    chinese = Client(one.server, one.tenant.token, lang="zh")
    text = " ".join(map(str, chinese.follow(row["jobstartid"]).lines))
    assert "已分配主机:空闲内存最多(共 2 台可用)" in text and "不可用的主机:1 台未连接、1 台 vCPU 不足(2 > 1)" in text


def test_no_capacity_says_what_is_short_on_how_many(server):
    one = Place(server, uri([(4, 4)] * 12 + [(1, 64)] * 5 + [(8, 64)] * 3), "--hv.vcpu_overcommit", "1")
    text = one.refused(2, 65 * GIB)
    assert "20 hosts: 20 short of memory (66560 MB > 65536 MB), 5 short of vCPU (2 > 1)" in text
    made = one.create(8, 63 * GIB, 3)
    text = one.refused(5, 5 * GIB)
    assert "20 hosts: 20 short of vCPU (5 > 4), 15 short of memory (5120 MB > 4096 MB)" in text
    assert one.rows("SELECT count(*) FROM vm") == [(3,)]
    for row in made:
        one.tenant.done(row["jobstartid"])


def test_a_host_in_maintenance_takes_nothing_new(server):
    one = Place(server, uri([(8, 8), (8, 64)]))
    (big,), = one.rows("SELECT id FROM host WHERE idx = 1")
    one.maintain({big})
    for row in one.create(1, 1024, 4):
        one.tenant.done(row["jobstartid"])
    assert one.rows("SELECT DISTINCT host_id <> '" + big + "' FROM vm") == [(1,)]
    assert "2 hosts: 1 short of memory (8192 MB > 4096 MB), 1 in maintenance" in one.refused(1, 8 * GIB) or \
        "2 hosts: 1 in maintenance, 1 short of memory (8192 MB > 4096 MB)" in one.refused(1, 8 * GIB)


def test_labels_that_a_host_must_have(server):
    """Administrators ask for them, for whom they make the VM; a clone of its backup asks for the same."""
    one = Place(server, uri([(16, 8 * n) for n in range(1, 7)]))
    ids = {number: host for host, number in one.hosts().items()}
    has = {1: "disk=ssd", 2: "disk=ssd,zone=a", 3: "disk=hdd,zone=a", 4: "zone=a", 5: "disk=ssd2"}
    one.server.stop()
    for number, labels in has.items():
        one.rows(f"UPDATE host SET labels = '{labels}' WHERE id = '{ids[number]}' RETURNING 1", "rw")
    one.server.start()
    model = Model(one.rows("SELECT id, vcpus, memory FROM host"), "spread")
    for wish in ("disk=ssd", "zone=a", "zone=a,disk=ssd", "disk=hdd", "disk=ssd", "zone=a", "") * 2:
        fit = {ids[n] for n, labels in has.items() if set(wish.split(",")) <= set(labels.split(","))}
        model.away = set(model.free) - fit if wish else set()
        order = {**one.order(1, 1024), "vm.host.labels": wish, "tenant.id": one.tenant.id}
        row, = one.admin.ok("POST cloudvm/create", order).data
        one.tenant.done(row["jobstartid"])
        assert one.rows(f"SELECT host_id, labels FROM vm WHERE id = '{row['vm.id']}'") == [
            (model.place(1, 1024), ",".join(sorted(wish.split(","))))]
        if wish == "disk=hdd":
            last = row["vm.id"]
    one.tenant.run("POST cloudvm/backup/create", {"backup.vmid": last, "backup.name": "x"})
    made, = one.tenant.ok("GET cloudvm/backup/{vmId}", {"vmId": last}).data
    clone, = one.tenant.ok("POST cloudvm/backup/clone", {"backup.id": made["backup.id"]}).data
    one.tenant.done(clone["jobstartid"])
    assert one.rows(f"SELECT host_id, labels FROM vm WHERE id = '{clone['vm.id']}'") == [(ids[3], "disk=hdd")]
    order = {**one.order(1, 64), "tenant.id": one.tenant.id}
    text = one.admin.refused("POST cloudvm/create", {**order, "vm.host.labels": "disk=tape"}, "NO_CAPACITY").text
    assert "6 hosts: 6 without the labels" in text
    one.admin.refused("POST cloudvm/create", {**order, "vm.host.labels": "tape"}, "PARAM_FORMAT", "vm.host.labels")
    one.tenant.refused("POST cloudvm/create", {**one.order(1, 64), "vm.host.labels": "disk=ssd"}, "ADMIN_ONLY",
                       "vm.host.labels")


@pytest.mark.race
def test_one_gets_the_last_place(server):
    """As many at once as there are places, and more: exactly those get one, nobody is refused while one is left."""
    one = Place(server, uri([(2, 1), (3, 1), (1, 1)], "&delay=1ms"), "--hv.vcpu_overcommit", "1")
    orders = [one.order(1, 64) for _ in range(12)]
    replies = at_once([lambda o=o: one.tenant.call("POST cloudvm/create", o) for o in orders])
    assert [reply.ok for reply in replies].count(True) == 6
    assert {reply.code for reply in replies if not reply.ok} == {"NO_CAPACITY"}
    gone = [reply.data[0] for reply in replies if reply.ok]
    for row in gone:
        one.tenant.done(row["jobstartid"])
    assert one.rows("SELECT DISTINCT vcpus - used_vcpus FROM host") == [(0,)]
    one.tenant.run("DELETE cloudvm/{vmId}", {"vmId": gone[0]["vm.id"]})
    replies = at_once([lambda o=o: one.tenant.call("POST cloudvm/create", o) for o in orders[:4]])
    assert [reply.ok for reply in replies].count(True) == 1
    one.tenant.done(next(reply for reply in replies if reply.ok).data[0]["jobstartid"])


def affinity(one, policy, strict):
    return one.tenant.ok("POST cloudaffinity/create", {"affinity.name": policy, "affinity.policy": policy,
                                                       "affinity.strict": str(strict).lower()}).data["affinity.id"]


@pytest.mark.parametrize("policy", ["together", "apart"])
@pytest.mark.parametrize("strict", [True, False])
def test_groups_of_vms(server, policy, strict):
    """Strict: where the rule lets it, or not at all. Else: where it can be, and then anywhere."""
    one = Place(server, uri([(8, 8), (8, 16), (8, 24)]), "--hv.vcpu_overcommit", "1")
    group = affinity(one, policy, strict)
    order = {**one.order(4, 1024, 2), "vm.affinity.id": group}
    made = one.tenant.ok("POST cloudvm/create", order).data
    made += one.tenant.ok("POST cloudvm/create", {**order, "vm.num": 1}).data if policy == "apart" else []
    hosts = one.rows("SELECT DISTINCT host_id FROM vm")
    assert len(hosts) == (3 if policy == "apart" else 1)
    reply = one.tenant.call("POST cloudvm/create", {**order, "vm.num": 1})
    assert reply.ok != strict
    if strict:
        assert ("with VMs to keep apart from" if policy == "apart" else "without the VMs to be with") in reply.text
        assert reply.code == "NO_CAPACITY"
    else:
        made += reply.data
    for row in made:
        one.tenant.done(row["jobstartid"])
        assert one.tenant.show(row["vm.id"])["vm.affinity.id"] == group
    row, = one.tenant.ok("POST cloudaffinity/search").data
    assert sorted(row["vm.id"].split(",")) == sorted(m["vm.id"] for m in made)
    one.tenant.refused("DELETE cloudaffinity/{affinityId}", {"affinityId": group}, "AFFINITY_IN_USE")
    for row in made:
        one.tenant.run("DELETE cloudvm/{vmId}", {"vmId": row["vm.id"]})
    one.tenant.ok("DELETE cloudaffinity/{affinityId}", {"affinityId": group})
    one.tenant.refused("POST cloudvm/create", order, "AFFINITY_NOT_FOUND", "vm.affinity.id")
