"""Snapshots of VMs: what comes back and what does not, trees, shapes, refusals, faults, races (StarVCenter 2.7)."""
import contextlib
import sqlite3

import pytest
from simhost import SimHost, vnc_mark
from starvirt import wait_until
from test_vdisk import add, agrees, at_once, delete as delete_disk, disks, grow, host_of, start, stop

NOBODY = "01900000-0000-7000-8000-000000000000"
MOST = 64


def accept(client, vm, name="then", **more):
    return client.ok("POST cloudvm/snapshot/create", {"snapshot.vmid": vm, "snapshot.name": name, **more})


def take(client, vm, name="then"):
    """A new snapshot's id."""
    reply = accept(client, vm, name)
    client.done(reply.startid)
    return reply.data["snapshot.id"]


def restore(client, snapshot):
    return client.run("PUT cloudvm/snapshot/restore", {"snapshot.id": snapshot})


def delete(client, snapshot):
    return client.ok("DELETE cloudvm/snapshot/{snapshotId}", {"snapshotId": snapshot})


def snapshots(client, vm):
    """{name: row}"""
    return {row["snapshot.name"]: row for row in client.ok("GET cloudvm/snapshot/{vmId}", {"vmId": vm}).data}


def tree(client, vm):
    """[(name, parent's name)], and the current one's name."""
    rows = snapshots(client, vm)
    names = {row["snapshot.id"]: name for name, row in rows.items()}
    (current,) = [name for name, row in rows.items() if row["snapshot.current"] == "true"] or [None]
    return [(name, names.get(row["snapshot.parent"], "")) for name, row in rows.items()], current


def write(cloud, vm, where, text):
    """As the guest would, to a disk or (the VM's id) to its memory."""
    cloud.control(f"write={where}:{text}", host_of(cloud, vm)[0])


def content(cloud, vm, disk):
    return host_of(cloud, vm)[1].contents.get(disk, "")


def words(cloud, vm):
    return host_of(cloud, vm)[1].domains[vm].words


def boot_disk(client, vm):
    return disks(client, vm)["vda"]["vdisk.id"]


def state(client, vm):
    return client.show(vm)["vm.state"]


def memory_left(job):
    (line,) = [line for line in job.lines if "memory was not restored" in line] or [""]
    return line


@contextlib.contextmanager
def fault(cloud, vm, call):
    name, _ = host_of(cloud, vm)
    cloud.control(f"fail={call}:1", name)
    try:
        yield
    finally:
        cloud.control(f"fail={call}:0", name)


@pytest.fixture
def vm(tenant, model):
    return tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model, vm_vcpu_num=2)


# ------------------------------------------------------------------------------------------- what comes back
def test_a_running_guest_goes_back_with_its_memory(cloud, tenant, vm):
    disk = add(tenant, vm)
    before = tenant.show(vm)
    for where in (boot_disk(tenant, vm), disk, vm):
        write(cloud, vm, where, "then " + where[-4:])
    reply = accept(tenant, vm, **{"snapshot.desc": "für später 以后"})
    job = tenant.done(reply.startid)
    assert job["job.objid"] == vm and any("memory" in line for line in job.lines), job.lines
    row = snapshots(tenant, vm)["then"]
    assert row == {"snapshot.id": reply.data["snapshot.id"], "snapshot.name": "then", "snapshot.vmid": vm,
                   "snapshot.desc": "für später 以后", "snapshot.createtime": row["snapshot.createtime"],
                   "snapshot.enable": "true", "snapshot.memory": "true", "snapshot.parent": "",
                   "snapshot.current": "true"}
    for where in (boot_disk(tenant, vm), disk, vm):
        write(cloud, vm, where, "now")
    job = restore(tenant, row["snapshot.id"])
    assert memory_left(job) == ""
    for where in (boot_disk(tenant, vm), disk):
        assert content(cloud, vm, where) == "then " + where[-4:]
    assert words(cloud, vm) == "then " + vm[-4:]
    assert agrees(cloud, tenant, vm).runs
    assert tenant.show(vm) == before


