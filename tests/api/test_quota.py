"""Quotas: taken at acceptance, exact to the unit, given back when the thing is gone; under races, too
(threats 21, 35)."""
import base64
import concurrent.futures
import json
import socket

import pytest
from images import MIB, upload, uploads
from starvirt import BASE, wait_until

UNLIMITED = {"cpu": -1, "memory": -1, "storage": -1, "ip": -1, "vpc": -1}


def left(tenant):
    found = tenant.usable()
    return {"cpu": found["cpu"], "memory": found["memory"], "storage": found["storage"], "vpc": found["portGroupSize"]}


def together(n, fn):
    """Runs fn(0) ... fn(n - 1) at the same time, each on its own connection."""
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return list(pool.map(fn, range(n)))


@pytest.fixture
def poor(admin):
    return admin.tenant(cpu=4, memory=1024, storage=50, portgroup=2, outerip=1)


def test_what_is_usable_is_what_is_left(poor, model):
    assert poor.usable() == {
        "cpu": 4, "memory": 1024, "storage": 50, "outerIpSize": 1, "portGroupSize": 2, "oss": 0,
        "countCpu": 4, "countMemory": 1024, "countStorage": 50, "countOuterIpSize": 1, "countPortGroupSize": 2,
        "countOss": 0}
    vpc = poor.vpc()
    vm = poor.vm(**{"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.vcpu.num": 3, "vm.memory.mem": 1000,
                    "vm.vdisk.num": 2, "vm.vdisk.size": 24})
    assert left(poor) == {"cpu": 1, "memory": 24, "storage": 1, "vpc": 1}
    poor.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    poor.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})
    assert left(poor) == {"cpu": 4, "memory": 1024, "storage": 50, "vpc": 2}


@pytest.mark.parametrize("more,code,field,text", [
    ({"vm.vcpu.num": 5}, "QUOTA_VCPUS", "vm.vcpu.num", "5 needed, 4 available"),
    ({"vm.memory.mem": 1025}, "QUOTA_MEMORY", "vm.memory.mem", "1025 MB needed, 1024 MB available"),
    ({"vm.vdisk.num": 1, "vm.vdisk.size": 50}, "QUOTA_STORAGE", "vm.vdisk.size", "51 GB needed, 50 GB available"),
    ({"vm.num": 5}, "QUOTA_VCPUS", "vm.vcpu.num", "5 needed, 4 available"),
    ({"vm.num": 4, "vm.memory.mem": 257}, "QUOTA_MEMORY", "vm.memory.mem", "1028 MB needed, 1024 MB available"),
])
def test_a_refusal_names_what_is_short_and_takes_nothing(poor, model, more, code, field, text):
    vpc = poor.vpc()
    params = {"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.vcpu.num": 1, "vm.memory.mem": 64, **more}
    assert text in poor.refused("POST cloudvm/create", params, code, field).text
    assert left(poor) == {"cpu": 4, "memory": 1024, "storage": 50, "vpc": 1}
    assert poor.ok("POST cloudvm/search").count == 0 and poor.ok("POST joblog/search").count == 0
    assert poor.ok("POST cloudnetwork/vpc/search").data[0]["vpc.usable.ipcount"] == "253"


def test_exactly_what_is_left_can_be_had(poor, model):
    made = poor.create(**{"vnic.portgroupid": poor.vpc(), "vm.tenant.model": model, "vm.num": 4, "vm.memory.mem": 256,
                          "vm.vdisk.num": 1, "vm.vdisk.size": 11}).data
    assert len(made) == 4 and left(poor) == {"cpu": 0, "memory": 0, "storage": 2, "vpc": 1}
    for row in made:
        poor.done(row["jobstartid"])


def test_subnets(poor):
    first = poor.vpc()
    poor.vpc()
    reply = poor.refused("POST cloudnetwork/vpc/create", {}, "QUOTA_SUBNETS")
    assert "1 needed, 0 available" in reply.text
    poor.ok("POST cloudnetwork/vpc/delete", {"vpc.id": first})
    poor.vpc()


