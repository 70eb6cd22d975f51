"""Storages: added, listed, changed, measured, removed; disks of VMs placed on them; Ceph disks without a VM;
their key in no file, log or reply that is not its own; crashes."""
import base64
import os
import subprocess

import pytest
from simhost import SimHost
from daemon import Server
from starvirt import CLI, files_below, unique
from test_vdisk import NOBODY, add, at_once, delete, disks, grow, storage_left

GIB = 1 << 30
CANARY = base64.b64encode(b"ceph-Kanarienvogel-8f1c0b").decode()
# What the tests that plant faults are answered.
FAULTY = [r'route="cloud(storage/.*|vm/vdisk/create/pv)" status="200" result="(HYPERVISOR|STORAGE_FULL)"']


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    """A server of two hosts with little room of their own."""
    found = Server(tmp_path_factory.mktemp("storages") / "data", "sim://?hosts=2&control=1&storage=20G&pool=1T")
    found.tellable.add(found.data)  # where its image directories are: administrators are told
    found.expect(*FAULTY)
    yield found.start()
    complaints = found.finish()
    assert not complaints, "\n".join(complaints)
    found.erase()


@pytest.fixture
def boss(far):
    return far.admin


def rows(client):
    return {row["storage.id"]: row for row in client.ok("POST cloudstorage/search").data}


def own(client):
    """The image directories, one a host."""
    return [row for row in rows(client).values() if row["storage.name"] == "local"]


def directory(client, host=None, **more):
    host = host or own(client)[0]["storage.hostid"]
    params = {"storage.name": unique("dir"), "storage.type": "dir", "storage.location": "/srv/" + unique("d"),
              "storage.hostid": host, **more}
    return client.ok("POST cloudstorage/add", params).data["storage.id"]


def ceph_params(**more):
    return {"storage.name": unique("ceph"), "storage.type": "CEPH", "storage.location": unique("rbd"),
            "storage.ceph.monitorip": "10.1.1.1:6789,mon.example,[2001:db8::1]:3300",
            "storage.ceph.poolname": unique("pool"), "storage.ceph.user": "k8s", "storage.ceph.key": CANARY, **more}


def ceph(client, **more):
    return client.ok("POST cloudstorage/add", ceph_params(**more)).data["storage.id"]


def remove(client, storage):
    return client.ok("DELETE cloudstorage/{storageId}", {"storageId": storage})


def pv(client, storage, size=1, **more):
    (found,) = client.ok("POST cloudvm/vdisk/create/pv", {"vdisk.name": unique("pv"), "vdisk.size": size,
                                                          "vdisk.storageid": storage, **more}).data
    return found


# ------------------------------------------------------------------------------------------------- the verbs
def test_image_directories_are_storages(boss):
    found = own(boss)
    assert len(found) == 2 and len({row["storage.hostid"] for row in found}) == 2
    for row in found:
        assert row["storage.type"] == "DIR" and row["storage.use.type"] == "main" and row["storage.size"] == "20"
        assert row["storage.thin"] == "true" and row["storage.file.type"] == "file"
        assert row["storage.io.auth"] == "rw" and row["storage.ceph.monitorip"] == ""
        assert row["storage.createtime"] and row["storage.shared"] == "false"
        boss.refused("DELETE cloudstorage/{storageId}", {"storageId": row["storage.id"]}, "STORAGE_IN_USE")
        boss.ok("PUT cloudstorage/refresh", {"storage.id": row["storage.id"]})