def test_one_that_was_off_is_off_again(cloud, tenant, vm):
    disk = boot_disk(tenant, vm)
    stop(tenant, vm)
    write(cloud, vm, disk, "then")
    snapshot = take(tenant, vm)
    assert snapshots(tenant, vm)["then"]["snapshot.memory"] == "false"
    start(tenant, vm)
    write(cloud, vm, disk, "now")
    job = restore(tenant, snapshot)
    assert memory_left(job) == "" and content(cloud, vm, disk) == "then" and state(tenant, vm) == "0"
    assert not agrees(cloud, tenant, vm).runs
    restore(tenant, snapshot)  # and from off
    assert state(tenant, vm) == "0"
    start(tenant, vm)
    agrees(cloud, tenant, vm)


def test_one_that_ran_runs_again(cloud, tenant, vm):
    write(cloud, vm, vm, "then")
    snapshot = take(tenant, vm)
    stop(tenant, vm)
    restore(tenant, snapshot)
    assert state(tenant, vm) == "1" and words(cloud, vm) == "then"
    agrees(cloud, tenant, vm)


def test_a_paused_guest_counts_as_running(cloud, tenant, vm):
    write(cloud, vm, vm, "then")
    tenant.run("PUT cloudvm/suspend", {"vm.id": vm})
    snapshot = take(tenant, vm)
    assert state(tenant, vm) == "2" and snapshots(tenant, vm)["then"]["snapshot.memory"] == "true"
    restore(tenant, snapshot)
    assert state(tenant, vm) == "1" and words(cloud, vm) == "then"
    stop(tenant, vm)
    restore(tenant, snapshot)
    assert state(tenant, vm) == "1" and words(cloud, vm) == "then"


def test_what_the_rows_say_stays(cloud, tenant, vm):
    """Addresses, quota, names and the VNC password are no part of a snapshot."""
    nics = tenant.ok("POST cloudvm/vnic/search", {"vnic.vmid": vm}).data
    tenant.ok("POST cloudvm/editvncpwd", {"vm.id": vm, "vm.vncpasswd": "before"})
    left = tenant.usable()
    snapshot = take(tenant, vm)
    assert tenant.usable() == left
    tenant.ok("POST cloudvm/editvncpwd", {"vm.id": vm, "vm.vncpasswd": "after"})
    tenant.ok("PUT cloudvm/modify", {"vm.id": vm, "vm.name": "renamed"})
    restore(tenant, snapshot)
    assert tenant.ok("POST cloudvm/vnic/search", {"vnic.vmid": vm}).data == \
        [{**row, "vnic.vmname": "renamed"} if "vnic.vmname" in row else row for row in nics]
    assert tenant.show(vm)["vm.name"] == "renamed" and tenant.usable() == left
    assert host_of(cloud, vm)[1].domains[vm].definition.vnc_mark == vnc_mark(vm, "after")


def test_snapshots_survive_the_server(server):
    cloud = server(connect="sim://?control=1")
    tenant = cloud.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=cloud.admin.model(size=1))
    disk = boot_disk(tenant, vm)
    cloud.control(f"write={disk}:then")
    snapshot, before = take(tenant, vm), snapshots(tenant, vm)
    cloud.control(f"write={disk}:now")
    cloud.restart()
    assert snapshots(tenant, vm) == before
    cloud.kill()
    cloud.start()
    restore(tenant, snapshot)
    assert SimHost(cloud).contents[disk] == "then"


# ----------------------------------------------------------------------------------------------------- trees
def test_snapshots_form_a_tree(cloud, tenant, vm):
    ids = {}
    for name in "abc":
        ids[name] = take(tenant, vm, name)
    assert tree(tenant, vm) == ([("a", ""), ("b", "a"), ("c", "b")], "c")
    restore(tenant, ids["a"])
    assert tree(tenant, vm)[1] == "a"
    ids["d"] = take(tenant, vm, "d")
    assert tree(tenant, vm) == ([("a", ""), ("b", "a"), ("c", "b"), ("d", "a")], "d")
    delete(tenant, ids["a"])
    assert tree(tenant, vm) == ([("b", ""), ("c", "b"), ("d", "")], "d")
    delete(tenant, ids["d"])
    assert tree(tenant, vm) == ([("b", ""), ("c", "b")], None)
    ids["e"] = take(tenant, vm, "e")
    assert tree(tenant, vm) == ([("b", ""), ("c", "b"), ("e", "")], "e")
    agrees(cloud, tenant, vm)