def test_growth_is_taken_at_once_and_shrinkage_given_back_when_done(poor, model):
    vm = poor.vm(**{"vnic.portgroupid": poor.vpc(), "vm.tenant.model": model, "vm.vcpu.num": 2, "vm.memory.mem": 512})
    poor.refused("PUT cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": 5}, "QUOTA_VCPUS", "vm.vcpu.num")
    poor.refused("PUT cloudvm/mem/modify", {"vm.id": vm, "vm.memory.mem": 1025}, "QUOTA_MEMORY", "vm.memory.mem")
    startid = poor.ok("PUT cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": 4}).startid
    assert left(poor)["cpu"] == 0
    poor.done(startid)
    assert left(poor)["cpu"] == 0
    poor.run("PUT cloudvm/mem/modify", {"vm.id": vm, "vm.memory.mem": 1024})
    assert left(poor)["memory"] == 0
    poor.run("PUT cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": 1})
    poor.run("PUT cloudvm/mem/modify", {"vm.id": vm, "vm.memory.mem": 100})
    assert left(poor) == {"cpu": 3, "memory": 924, "storage": 49, "vpc": 1}
    poor.run("PUT cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": 1})
    assert left(poor)["cpu"] == 3


@pytest.mark.parametrize("fault", ["volume_create", "define", "start"])
def test_a_vm_that_failed_holds_nothing(server, fault):
    one = server(connect="sim://?control=1")
    tenant = one.admin.tenant(cpu=4, memory=1024, storage=50, portgroup=2)
    vpc, model = tenant.vpc(), one.admin.model(size=1)
    one.control(f"fail={fault}:1")
    made = tenant.create(**{"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.vcpu.num": 2}).data[0]
    assert left(tenant)["cpu"] == 2
    job = tenant.follow(made["jobstartid"])
    assert job.result == "1" and "simulated fault" in job.info
    assert left(tenant) == {"cpu": 4, "memory": 1024, "storage": 50, "vpc": 1}
    assert tenant.show(made["vm.id"])["vm.state"] == "-2"
    assert tenant.ok("POST cloudnetwork/vpc/search").data[0]["vpc.usable.ipcount"] == "253"
    one.control(f"fail={fault}:0")
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": made["vm.id"]})
    assert tenant.ok("POST cloudvm/search").count == 0


def test_a_growth_that_failed_is_given_back(server):
    one = server(connect="sim://?control=1")
    tenant = one.admin.tenant(cpu=4, memory=1024, storage=50, portgroup=2)
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=one.admin.model(size=1))
    one.control("fail=define:1")
    startid = tenant.ok("PUT cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": 4}).startid
    tenant.wait_line(startid, "undoing")
    one.control("fail=define:0")
    job = tenant.follow(startid)
    assert job.result == "1" and left(tenant)["cpu"] == 3 and tenant.show(vm)["vm.vcpu.num"] == "1"
    tenant.run("PUT cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": 4})


# ------------------------------------------------------------------------------------------------ open jobs
def bound(admin, tenant, jobs):
    admin.ok("PUT cloudTenant/modify", {"app.id": tenant.id, "app.job.quota": jobs})


def shown(admin, tenant):
    row = admin.ok("POST cloudTenant/search", {"app.id": tenant.id}).data[0]
    return row["app.job.quota"], row["app.job.open"]


def test_open_jobs_are_bounded(server):
    one = server(connect="sim://?control=1", options=["--jobs.slots_per_host", "1"])
    tenant, other = one.admin.tenant(cpu=10), one.admin.tenant()
    order = {"vm.tenant.model": one.admin.model(size=1), "vm.vcpu.num": 1, "vm.memory.mem": 64}
    mine, theirs = ({**order, "vnic.portgroupid": who.vpc()} for who in (tenant, other))
    bound(one.admin, tenant, 3)
    one.control("hang=1")
    tenant.refused("POST cloudvm/create", {**mine, "vm.num": 4}, "QUOTA_JOBS")
    assert left(tenant)["cpu"] == 10 and shown(one.admin, tenant) == ("3", "0"), "all or nothing"
    assert tenant.ok("POST cloudvm/search").count == 0 and tenant.ok("POST joblog/search").count == 0
    made = tenant.ok("POST cloudvm/create", {**mine, "vm.num": 3}).data
    reply = tenant.refused("POST cloudvm/create", mine, "QUOTA_JOBS")
    assert reply.body["error"]["retry"] == "safe" and "3, at most 3" in reply.text
    assert left(tenant)["cpu"] == 7 and shown(one.admin, tenant) == ("3", "3")
    single = other.ok("POST cloudvm/create", theirs).data[0]["jobstartid"]
    bound(one.admin, tenant, 1)  # below what is open: those end by themselves
    tenant.ok("PUT joblog/cancel", {"startid": made[2]["jobstartid"]})
    tenant.follow(made[2]["jobstartid"])
    one.kill()
    one.start()
    for row in made[:2]:
        tenant.done(row["jobstartid"])
    other.done(single)
    assert shown(one.admin, tenant) == ("1", "0")
    tenant.run("PUT cloudvm/destroy", {"vm.id": made[0]["vm.id"]})
    bound(one.admin, tenant, 0)
    tenant.refused("PUT cloudvm/start", {"vm.id": made[0]["vm.id"]}, "QUOTA_JOBS")
    bound(one.admin, tenant, -1)
    tenant.run("PUT cloudvm/start", {"vm.id": made[0]["vm.id"]})