def test_a_directory_comes_and_goes(boss):
    before = set(rows(boss))
    storage = directory(boss, **{"storage.desc": "für Daten 数据", "storage.use.type": "seconds"})
    row = rows(boss)[storage]
    assert row["storage.desc"] == "für Daten 数据" and row["storage.use.type"] == "seconds"
    assert (row["storage.type"], row["storage.size"], row["storage.usedsize"]) == ("DIR", "1024", "0")
    boss.ok("PUT cloudstorage/modify", {"storage.id": storage, "storage.name": "other"})
    row = rows(boss)[storage]
    assert (row["storage.name"], row["storage.desc"], row["storage.use.type"]) == ("other", "für Daten 数据", "seconds")
    boss.ok("PUT cloudstorage/modify", {"storage.id": storage, "storage.use.type": "main"})
    row = rows(boss)[storage]
    assert (row["storage.name"], row["storage.use.type"]) == ("other", "main")
    boss.ok("PUT cloudstorage/refresh", {"storage.id": storage})
    remove(boss, storage)
    assert set(rows(boss)) == before
    for op, params in (("DELETE cloudstorage/{storageId}", {"storageId": storage}),
                       ("PUT cloudstorage/refresh", {"storage.id": storage}),
                       ("PUT cloudstorage/modify", {"storage.id": storage, "storage.name": "x"})):
        boss.refused(op, params, "STORAGE_NOT_FOUND")


def test_kinds_as_the_document_shows_them(boss):
    nfs = boss.ok("POST cloudstorage/add", {"storage.name": "n", "storage.type": "nfs",
                                            "storage.location": f"nas.example:/{unique('x')}/y"}).data["storage.id"]
    rbd = ceph(boss)
    row = rows(boss)[nfs]
    assert (row["storage.type"], row["storage.file.type"], row["storage.shared"]) == ("NFS", "file", "true")
    row = rows(boss)[rbd]
    assert (row["storage.type"], row["storage.file.type"], row["storage.shared"]) == ("CEPH", "network", "true")
    assert row["storage.ceph.monitorip"] == "10.1.1.1:6789,mon.example,[2001:db8::1]:3300"
    assert row["storage.ceph.poolname"]
    for storage in (nfs, rbd):
        remove(boss, storage)


def test_pages(boss):
    made = [directory(boss) for _ in range(3)]
    whole = list(rows(boss))
    reply = boss.ok("POST cloudstorage/search", {"page.startnum": 2, "page.everypagenum": 2})
    assert [row["storage.id"] for row in reply.data] == whole[2:4] and int(reply.count) == len(whole)
    for storage in made:
        remove(boss, storage)


def test_it_is_added_once(boss):
    first, second = (row["storage.hostid"] for row in own(boss))
    place = "/srv/" + unique("once")
    storage = directory(boss, first, **{"storage.location": place})
    params = {"storage.name": "x", "storage.type": "dir", "storage.location": place, "storage.hostid": first}
    boss.refused("POST cloudstorage/add", params, "STORAGE_EXISTS", "storage.location")
    other = directory(boss, second, **{"storage.location": place})  # another host's directory of that name
    order = ceph_params()
    rbd = boss.ok("POST cloudstorage/add", order).data["storage.id"]
    boss.refused("POST cloudstorage/add", {**order, "storage.location": "another"}, "STORAGE_EXISTS")
    for row in (storage, other, rbd):
        remove(boss, row)
    remove(boss, boss.ok("POST cloudstorage/add", order).data["storage.id"])  # and again when it is gone


@pytest.mark.race
def test_many_add_the_same_at_once(boss):
    host = own(boss)[0]["storage.hostid"]
    params = {"storage.name": "x", "storage.type": "dir", "storage.location": "/srv/" + unique("race"),
              "storage.hostid": host}
    replies = at_once([lambda: boss.call("POST cloudstorage/add", params)] * 6)
    good = [reply for reply in replies if reply.ok]
    assert len(good) == 1 and {reply.code for reply in replies if not reply.ok} == {"STORAGE_EXISTS"}
    replies = at_once([lambda: boss.call("DELETE cloudstorage/{storageId}",
                                         {"storageId": good[0].data["storage.id"]})] * 4)
    assert sum(reply.ok for reply in replies) == 1
    assert {reply.code for reply in replies if not reply.ok} == {"STORAGE_NOT_FOUND"}


# --------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize("location", [
    "relative/path", "/", "/a//b", "/a/", "/a/../etc", "/a/./b", "", "/x" * 300])
def test_paths_that_are_none(boss, location):
    host = own(boss)[0]["storage.hostid"]
    boss.refused("POST cloudstorage/add", {"storage.name": "x", "storage.type": "dir", "storage.location": location,
                                           "storage.hostid": host}, field="storage.location")