@pytest.mark.parametrize("runs", [True, False], ids=["running", "stopped"])
def test_deleting_from_the_middle_leaves_the_others(cloud, tenant, vm, runs):
    disk = boot_disk(tenant, vm)
    if not runs:
        stop(tenant, vm)
    ids = []
    for i in range(5):
        write(cloud, vm, disk, str(i))
        ids.append(take(tenant, vm, str(i)))
    for i in (2, 0):
        delete(tenant, ids[i])
        tenant.refused("PUT cloudvm/snapshot/restore", {"snapshot.id": ids[i]}, "SNAPSHOT_NOT_FOUND", "snapshot.id")
        tenant.refused("DELETE cloudvm/snapshot/{snapshotId}", {"snapshotId": ids[i]}, "SNAPSHOT_NOT_FOUND")
    assert tree(tenant, vm) == ([("1", ""), ("3", "1"), ("4", "3")], "4")
    assert state(tenant, vm) == ("1" if runs else "0")
    for i in (4, 1, 3):
        restore(tenant, ids[i])
        assert content(cloud, vm, disk) == str(i)
    agrees(cloud, tenant, vm)


def test_a_chain_of_many_has_an_end(cloud, tenant, vm):
    disk = boot_disk(tenant, vm)
    ids = []
    for i in range(MOST):
        write(cloud, vm, disk, str(i))
        ids.append(take(tenant, vm, str(i)))
    reply = tenant.refused("POST cloudvm/snapshot/create", {"snapshot.vmid": vm, "snapshot.name": "more"},
                           "SNAPSHOT_LIMIT", "snapshot.vmid")
    assert str(MOST) in reply.text
    assert tree(tenant, vm) == ([(str(i), str(i - 1) if i else "") for i in range(MOST)], str(MOST - 1))
    for i in (0, MOST // 2, MOST - 1):
        restore(tenant, ids[i])
        assert content(cloud, vm, disk) == str(i)
    delete(tenant, ids[7])
    take(tenant, vm, "in its place")
    agrees(cloud, tenant, vm)
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})


# ---------------------------------------------------------------------------------------------------- shapes
def add_nic(tenant, vm):
    return tenant.ok("POST cloudvm/vnic/add", {"vnic.vmid": vm, "vnic.portgroupid": tenant.vpc()}).data["vnic.id"]


CHANGES = {
    "vCPU": lambda tenant, vm: tenant.run("PUT cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": 3}),
    "memory": lambda tenant, vm: tenant.run("PUT cloudvm/mem/modify", {"vm.id": vm, "vm.memory.mem": 128}),
    "disk": add,
    "NIC": add_nic,
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("runs", [True, False], ids=["running", "stopped"])
def test_memory_does_not_go_into_another_shape(cloud, tenant, vm, what, runs):
    """Then the disks go back, and the guest boots from them with the devices and the size it has now."""
    disk = boot_disk(tenant, vm)
    write(cloud, vm, disk, "then")
    write(cloud, vm, vm, "then")
    snapshot = take(tenant, vm)
    if not runs:
        stop(tenant, vm)
    CHANGES[what](tenant, vm)
    before = tenant.show(vm)
    write(cloud, vm, disk, "now")
    job = restore(tenant, snapshot)
    assert f": {what} of the VM changed" in memory_left(job), job.lines
    assert content(cloud, vm, disk) == "then" and words(cloud, vm) == ""
    after = tenant.show(vm)
    assert after["vm.state"] == "1"
    for key in ("vm.vcpu.num", "vm.memory.mem", "vm.ip"):
        assert after[key] == before[key]
    domain = agrees(cloud, tenant, vm)
    assert domain.runs and domain.definition.vcpus == int(after["vm.vcpu.num"])