def test_at_the_bound_a_tenant_can_free_what_it_holds(server):
    """Or it could not get below it while its jobs hang."""
    one = server(connect="sim://?control=1&hosts=2")
    tenant = one.admin.tenant()
    order = {"vnic_portgroupid": tenant.vpc(), "vm_tenant_model": one.admin.model(size=1)}
    vms = [tenant.vm(**order) for _ in range(3)]
    one.control("hang=1", "host1")
    one.control("hang=1", "host2")
    bound(one.admin, tenant, 1)
    held = [tenant.ok("PUT cloudvm/suspend", {"vm.id": vms[0]}).startid]
    tenant.refused("PUT cloudvm/suspend", {"vm.id": vms[1]}, "QUOTA_JOBS")
    held += [tenant.ok("DELETE cloudvm/{vmId}", {"vmId": vm}).startid for vm in vms[1:]]
    tenant.refused("PUT cloudvm/suspend", {"vm.id": vms[1]}, "VM_LOCKED")
    assert shown(one.admin, tenant) == ("1", "3")
    one.control("hang=0", "host1")
    one.control("hang=0", "host2")
    for startid in held:
        tenant.done(startid)
    assert shown(one.admin, tenant) == ("1", "0")


def test_only_what_is_asked_for_is_refused(server):
    """The deletion of an old backup is nobody's request: one open job is allowed, and it is the second."""
    one = server(options=["--backup.keep", "1"])
    tenant = one.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=one.admin.model(size=1))
    bound(one.admin, tenant, 1)
    for _ in range(3):
        made = tenant.ok("POST cloudvm/backup/create", {"backup.vmid": vm, "backup.name": "b"})
        tenant.done(made.startid)
        assert [row["backup.id"] for row in tenant.ok("GET cloudvm/backup/{vmId}", {"vmId": vm}).data] == [
            made.data["backup.id"]]
        wait_until(lambda: shown(one.admin, tenant) == ("1", "0"), "the files of the old one go")


def test_the_bound_is_an_admins_to_set(admin, tenant):
    params = {"app.id": tenant.id, "app.job.quota": 5}
    tenant.refused("PUT cloudTenant/modify", params, "ADMIN_ONLY")
    admin.refused("PUT cloudTenant/modify", {**params, "app.job.quota": -2}, "PARAM_RANGE", "app.job.quota")
    admin.refused("PUT cloudTenant/modify", {**params, "app.job.quota": 4000000001}, "PARAM_RANGE", "app.job.quota")
    admin.ok("PUT cloudTenant/modify", params)
    admin.ok("PUT resourcequota/modify", {**UNLIMITED, "tenantId": tenant.id})
    assert shown(admin, tenant) == ("5", "0"), "the document's quotas leave ours alone"
    assert shown(admin, type("admin", (), {
        "id": admin.ok("POST cloudTenant/search", {"app.name": "admin"}).data[0]["app.id"]}))[0] == "-1"


# ------------------------------------------------------------------------------------------ changing a quota
def test_a_quota_can_be_set_to_what_is_used_and_not_below(admin, poor, model):
    poor.vm(**{"vnic.portgroupid": poor.vpc(), "vm.tenant.model": model, "vm.vcpu.num": 2, "vm.memory.mem": 512})
    exact = {"tenantId": poor.id, "cpu": 2, "memory": 512, "storage": 1, "ip": 0, "vpc": 1}
    for key, field in (("cpu", "cpu"), ("memory", "memory"), ("storage", "storage"), ("vpc", "vpc")):
        reply = admin.refused("PUT resourcequota/modify", {**exact, key: exact[key] - 1}, "QUOTA_BELOW_USE", field)
        assert f"{field} is below what is in use: {exact[key]}" in reply.text
    assert left(poor) == {"cpu": 2, "memory": 512, "storage": 49, "vpc": 1}
    admin.ok("PUT resourcequota/modify", exact)
    assert left(poor) == {"cpu": 0, "memory": 0, "storage": 0, "vpc": 0}
    admin.ok("PUT resourcequota/modify", {**UNLIMITED, "tenantId": poor.id})
    assert left(poor) == {"cpu": -1, "memory": -1, "storage": -1, "vpc": -1}
    admin.refused("PUT resourcequota/modify", {**UNLIMITED, "tenantId": "x"}, "TENANT_NOT_FOUND", "tenantId")
    admin.refused("PUT resourcequota/modify", {**UNLIMITED, "tenantId": poor.id, "cpu": -2}, "PARAM_RANGE", "cpu")