@pytest.mark.parametrize("location", ["/etc", "/etc/x", "/usr/share/x", "/proc/1", "/tmp", "/var/lib/libvirt", "/root",
                                      "/boot/efi", "/dev/shm", "/run/x"])
def test_directories_of_the_system(boss, location):
    host = own(boss)[0]["storage.hostid"]
    boss.refused("POST cloudstorage/add", {"storage.name": "x", "storage.type": "dir", "storage.location": location,
                                           "storage.hostid": host}, "STORAGE_PATH", "storage.location")


def test_directories_of_the_program(far, boss):
    host = own(boss)[0]["storage.hostid"]
    for below in ("", "/secrets", "/backups/x", "/sim", "/imagesque"):
        boss.refused("POST cloudstorage/add", {"storage.name": "x", "storage.type": "dir", "storage.hostid": host,
                                               "storage.location": far.data + below}, "STORAGE_PATH")
    boss.refused("POST cloudstorage/add", {"storage.name": "x", "storage.type": "dir", "storage.hostid": host,
                                           "storage.location": os.path.dirname(far.data)}, "STORAGE_PATH")
    boss.refused("POST cloudstorage/add", {"storage.name": "x", "storage.type": "dir", "storage.hostid": host,
                                           "storage.location": far.data + "/images"}, "STORAGE_EXISTS")


@pytest.mark.parametrize("change,code,field", [
    ({"storage.type": "lvm"}, "STORAGE_TYPE", "storage.type"),
    ({"storage.type": "iscsi"}, "STORAGE_TYPE", "storage.type"),
    ({"storage.name": " "}, "PARAM_MISSING", "storage.name"),
    ({"storage.name": None}, "PARAM_MISSING", "storage.name"),
    ({"storage.location": None}, "PARAM_MISSING", "storage.location"),
    ({"storage.hostid": NOBODY}, "HOST_NOT_FOUND", "storage.hostid"),
    ({"storage.use.type": "third"}, "PARAM_ENUM", "storage.use.type"),
    ({"storage.ceph.monitorip": None}, "PARAM_MISSING", "storage.ceph.monitorip"),
    ({"storage.ceph.poolname": None}, "PARAM_MISSING", "storage.ceph.poolname"),
    ({"storage.ceph.user": None}, "PARAM_MISSING", "storage.ceph.user"),
    ({"storage.ceph.key": None}, "PARAM_MISSING", "storage.ceph.key"),
    ({"storage.ceph.key": "-no base64-"}, "PARAM_FORMAT", "storage.ceph.key"),
    ({"storage.ceph.monitorip": "a,,b"}, "PARAM_FORMAT", "storage.ceph.monitorip"),
    ({"storage.ceph.monitorip": "a:0"}, "PARAM_FORMAT", "storage.ceph.monitorip"),
    ({"storage.ceph.monitorip": "a:65536"}, "PARAM_FORMAT", "storage.ceph.monitorip"),
    ({"storage.ceph.monitorip": "a:x"}, "PARAM_FORMAT", "storage.ceph.monitorip"),
    ({"storage.ceph.monitorip": "a'/><b"}, "PARAM_FORMAT", "storage.ceph.monitorip"),
    ({"storage.ceph.monitorip": "-c/etc"}, "PARAM_FORMAT", "storage.ceph.monitorip"),
    ({"storage.ceph.poolname": "a/b"}, "PARAM_FORMAT", "storage.ceph.poolname"),
    ({"storage.ceph.poolname": "--p"}, "PARAM_FORMAT", "storage.ceph.poolname"),
    ({"storage.ceph.user": "a b"}, "PARAM_FORMAT", "storage.ceph.user"),
])
def test_bad_input(boss, change, code, field):
    before = set(rows(boss))
    params = {key: value for key, value in {**ceph_params(), **change}.items() if value is not None}
    reply = boss.refused("POST cloudstorage/add", params, code, field)
    if code == "STORAGE_TYPE":
        assert "dir, nfs, ceph" in reply.text
    assert CANARY not in str(reply) and set(rows(boss)) == before