def test_the_same_shape_again_takes_the_memory(cloud, tenant, vm):
    write(cloud, vm, vm, "then")
    snapshot = take(tenant, vm)
    nic, disk = add_nic(tenant, vm), add(tenant, vm)
    tenant.ok("DELETE cloudvm/vnic/{vnicId}", {"vnicId": nic})
    delete_disk(tenant, disk)
    tenant.run("PUT cloudvm/mem/modify", {"vm.id": vm, "vm.memory.mem": 128})
    tenant.run("PUT cloudvm/mem/modify", {"vm.id": vm, "vm.memory.mem": 64})
    assert memory_left(restore(tenant, snapshot)) == "" and words(cloud, vm) == "then"
    agrees(cloud, tenant, vm)


def test_no_memory_is_kept_after_a_live_vcpu(cloud, tenant, vm):
    disk = boot_disk(tenant, vm)
    CHANGES["vCPU"](tenant, vm)
    write(cloud, vm, disk, "then")
    reply = accept(tenant, vm)
    job = tenant.done(reply.startid)
    assert snapshots(tenant, vm)["then"]["snapshot.memory"] == "false"
    assert not any("memory" in line for line in job.lines), job.lines
    write(cloud, vm, disk, "now")
    job = restore(tenant, reply.data["snapshot.id"])
    assert "vCPU had been added" in memory_left(job)
    assert state(tenant, vm) == "1" and content(cloud, vm, disk) == "then"
    take(tenant, vm, "booted")  # it has booted with all its vCPUs
    assert snapshots(tenant, vm)["booted"]["snapshot.memory"] == "true"


def test_a_snapshot_survives_the_growth_of_a_disk(cloud, tenant, vm):
    disk = boot_disk(tenant, vm)
    write(cloud, vm, disk, "then")
    write(cloud, vm, vm, "then")
    snapshot = take(tenant, vm)
    left = tenant.usable()["storage"]
    grow(tenant, disk, 5)
    write(cloud, vm, disk, "now")
    assert memory_left(restore(tenant, snapshot)) == ""
    assert content(cloud, vm, disk) == "then" and words(cloud, vm) == "then"
    assert disks(tenant, vm)["vda"]["vdisk.size"] == "5" and tenant.usable()["storage"] in (left, left - 4)
    agrees(cloud, tenant, vm)
    grow(tenant, disk, 6)
    agrees(cloud, tenant, vm)


def test_a_disk_that_came_later_stays_as_it_is(cloud, tenant, vm):
    snapshot = take(tenant, vm)
    disk = add(tenant, vm)
    write(cloud, vm, disk, "kept")
    restore(tenant, snapshot)
    assert content(cloud, vm, disk) == "kept"
    delete_disk(tenant, disk)  # nothing holds it
    agrees(cloud, tenant, vm)