def test_the_pool_is_what_the_hosts_hold(server):
    one = server(connect="sim://?hosts=3&cpus=10&mem=8G&storage=2T", options=["--hv.vcpu_overcommit", "4"])
    assert one.admin.ok("POST resourcequota/search").data == {"cpu": 120, "memory": 3 * 8192, "storage": 6 * 1024,
                                                              "ip": 0}


def test_what_no_host_can_take_is_refused_and_takes_nothing(server):
    one = server(connect="sim://?hosts=2&cpus=2&mem=4G", options=["--hv.vcpu_overcommit", "1"])
    tenant, model = one.admin.tenant(cpu=100, memory=100000), one.admin.model(size=1)
    vpc = tenant.vpc()
    params = {"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.vcpu.num": 2, "vm.memory.mem": 64}
    tenant.refused("POST cloudvm/create", {**params, "vm.vcpu.num": 3}, "NO_CAPACITY")
    tenant.refused("POST cloudvm/create", {**params, "vm.num": 3}, "NO_CAPACITY")
    assert left(tenant)["cpu"] == 100 and tenant.ok("POST cloudvm/search").count == 0
    for row in tenant.create(**params, **{"vm.num": 2}).data:
        tenant.done(row["jobstartid"])
    tenant.refused("POST cloudvm/create", {**params, "vm.vcpu.num": 1}, "NO_CAPACITY")
    vm = tenant.ok("POST cloudvm/search").data[0]["vm.id"]
    tenant.refused("PUT cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": 3}, "NO_CAPACITY")
    assert left(tenant)["cpu"] == 96
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    tenant.vm(**params)


# -------------------------------------------------------------------------------------------------- overflow
def test_sizes_do_not_wrap_around(admin, model):
    """2^63 bytes are 8 Ei: ten VMs of sixteen disks of 64 TiB, or of a billion MiB of memory, must not look small."""
    tenant = admin.tenant(cpu=4000000000, memory=4000000000, storage=10000, portgroup=1)
    params = {"vnic.portgroupid": tenant.vpc(), "vm.tenant.model": model, "vm.vcpu.num": 1, "vm.memory.mem": 1}
    disks = {"vm.vdisk.num": 16, "vm.vdisk.size": 65536, "vm.num": 10}
    text = tenant.refused("POST cloudvm/create", {**params, **disks}, "QUOTA_STORAGE").text
    assert f"{10 * (16 * 65536 + 1)} GB needed" in text
    tenant.refused("POST cloudvm/create", {**params, "vm.memory.mem": 999999999, "vm.num": 10}, "QUOTA_MEMORY")
    for key in ("app.cpu.quota", "app.memory.quota", "app.storage.quota"):
        for value in (4000000001, 8796093022208, 9223372036854775807, -2):
            admin.refused("POST cloudTenant/create", {"app.name": "x", key: value}, "PARAM_RANGE", key)
    assert left(tenant) == {"cpu": 4000000000, "memory": 4000000000, "storage": 10000, "vpc": 0}


def test_the_largest_quotas_count_exactly(admin, model):
    tenant = admin.tenant(cpu=4000000000, memory=4000000000, storage=4000000000, portgroup=4000000000)
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)
    assert left(tenant) == {"cpu": 3999999999, "memory": 4000000000 - 64, "storage": 3999999999, "vpc": 3999999999}
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})