@pytest.mark.parametrize("location", ["nas", "nas:", ":/x", "nas:x", "-o:/x", "n a s:/x", "nas:/x/../y", "nas:/a,b",
                                      "[::1:/x", "nas/x:/y"])
def test_bad_exports(boss, location):
    boss.refused("POST cloudstorage/add", {"storage.name": "x", "storage.type": "nfs", "storage.location": location},
                 "PARAM_FORMAT", "storage.location")


def test_which_host_has_to_be_said(boss):
    boss.refused("POST cloudstorage/add", {"storage.name": "x", "storage.type": "dir", "storage.location": "/srv/y"},
                 "PARAM_MISSING", "storage.hostid")


def test_tenants_have_no_part_in_it(boss):
    tenant, storage = boss.tenant(), ceph(boss)
    for op, params in (("POST cloudstorage/search", {}),
                       ("POST cloudstorage/add", ceph_params()),
                       ("PUT cloudstorage/modify", {"storage.id": storage, "storage.name": "x"}),
                       ("PUT cloudstorage/refresh", {"storage.id": storage}),
                       ("DELETE cloudstorage/{storageId}", {"storageId": storage}),
                       ("POST cloudvm/vdisk/create/pv", {"vdisk.name": "x", "vdisk.size": 1,
                                                         "vdisk.storageid": storage})):
        tenant.refused(op, params, "ADMIN_ONLY")
    remove(boss, storage)


# ------------------------------------------------------------------------------------------------ disks of VMs
def test_disks_go_where_there_is_most_room(far, boss):
    """Also back: the system disk, a data disk, growth, a restart of the server, deletion."""
    tenant = boss.tenant()
    hosts = {row["storage.hostid"] for row in own(boss)}
    made = [directory(boss, host) for host in hosts]
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=boss.model(size=1))
    disk = add(tenant, vm, 3)
    held = {}
    for name in ("host1", "host2"):
        held.update(SimHost(far, name).places)
    mine = {row["vdisk.id"] for row in disks(tenant, vm).values()}
    assert mine == set(held) and len(set(held.values())) == 1 and set(held.values()) <= set(made)
    storage = held[disk]
    boss.ok("PUT cloudstorage/refresh", {"storage.id": storage})
    assert rows(boss)[storage]["storage.usedsize"] == "4"
    reply = boss.refused("DELETE cloudstorage/{storageId}", {"storageId": storage}, "STORAGE_IN_USE")
    assert "2 disks" in reply.text
    grow(tenant, disk, 5)
    far.restart()
    tenant.run("PUT cloudvm/destroy", {"vm.id": vm})
    tenant.run("PUT cloudvm/start", {"vm.id": vm})
    grow(tenant, disk, 6)
    other = add(tenant, vm, 1)
    delete(tenant, disk)
    name = next(name for name in ("host1", "host2") if vm in SimHost(far, name).domains)
    host = SimHost(far, name)
    assert host.agrees(tenant, vm).runs and disk not in host.volumes and host.places[other] == storage
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    assert not SimHost(far, name).volumes
    for storage in made:
        remove(boss, storage)


def test_the_image_directory_may_be_left_out(far, boss):
    """A second storage takes no disk of a VM; without any main one nothing is placed."""
    tenant, model = boss.tenant(), boss.model(size=1)
    vpc = tenant.vpc()
    locals_ = own(boss)
    for row in locals_:
        boss.ok("PUT cloudstorage/modify", {"storage.id": row["storage.id"], "storage.use.type": "seconds"})
    tenant.refused("POST cloudvm/create", {"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.vcpu.num": 1,
                                           "vm.memory.mem": 64}, "NO_CAPACITY")
    for row in locals_:
        boss.ok("PUT cloudstorage/modify", {"storage.id": row["storage.id"], "storage.use.type": "main"})
    vm = tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model)
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})