def test_a_disk_that_is_held_cannot_go(cloud, tenant, vm):
    disk = add(tenant, vm)
    one, two = take(tenant, vm, "one"), take(tenant, vm, "two")
    delete(tenant, one)
    reply = tenant.refused("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disk}, "SNAPSHOT_HOLDS", "vdiskId")
    assert "two" in reply.text
    delete(tenant, two)
    delete_disk(tenant, disk)
    agrees(cloud, tenant, vm)


def test_they_go_with_their_vm(cloud, tenant, vm):
    ids = [take(tenant, vm, name) for name in "ab"]
    name, _ = host_of(cloud, vm)
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    assert vm not in SimHost(cloud, name).domains
    for snapshot in ids:
        tenant.refused("PUT cloudvm/snapshot/modify", {"snapshot.id": snapshot}, "SNAPSHOT_NOT_FOUND")
    tenant.refused("GET cloudvm/snapshot/{vmId}", {"vmId": vm}, "VM_NOT_FOUND", "vmId")


# --------------------------------------------------------------------------------------------------- refusals
def test_the_description_is_all_that_changes(tenant, vm):
    snapshot = take(tenant, vm)
    before = snapshots(tenant, vm)["then"]
    tenant.ok("PUT cloudvm/snapshot/modify", {"snapshot.id": snapshot, "snapshot.desc": "新的\nzweite Zeile"})
    assert snapshots(tenant, vm)["then"] == {**before, "snapshot.desc": "新的\nzweite Zeile"}
    tenant.ok("PUT cloudvm/snapshot/modify", {"snapshot.id": snapshot, "snapshot.name": "no"})  # nothing said
    assert snapshots(tenant, vm)["then"] == {**before, "snapshot.desc": "新的\nzweite Zeile"}
    tenant.refused("PUT cloudvm/snapshot/modify", {"snapshot.id": snapshot, "snapshot.desc": "x" * 1025},
                   "PARAM_LENGTH", "snapshot.desc")


def test_names_are_for_people(tenant, vm):
    ask = {"snapshot.vmid": vm}
    create = "POST cloudvm/snapshot/create"
    tenant.refused(create, ask, "PARAM_MISSING", "snapshot.name")
    tenant.refused(create, {**ask, "snapshot.name": "  "}, "PARAM_MISSING", "snapshot.name")
    tenant.refused(create, {**ask, "snapshot.name": "n" * 129}, "PARAM_LENGTH", "snapshot.name")
    tenant.refused(create, {**ask, "snapshot.name": "a\nb"}, "PARAM_CHARS", "snapshot.name")
    tenant.refused(create, {**ask, "snapshot.name": "a", "snapshot.desc": "\x01"}, "PARAM_CHARS", "snapshot.desc")
    tenant.refused(create, {"snapshot.name": "a"}, "PARAM_MISSING", "snapshot.vmid")
    assert snapshots(tenant, vm) == {}
    for name in ("a<b>&\"'", "../../x", "same", "same", "n" * 128):
        take(tenant, vm, name)
    assert len(tenant.ok("GET cloudvm/snapshot/{vmId}", {"vmId": vm}).data) == 5


@pytest.mark.parametrize("id", [NOBODY, "x", "x' OR 1=1"])
def test_unknown_ids(tenant, id):
    tenant.refused("GET cloudvm/snapshot/{vmId}", {"vmId": id}, "VM_NOT_FOUND", "vmId")
    tenant.refused("POST cloudvm/snapshot/create", {"snapshot.vmid": id, "snapshot.name": "x"}, "VM_NOT_FOUND",
                   "snapshot.vmid")
    tenant.refused("PUT cloudvm/snapshot/restore", {"snapshot.id": id}, "SNAPSHOT_NOT_FOUND", "snapshot.id")
    tenant.refused("DELETE cloudvm/snapshot/{snapshotId}", {"snapshotId": id}, "SNAPSHOT_NOT_FOUND", "snapshotId")
    tenant.refused("PUT cloudvm/snapshot/modify", {"snapshot.id": id}, "SNAPSHOT_NOT_FOUND", "snapshot.id")


def test_an_administrator_sees_all_of_them(admin, tenant, vm):
    snapshot = take(tenant, vm)
    assert snapshots(admin, vm) == snapshots(tenant, vm)
    restore(admin, snapshot)
    delete(admin, snapshot)
    assert snapshots(tenant, vm) == {}


def test_one_thing_at_a_time(server):
    """While a job has the VM nothing else begins, and a snapshot that is being taken cannot be used."""
    cloud = server(connect="sim://?control=1")
    tenant = cloud.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=cloud.admin.model(size=1))
    done = take(tenant, vm, "done")
    cloud.control("hang=1")
    reply = accept(tenant, vm, "new")
    tenant.wait_line(reply.startid, "take the snapshot")
    row = snapshots(tenant, vm)["new"]
    assert (row["snapshot.enable"], row["snapshot.current"], row["snapshot.memory"]) == ("false", "false", "false")
    for op, params in (("POST cloudvm/snapshot/create", {"snapshot.vmid": vm, "snapshot.name": "x"}),
                       ("PUT cloudvm/snapshot/restore", {"snapshot.id": done}),
                       ("PUT cloudvm/snapshot/restore", {"snapshot.id": reply.data["snapshot.id"]}),
                       ("DELETE cloudvm/snapshot/{snapshotId}", {"snapshotId": done}),
                       ("PUT cloudvm/start", {"vm.id": vm}),
                       ("PUT cloudvm/vdisk/extend", {"vdisk.id": boot_disk(tenant, vm), "vdisk.size": 3}),
                       ("DELETE cloudvm/{vmId}", {"vmId": vm})):
        assert reply.startid in tenant.refused(op, params, "VM_LOCKED").text
    tenant.ok("PUT cloudvm/snapshot/modify", {"snapshot.id": done, "snapshot.desc": "meanwhile"})
    cloud.control("hang=0")
    tenant.done(reply.startid)
    assert snapshots(tenant, vm)["new"]["snapshot.enable"] == "true"
    cloud.control("hang=1")
    started = tenant.ok("PUT cloudvm/snapshot/restore", {"snapshot.id": done}).startid
    tenant.refused("PUT cloudvm/destroy", {"vm.id": vm}, "VM_LOCKED")
    cloud.control("hang=0")
    tenant.done(started)
    cloud.expect(r'event=request .*result="HOST_DOWN"')
    cloud.control("down=1")
    cloud.admin.wait_event(lambda event: event["event.type"] == "host.lost")
    for op, params in (("POST cloudvm/snapshot/create", {"snapshot.vmid": vm, "snapshot.name": "x"}),
                       ("PUT cloudvm/snapshot/restore", {"snapshot.id": done}),
                       ("DELETE cloudvm/snapshot/{snapshotId}", {"snapshotId": done})):
        tenant.refused(op, params, "HOST_DOWN")
    assert len(snapshots(tenant, vm)) == 2  # reading asks no host