# ----------------------------------------------------------------------------------------------------- races
@pytest.mark.race
def test_64_creates_race_for_10(admin, model):
    tenant = admin.tenant(cpu=10, memory=100000, storage=100000, portgroup=1)
    vpc = tenant.vpc()
    params = {"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.vcpu.num": 1, "vm.memory.mem": 64}
    for _ in range(2):
        replies = together(64, lambda i: tenant.call("POST cloudvm/create", params))
        won = [reply.data[0] for reply in replies if reply.ok]
        assert len(won) == 10
        assert {reply.code for reply in replies if not reply.ok} == {"QUOTA_VCPUS"}
        assert left(tenant)["cpu"] == 0 and tenant.ok("POST cloudvm/search").count == 10
        for row in won:
            tenant.done(row["jobstartid"])
        deletes = together(10, lambda i: tenant.ok("DELETE cloudvm/{vmId}", {"vmId": won[i]["vm.id"]}).startid)
        for startid in deletes:
            tenant.done(startid)
        assert left(tenant) == {"cpu": 10, "memory": 100000, "storage": 100000, "vpc": 0}


@pytest.mark.race
def test_creates_of_several_sizes_never_take_more_than_there_is(admin, model):
    tenant = admin.tenant(cpu=1000, memory=1000, storage=1000, portgroup=1)
    vpc = tenant.vpc()

    def one(i):
        return tenant.call("POST cloudvm/create", {"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.vcpu.num": 1,
                                                   "vm.memory.mem": 30 + i, "vm.num": 1 + i % 3})

    replies = together(48, one)
    taken = sum((30 + i) * (1 + i % 3) for i, reply in enumerate(replies) if reply.ok)
    assert left(tenant)["memory"] == 1000 - taken >= 0
    least_refused = min((30 + i) * (1 + i % 3) for i, reply in enumerate(replies) if not reply.ok)
    assert least_refused > 1000 - taken, "refused although there was room"
    for reply in replies:
        for row in reply.data if reply.ok else []:
            tenant.done(row["jobstartid"])


@pytest.mark.race
def test_subnets_race(admin):
    tenant = admin.tenant(portgroup=5)
    replies = together(32, lambda i: tenant.call("POST cloudnetwork/vpc/create"))
    won = [reply.data for reply in replies if reply.ok]
    assert len(won) == 5 and len({row["vpc.cidr"] for row in won}) == 5
    gone = together(32, lambda i: tenant.call("POST cloudnetwork/vpc/delete", {"vpc.id": won[i % 5]["vpc.id"]}).ok)
    assert sum(gone) == 5 and left(tenant)["vpc"] == 5


@pytest.mark.race
def test_growths_race_for_what_is_left(admin, model):
    tenant = admin.tenant(cpu=20, memory=100000, storage=1000, portgroup=1)
    vpc = tenant.vpc()
    vms = [row["vm.id"] for row in tenant.create(**{"vnic.portgroupid": vpc, "vm.tenant.model": model,
                                                    "vm.num": 10}).data
           if tenant.done(row["jobstartid"])]
    replies = together(10, lambda i: tenant.call("PUT cloudvm/cpu/modify", {"vm.id": vms[i], "vm.vcpu.num": 4}))
    won = [reply.startid for reply in replies if reply.ok]
    assert len(won) == 3 and left(tenant)["cpu"] == 1
    assert {reply.code for reply in replies if not reply.ok} == {"QUOTA_VCPUS"}
    for startid in won:
        tenant.done(startid)


@pytest.mark.race
def test_a_quota_cut_races_with_creates(admin, model):
    """Whoever comes first, what is used is never above what is allowed."""
    tenant = admin.tenant(cpu=30, memory=100000, storage=1000, portgroup=1)
    params = {"vnic.portgroupid": tenant.vpc(), "vm.tenant.model": model, "vm.vcpu.num": 1, "vm.memory.mem": 1}

    def act(i):
        if i % 4 == 3:
            return admin.call("PUT resourcequota/modify", {**UNLIMITED, "tenantId": tenant.id, "cpu": 40 - i})
        return tenant.call("POST cloudvm/create", params)

    replies = together(32, act)
    made = [reply.data[0] for reply in replies if reply.ok and reply.data]
    usable = tenant.usable()
    assert usable["cpu"] >= 0 and usable["cpu"] == usable["countCpu"] - len(made)
    assert {reply.code for reply in replies if not reply.ok} <= {"QUOTA_VCPUS", "QUOTA_BELOW_USE"}
    for row in made:
        tenant.done(row["jobstartid"])


# ------------------------------------------------------------------------------------------------ templates and backups
GIB, BACKUP = 1 << 30, "POST cloudvm/backup/create"


def images(admin, tenant):
    row = admin.ok("POST cloudTenant/search", {"app.id": tenant.id}).data[0]
    return int(row["app.image.used"]), int(row["app.image.quota"])