def test_a_host_that_comes_back_knows_its_storages(far, boss):
    tenant = boss.tenant()
    made = [directory(boss, row["storage.hostid"]) for row in own(boss)]
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=boss.model(size=1))
    disk = disks(tenant, vm)["vda"]["vdisk.id"]
    name = next(name for name in ("host1", "host2") if vm in SimHost(far, name).domains)
    assert SimHost(far, name).places[disk] in made
    since = boss.last_event()
    far.control("down=1", name)
    boss.wait_event(lambda e: e["event.type"] == "host.lost", since)
    far.control("down=0", name)
    boss.wait_event(lambda e: e["event.type"] == "host.connected", since)
    grow(tenant, disk, 2)  # needs it open
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    assert disk not in SimHost(far, name).volumes
    for storage in made:
        remove(boss, storage)


@pytest.mark.parametrize("call", ["pool_open", "pool_info"])
def test_an_addition_that_fails_leaves_nothing(far, boss, call):
    before, secrets = set(rows(boss)), far.secrets()
    for host in ("host1", "host2"):
        far.control(f"fail={call}:1", host)
    try:
        boss.refused("POST cloudstorage/add", ceph_params(), "HYPERVISOR")
        boss.refused("POST cloudstorage/add", {"storage.name": "x", "storage.type": "dir", "storage.location": "/srv/f",
                                               "storage.hostid": own(boss)[0]["storage.hostid"]}, "HYPERVISOR")
    finally:
        for host in ("host1", "host2"):
            far.control(f"fail={call}:0", host)
    assert set(rows(boss)) == before and far.secrets() == secrets


def test_a_removal_that_fails_leaves_all(far, boss):
    storage = ceph(boss)
    for host in ("host1", "host2"):
        far.control("fail=pool_close:1", host)
    try:
        boss.refused("DELETE cloudstorage/{storageId}", {"storageId": storage}, "HYPERVISOR")
    finally:
        for host in ("host1", "host2"):
            far.control("fail=pool_close:0", host)
    disk = pv(boss, storage)["vdisk.id"]
    delete(boss, disk)
    remove(boss, storage)