def test_not_of_a_vm_that_failed(cloud, admin, tenant, model):
    with contextlib.ExitStack() as faults:
        for name in ("host1", "host2"):
            cloud.control("fail=start:1", name)
            faults.callback(cloud.control, "fail=start:0", name)
        made = tenant.create(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model).data[0]
        assert tenant.follow(made["jobstartid"]).result == "1"
    tenant.refused("POST cloudvm/snapshot/create", {"snapshot.vmid": made["vm.id"], "snapshot.name": "x"}, "VM_STATE")
    assert snapshots(tenant, made["vm.id"]) == {}


# ------------------------------------------------------------------------------------------------------ faults
def test_a_snapshot_that_fails_leaves_nothing(cloud, tenant, vm):
    kept = take(tenant, vm, "kept")
    with fault(cloud, vm, "snapshot_create"):
        job = tenant.follow(accept(tenant, vm, "lost").startid)
    assert job.result == "1" and "simulated fault" in job.info
    assert tree(tenant, vm) == ([("kept", "")], "kept") and state(tenant, vm) == "1"
    agrees(cloud, tenant, vm)
    restore(tenant, kept)


def test_a_queued_one_can_be_cancelled(server):
    cloud = server(connect="sim://?control=1", options=["--jobs.slots_per_host", "1"])
    tenant = cloud.admin.tenant()
    model, vpc = cloud.admin.model(size=1), tenant.vpc()
    one, other = (tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model) for _ in range(2))
    cloud.control("hang=1")
    first, second = accept(tenant, one), accept(tenant, other)
    tenant.ok("PUT joblog/cancel", {"startid": second.startid})
    cloud.control("hang=0")
    tenant.done(first.startid)
    assert tenant.follow(second.startid).result == "7"
    assert set(snapshots(tenant, one)) == {"then"} and snapshots(tenant, other) == {}
    SimHost(cloud).agrees(tenant, other)