def image_quota(admin, tenant, gib):
    admin.ok("PUT cloudTenant/modify", {"app.id": tenant.id, "app.image.quota": gib})


def test_the_quota_of_images_is_that_of_storage_until_it_is_said(admin, poor):
    assert images(admin, poor) == (0, 50)
    image_quota(admin, poor, 7)
    assert images(admin, poor) == (0, 7)
    admin.ok("PUT resourcequota/modify", {"tenantId": poor.id, **UNLIMITED, "storage": 60})
    assert images(admin, poor) == (0, 7)
    image_quota(admin, poor, -2)
    assert images(admin, poor) == (0, 60)
    image_quota(admin, poor, -1)
    assert images(admin, poor) == (0, -1)
    admin.refused("PUT cloudTenant/modify", {"app.id": poor.id, "app.image.quota": -3}, "PARAM_RANGE",
                  "app.image.quota")


def slow_upload(cloud, client, *lines):
    s = cloud.socket()
    s.sendall("".join(f"{line}\r\n" for line in (
        f"POST {BASE}cloudtemplate/upload?name=up&format=raw HTTP/1.1", "Host: x", f"KEY_TOKEN: {client.token}",
        *lines, "")).encode())
    return s


def said(s):
    return json.loads(base64.b64decode(s.recv(65536).split(b"\r\n\r\n", 1)[1]))


def test_an_upload_counts_when_its_head_is_there_and_while_it_comes(server):
    one = server()
    tenant = one.admin.tenant(storage=1)
    with slow_upload(one, tenant, f"Content-Length: {GIB + 1}") as s:
        assert said(s)["error"]["code"] == "QUOTA_IMAGES"
    with slow_upload(one, tenant, f"Content-Length: {GIB - 2 * MIB}") as first:
        wait_until(lambda: uploads(one), "it began")
        with slow_upload(one, tenant, f"Content-Length: {3 * MIB}") as s:
            assert said(s)["error"]["code"] == "QUOTA_IMAGES"
        with slow_upload(one, tenant, "Transfer-Encoding: chunked") as s:
            for _ in range(4):
                s.sendall(b"%x\r\n%s\r\n" % (MIB, bytes(MIB)))
            assert said(s)["error"]["code"] == "QUOTA_IMAGES"
            wait_until(lambda: len(uploads(one)) == 1, "its file is gone")
        first.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: not uploads(one), "nothing is left", 90)
    assert images(one.admin, tenant) == (0, 1)


def test_what_a_template_holds_is_given_back(server):
    one = server()
    tenant = one.admin.tenant(storage=1)
    mine = upload(tenant, bytes(3 * MIB), format="raw")
    assert images(one.admin, tenant)[0] == 1
    tenant.done(mine.startid)
    assert images(one.admin, tenant)[0] == 1 and tenant.usable()["storage"] == 1, "it is no disk"
    bad = upload(tenant, b"QFI\xfb" + bytes(MIB), format="qcow2")
    assert tenant.follow(bad.startid).result == "1"
    tenant.run("DELETE cloudtemplate/{templateId}", {"templateId": mine.data["template.id"]})
    assert images(one.admin, tenant)[0] == 0, "failed or deleted, it holds nothing"
    image_quota(one.admin, tenant, 0)
    tenant.refused("POST cloudtemplate/upload", code="QUOTA_IMAGES", query={"name": "x"}, body=bytes(MIB),
                   type="application/octet-stream")
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=one.admin.model(size=1))
    tenant.refused("POST cloudtemplate/create", {"vm.id": vm, "template.name": "x"}, "QUOTA_IMAGES")


@pytest.mark.parametrize("keep", [0, 1])
def test_what_backups_hold(server, keep):
    one = server(options=["--backup.keep", str(keep)])
    tenant = one.admin.tenant(storage=5)
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=one.admin.model(size=1))
    order = {"backup.vmid": vm, "backup.name": "b"}
    tenant.run(BACKUP, order)
    assert images(one.admin, tenant)[0] == 1 and tenant.usable()["storage"] == 4, "it is no disk"
    image_quota(one.admin, tenant, 0)  # below what there is: it is full
    if keep:
        tenant.run(BACKUP, order)  # takes the place of the first
        wait_until(lambda: shown(one.admin, tenant)[1] == "0", "the first one's files are gone")
    else:
        tenant.refused(BACKUP, order, "QUOTA_IMAGES")
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm}, query={"backups": "delete"})
    assert images(one.admin, tenant)[0] == 0