# --------------------------------------------------------------------------------------- disks without a VM
def test_a_disk_without_a_vm(far, boss):
    tenant = boss.tenant(storage=10)
    order = ceph_params()
    storage = boss.ok("POST cloudstorage/add", order).data["storage.id"]
    found = pv(boss, storage, 3, **{"tenant.id": tenant.id, "vdisk.use.type": "volume", "vdisk.desc": "d"})
    assert found["ceph.key"] == CANARY and found["ceph.poolname"] == order["storage.ceph.poolname"]
    assert found["ceph.monitor"] == order["storage.ceph.monitorip"] and found["ceph.user"] == "k8s"
    disk = found["vdisk.id"]
    host = next(h for h in (SimHost(far, "host1"), SimHost(far, "host2")) if disk in h.volumes)
    assert host.volumes[disk] == 3 * GIB and host.places[disk] == storage
    assert storage_left(tenant) == 7
    boss.refused("DELETE cloudstorage/{storageId}", {"storageId": storage}, "STORAGE_IN_USE")
    tenant.refused("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 2}, "DISK_SHRINK")
    tenant.refused("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 11}, "QUOTA_STORAGE")
    grow(tenant, disk, 5)
    assert storage_left(tenant) == 5
    boss.tenant().refused("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disk}, "DISK_NOT_FOUND")
    boss.refused("DELETE cloudTenant/{appId}", {"appId": tenant.id}, "TENANT_IN_USE")
    delete(tenant, disk)
    assert storage_left(tenant) == 10
    assert all(disk not in SimHost(far, name).volumes for name in ("host1", "host2"))
    tenant.refused("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disk}, "DISK_NOT_FOUND")
    remove(boss, storage)


def test_on_ceph_only(boss):
    storage = directory(boss)
    reply = boss.refused("POST cloudvm/vdisk/create/pv", {"vdisk.name": "x", "vdisk.size": 1,
                                                          "vdisk.storageid": storage}, "STORAGE_TYPE", "vdisk.storageid")
    assert "ceph" in reply.text
    remove(boss, storage)
    for bad in (storage, NOBODY, "x"):
        boss.refused("POST cloudvm/vdisk/create/pv", {"vdisk.name": "x", "vdisk.size": 1, "vdisk.storageid": bad},
                     "STORAGE_NOT_FOUND", "vdisk.storageid")


@pytest.mark.parametrize("change,code,field", [
    ({"vdisk.size": 0}, "PARAM_RANGE", "vdisk.size"), ({"vdisk.size": 65537}, "PARAM_RANGE", "vdisk.size"),
    ({"vdisk.name": ""}, None, "vdisk.name"), ({"vdisk.use.type": "other"}, "PARAM_ENUM", "vdisk.use.type"),
    ({"tenant.id": NOBODY}, "TENANT_NOT_FOUND", "tenant.id")])
def test_bad_disks(boss, change, code, field):
    storage = ceph(boss)
    boss.refused("POST cloudvm/vdisk/create/pv", {"vdisk.name": "x", "vdisk.size": 1, "vdisk.storageid": storage,
                                                  **change}, code, field)
    remove(boss, storage)


def test_a_full_storage_and_a_fault(far, boss):
    """1 TB it holds: nothing is left of what does not fit, or does not come to be."""
    tenant, storage = boss.tenant(storage=3000), ceph(boss)
    disk = pv(boss, storage, 1000, **{"tenant.id": tenant.id})["vdisk.id"]
    order = {"vdisk.name": "x", "vdisk.size": 25, "vdisk.storageid": storage, "tenant.id": tenant.id}
    boss.refused("POST cloudvm/vdisk/create/pv", order, "STORAGE_FULL")
    reply = tenant.ok("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 1025})
    assert tenant.follow(reply.startid).result != "0"
    for host in ("host1", "host2"):
        far.control("fail=volume_create:1", host)
    boss.refused("POST cloudvm/vdisk/create/pv", {**order, "vdisk.size": 1}, "HYPERVISOR")
    for host in ("host1", "host2"):
        far.control("fail=volume_create:0", host)
    assert storage_left(tenant) == 2000
    delete(tenant, disk)
    assert storage_left(tenant) == 3000
    remove(boss, storage)


def test_a_ceph_storage_takes_no_disk_of_a_vm(far, boss):
    tenant, storage = boss.tenant(), ceph(boss)
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=boss.model(size=1))
    add(tenant, vm)
    for name in ("host1", "host2"):
        assert storage not in SimHost(far, name).places.values()
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    remove(boss, storage)


# ------------------------------------------------------------------------------------------------- the secret
def test_the_key_is_nowhere_but_where_it_belongs(server):
    """Canary: in no file, no log, no metric and no reply but that of create/pv; also not with Idempotency-Key."""
    cloud = server(connect="sim://?control=1", options=["--log.level", "debug"])
    cloud.tellable.add(cloud.data)
    cloud.expect(*FAULTY)
    boss, said = cloud.admin, []
    storage = ceph(boss)
    boss.refused("POST cloudstorage/add", ceph_params(**{"storage.ceph.key": CANARY + "!"}), "PARAM_FORMAT")
    order = {"vdisk.name": "x", "vdisk.size": 1, "vdisk.storageid": storage}
    for _ in range(2):
        boss.call("POST cloudvm/vdisk/create/pv", order, headers={"Idempotency-Key": "k"})
    cloud.control("fail=volume_create:1")
    said.append(boss.call("POST cloudvm/vdisk/create/pv", order))
    cloud.control("fail=volume_create:0")
    cloud.control("fail=pool_open:1")
    said.append(boss.call("POST cloudstorage/add", ceph_params()))
    said.append(boss.call("PUT cloudstorage/refresh", {"storage.id": storage}))
    cloud.control("fail=pool_open:0")
    said += [boss.ok("POST cloudstorage/search"), boss.ok("POST joblog/search"), boss.ok("GET events")]
    for job in boss.ok("POST joblog/search").data:
        said.append(boss.ok("GET joblog/{startid}", {"startid": job["startid"]}))
    assert CANARY not in str(said) + cloud.log() + str(cloud.metrics())
    cloud.restart()
    assert pv(boss, storage)["ceph.key"] == CANARY
    raw = base64.b64decode(CANARY)
    for path in files_below(cloud.data):
        with open(path, "rb") as f:
            text = f.read()
        assert CANARY.encode() not in text and raw not in text, path
    assert cloud.secrets("ceph") == [storage]


def test_the_command_line_lists_them(far, boss):
    storage = directory(boss)
    env = {"STARVIRT_SERVER": "http://%s:%d" % far.address, "STARVIRT_TOKEN": boss.token, "LC_ALL": "C.UTF-8"}
    out = subprocess.run([CLI, "storage", "list"], capture_output=True, text=True, env={**os.environ, **env},
                         timeout=60)
    assert out.returncode == 0 and storage in out.stdout, out
    remove(boss, storage)


# --------------------------------------------------------------------------------------------------- crashes
KINDS = {"storage.add": ["open"], "storage.remove": ["close"], "storage.refresh": ["measure"], "disk.pv": ["volume"], "disk.pv_remove": ["volume"],
         "disk.pv_extend": ["grow"]}
FAULTS = {"storage.add": "pool_info", "storage.remove": "pool_close", "disk.pv": "volume_create"}  # has it undone


def boundaries():
    for kind, steps in KINDS.items():
        for step in steps:
            for when in ("before", "after", "recorded"):
                yield pytest.param(kind, f"{kind}:{step}:{when}", None, id=f"{kind}:{step}:{when}")
            for when in ("undo-before", "undo-after") if kind in FAULTS else ():
                yield pytest.param(kind, f"{kind}:{step}:{when}", FAULTS[kind], id=f"{kind}:{step}:{when}")
        for when in ("before", "after"):
            yield pytest.param(kind, f"{kind}:end:{when}", None, id=f"{kind}:end:{when}")


@pytest.mark.parametrize("kind,point,fault", boundaries())
def test_a_crash_there(server, kind, point, fault):
    cloud = server(connect="sim://?control=1")
    cloud.tellable.add(cloud.data)
    boss = cloud.admin
    tenant = boss.tenant(storage=10)
    order = ceph_params()
    storage = None if kind == "storage.add" else boss.ok("POST cloudstorage/add", order).data["storage.id"]
    disk = pv(boss, storage, 2, **{"tenant.id": tenant.id})["vdisk.id"] if kind.startswith("disk.pv_") else None
    cloud.stop()
    cloud.crash_point = point
    cloud.start()
    if fault:
        cloud.control(f"fail={fault}:1")
    job = cloud.through_crash(lambda: boss.call(*{
        "storage.add": ("POST cloudstorage/add", order),
        "storage.remove": ("DELETE cloudstorage/{storageId}", {"storageId": storage}),
        "storage.refresh": ("PUT cloudstorage/refresh", {"storage.id": storage}),
        "disk.pv": ("POST cloudvm/vdisk/create/pv", {"vdisk.name": "x", "vdisk.size": 2, "vdisk.storageid": storage,
                                                     "tenant.id": tenant.id}),
        "disk.pv_remove": ("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disk}),
        "disk.pv_extend": ("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 4}),
    }[kind]))
    job = boss.follow(job["startid"])
    done = not fault
    assert job.result == ("0" if done else "1"), job.lines
    held = SimHost(cloud)
    if kind.startswith("storage."):
        listed = [row for row in rows(boss).values() if row["storage.type"] == "CEPH"]
        there = done == (kind != "storage.remove")
        assert len(listed) == there
        assert len(cloud.secrets("ceph")) == there
        for row in listed:
            delete(boss, pv(boss, row["storage.id"])["vdisk.id"])  # it is open
        return
    size = {"disk.pv": 2 if done else 0, "disk.pv_remove": 0, "disk.pv_extend": 4}[kind]
    assert storage_left(tenant) == 10 - size
    assert sum(held.volumes.values()) == size * GIB
    for found in held.volumes:
        delete(tenant, found)
    remove(boss, storage)