def test_a_restore_that_fails_says_so(cloud, tenant, vm):
    """Nothing can be undone of it: the VM is what its host says, and can be restored again."""
    disk = boot_disk(tenant, vm)
    write(cloud, vm, disk, "then")
    snapshot = take(tenant, vm)
    write(cloud, vm, disk, "now")
    with fault(cloud, vm, "snapshot_restore"):
        job = tenant.follow(tenant.ok("PUT cloudvm/snapshot/restore", {"snapshot.id": snapshot}).startid)
    assert job.result == "1" and "simulated fault" in job.info
    assert state(tenant, vm) == "1" and content(cloud, vm, disk) == "now"
    restore(tenant, snapshot)
    assert content(cloud, vm, disk) == "then"


def test_a_guest_that_does_not_start_again_is_off(cloud, tenant, vm):
    disk = boot_disk(tenant, vm)
    write(cloud, vm, disk, "then")
    snapshot = take(tenant, vm)
    take(tenant, vm, "later")
    add_nic(tenant, vm)
    write(cloud, vm, disk, "now")
    since = tenant.last_event()
    with fault(cloud, vm, "start"):
        job = tenant.follow(tenant.ok("PUT cloudvm/snapshot/restore", {"snapshot.id": snapshot}).startid)
        assert job.result == "1" and content(cloud, vm, disk) == "then"
        assert tree(tenant, vm)[1] == "then"  # its disks stem from it all the same
        tenant.wait_event(lambda event: event["event.type"] == "vm.state" and event["event.objid"] == vm, since)
    assert state(tenant, vm) == "0"
    start(tenant, vm)
    agrees(cloud, tenant, vm)


def test_a_deletion_that_fails_can_only_be_repeated(cloud, tenant, vm):
    snapshot = take(tenant, vm)
    cloud.expect(r'event=request .*route="cloudvm/snapshot/{snapshotId}".*result="HYPERVISOR"')
    with fault(cloud, vm, "snapshot_delete"):
        reply = tenant.refused("DELETE cloudvm/snapshot/{snapshotId}", {"snapshotId": snapshot}, "HYPERVISOR")
    assert "simulated fault" in reply.text
    row = snapshots(tenant, vm)["then"]
    assert (row["snapshot.enable"], row["snapshot.current"]) == ("false", "true")
    tenant.refused("PUT cloudvm/snapshot/restore", {"snapshot.id": snapshot}, "SNAPSHOT_BROKEN", "snapshot.id")
    take(tenant, vm, "next")
    delete(tenant, snapshot)
    assert tree(tenant, vm) == ([("next", "")], "next")
    agrees(cloud, tenant, vm)


def test_what_a_lost_host_keeps_goes_when_it_is_back(server):
    """A snapshot that was given up while its host could not be reached."""
    cloud = server(connect="sim://?control=1")
    tenant = cloud.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=cloud.admin.model(size=1))
    kept, lost = take(tenant, vm, "kept"), take(tenant, vm, "lost")
    cloud.stop()
    with contextlib.closing(sqlite3.connect(f"{cloud.data}/starvirt.db")) as db:
        (host,) = db.execute("SELECT host_id FROM vm WHERE id = ?", (vm,)).fetchone()
        db.execute("DELETE FROM snapshot_disk WHERE snapshot_id = ?", (lost,))
        db.execute("DELETE FROM snapshot WHERE id = ?", (lost,))
        db.execute("INSERT INTO leftover(host_id, kind, object_id, vm_id) VALUES(?, 3, ?, ?)", (host, lost, vm))
        db.commit()
    cloud.start()
    assert set(SimHost(cloud).domains[vm].snapshots) == {kept}
    assert "event=host.leftover_removed" in cloud.log()
    cloud.stop()
    with contextlib.closing(sqlite3.connect(f"{cloud.data}/starvirt.db")) as db:
        assert db.execute("SELECT count(*) FROM leftover").fetchone() == (0,)
    cloud.start()


def test_an_undo_that_fails_is_remembered(server):
    cloud = server(connect="sim://?control=1")
    tenant = cloud.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=cloud.admin.model(size=1))
    cloud.expect(r'event=job\.undo .*kind="snapshot\.create"')
    cloud.control("fail=snapshot_create:1")
    cloud.control("fail=snapshot_delete:1")
    startid = accept(tenant, vm).startid
    assert tenant.follow(startid).result == "1"
    assert [row["snapshot.enable"] for row in snapshots(tenant, vm).values()] == ["false"]
    assert tenant.show(vm)["vm.undo.startid"] == startid
    cloud.restart()  # without the faults
    wait_until(lambda: snapshots(tenant, vm) == {}, "it is undone")
    take(tenant, vm)
    SimHost(cloud).agrees(tenant, vm)


# ------------------------------------------------------------------------------------------------------- races
MAY_LOSE = {"VM_LOCKED", "VM_NOT_FOUND", "SNAPSHOT_NOT_FOUND", "VM_STATE", "SNAPSHOT_BROKEN"}
AT_ONCE = 6


@pytest.mark.race
def test_one_of_many_has_the_vm(cloud, tenant, vm):
    replies = at_once([lambda i=i: tenant.call("POST cloudvm/snapshot/create",
                                               {"snapshot.vmid": vm, "snapshot.name": str(i)}) for i in range(8)])
    good = [reply for reply in replies if reply.ok]
    assert good and {reply.code for reply in replies if not reply.ok} <= {"VM_LOCKED"}
    for reply in good:
        tenant.done(reply.startid)
    assert {row["snapshot.id"] for row in snapshots(tenant, vm).values()} == \
        {reply.data["snapshot.id"] for reply in good}
    agrees(cloud, tenant, vm)


RACERS = {
    "create": lambda tenant, vm, snapshot, disk: tenant.call(
        "POST cloudvm/snapshot/create", {"snapshot.vmid": vm, "snapshot.name": "new"}),
    "restore": lambda tenant, vm, snapshot, disk: tenant.call(
        "PUT cloudvm/snapshot/restore", {"snapshot.id": snapshot}),
    "delete": lambda tenant, vm, snapshot, disk: tenant.call(
        "DELETE cloudvm/snapshot/{snapshotId}", {"snapshotId": snapshot}),
    "extend": lambda tenant, vm, snapshot, disk: tenant.call(
        "PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 2}),
    "start": lambda tenant, vm, snapshot, disk: tenant.call("PUT cloudvm/start", {"vm.id": vm}),
    "delete vm": lambda tenant, vm, snapshot, disk: tenant.call("DELETE cloudvm/{vmId}", {"vmId": vm}),
}


@pytest.mark.race
@pytest.mark.parametrize("one,other", [("delete vm", "create"), ("delete vm", "restore"), ("delete vm", "delete"),
                                       ("delete", "create"), ("delete", "restore"), ("delete", "extend"),
                                       ("delete", "start"), ("create", "extend"), ("restore", "start")])
def test_one_against_another(server, one, other):
    cloud = server(connect="sim://?delay=1ms")
    tenant = cloud.admin.tenant()
    made = tenant.create(vnic_portgroupid=tenant.vpc(), vm_tenant_model=cloud.admin.model(size=1), vm_num=AT_ONCE).data
    for row in made:
        tenant.done(row["jobstartid"])
    vms = [row["vm.id"] for row in made]
    known = {vm: (take(tenant, vm), boot_disk(tenant, vm)) for vm in vms}
    work = [lambda vm=vm, name=name: RACERS[name](tenant, vm, *known[vm]) for vm in vms for name in (one, other)]
    replies = at_once(work)
    for vm, pair in zip(vms, zip(replies[::2], replies[1::2])):
        assert any(reply.ok for reply in pair), pair
        assert {reply.code for reply in pair if not reply.ok} <= MAY_LOSE, pair
    for reply in replies:
        if reply.ok and reply.body.get("startid"):
            assert tenant.follow(reply.startid).result == "0"
    host = SimHost(cloud)
    left = [row["vm.id"] for row in tenant.ok("POST cloudvm/search").data]
    assert set(host.domains) == set(left)
    for vm in left:
        host.agrees(tenant, vm)
        tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    assert (SimHost(cloud).domains, SimHost(cloud).volumes) == ({}, {})
