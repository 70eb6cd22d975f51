"""Snapshots of real guests: what was on their disks and in their memory comes back, whatever the guest did since;
kill -9 of the server at every boundary of the jobs that take, restore and delete them."""
import pytest
from sandbox import SLOW, until
from starvirt import dump_kinds
from test_crash import Armed
from test_devices import SECTORS, add_disk, delete_disk, disks, grow, let_in, read, sectors, write
from test_power import behind, told

KINDS = dump_kinds()


def points(kind):
    return [f"{kind}:{step}:{at}" for step in KINDS[kind]["steps"] for at in ("before", "after", "recorded")] + \
        [f"{kind}:end:before"]


@pytest.fixture
def guest(cloud):
    """One guest with a data disk for all tests here; it runs, and has no snapshots."""
    if not hasattr(cloud, "lone"):
        cloud.lone = cloud.guest(**{"vm.vdisk.num": 1, "vm.vdisk.size": 1, "vm.vncpasswd": "geheim12"})
    guest = cloud.lone
    for name, row in snapshots(cloud, guest).items():
        delete(cloud, row["snapshot.id"])
    if cloud.state(guest) != "1":
        cloud.act("start", guest)
    return guest.wait_agent()


def accept(cloud, guest, name="then"):
    reply = cloud.tenant.ok("POST cloudvm/snapshot/create", {"snapshot.vmid": guest.id, "snapshot.name": name})
    return reply.data["snapshot.id"], reply.startid


def take(cloud, guest, name="then"):
    snapshot, startid = accept(cloud, guest, name)
    cloud.tenant.done(startid, SLOW)
    return snapshot


def restore(cloud, snapshot):
    return cloud.tenant.run("PUT cloudvm/snapshot/restore", {"snapshot.id": snapshot}, SLOW)


def delete(cloud, snapshot):
    cloud.tenant.ok("DELETE cloudvm/snapshot/{snapshotId}", {"snapshotId": snapshot})


def snapshots(cloud, guest):
    """{name: row}"""
    rows = cloud.tenant.ok("GET cloudvm/snapshot/{vmId}", {"vmId": guest.id}).data
    return {row["snapshot.name"]: row for row in rows}


def in_files(cloud, guest):
    """Names of the snapshots in each file of the VM's disks, and those that libvirt lists: all the same."""
    listed = sorted(cloud.sandbox.virsh("snapshot-list", guest.id, "--name").split())
    for disk in disks(cloud, guest).values():
        path = f"{cloud.server.data}/images/{disk['vdisk.id']}.qcow2"
        info = cloud.sandbox.json("qemu-img", "info", "-U", "--output=json", path)
        assert sorted(row["name"] for row in info.get("snapshots", ())) == listed
    return listed


# A mark on the data disk and one that is in the memory only.
def mark(guest, word):
    write(guest, "vdb", word, 5)
    guest.sh(f"hostname in-{word}")


def marked(guest, word):
    guest.wait_agent()
    return read(guest, "vdb", 5, len(word)) == word and guest.sh("hostname") == f"in-{word}"


def test_a_running_guest_goes_on_from_where_it_was(cloud, guest):
    boot = guest.boot_id()
    mark(guest, "first")
    snapshot = take(cloud, guest)
    assert snapshots(cloud, guest)["then"]["snapshot.memory"] == "true" and in_files(cloud, guest) == [snapshot]
    for word in ("other", "again"):
        mark(guest, word)
        restore(cloud, snapshot)
        assert cloud.state(guest) == "1"
        assert marked(guest, "first") and guest.boot_id() == boot
        guest.wait_http()  # its NIC is in its network again
    cloud.act("destroy", guest)
    restore(cloud, snapshot)
    assert cloud.state(guest) == "1" and marked(guest, "first") and guest.boot_id() == boot


def test_the_clock_does_not_go_back(cloud, guest):
    """What is in the memory is the time of then, which was wrong even then."""
    guest.sh("date -s @$(($(date +%s) - 600))")
    snapshot, startid = accept(cloud, guest)
    assert told(cloud.tenant.done(startid, SLOW)) >= 600, "it stood still meanwhile, and is right at once"
    assert abs(behind(guest)) < 1
    for before in ((), ("destroy",)):
        for verb in before:
            cloud.act(verb, guest)
        assert told(restore(cloud, snapshot)) >= 600
        assert abs(behind(guest)) < 1


def test_a_stopped_guest_is_stopped_again(cloud, guest):
    write(guest, "vdb", "before", 9)
    cloud.act("destroy", guest)
    snapshot = take(cloud, guest)
    assert snapshots(cloud, guest)["then"]["snapshot.memory"] == "false"
    cloud.act("start", guest)
    write(guest.wait_agent(), "vdb", "behind", 9)
    guest.sh("echo gone >/root/later; sync")
    restore(cloud, snapshot)
    assert cloud.state(guest) == "0"
    cloud.act("start", guest)
    guest.ready()
    assert read(guest, "vdb", 9, 6) == "before" and guest.exec("cat /root/later")[0] != 0


def test_the_password_of_now_stays(cloud, guest):
    snapshot = take(cloud, guest)
    cloud.tenant.ok("POST cloudvm/editvncpwd", {"vm.id": guest.id, "vm.vncpasswd": "newer"})
    restore(cloud, snapshot)
    assert let_in(cloud, guest, "newer") and not let_in(cloud, guest, "geheim12")
    cloud.act("destroy", guest)
    cloud.act("start", guest)
    assert let_in(cloud, guest, "newer")
    cloud.tenant.ok("POST cloudvm/editvncpwd", {"vm.id": guest.id, "vm.vncpasswd": "geheim12"})


def test_any_of_a_chain(cloud, guest):
    ids = []
    for word in ("one", "two", "three", "four", "five"):
        mark(guest, word)
        ids.append(take(cloud, guest, word))
    delete(cloud, ids[2])
    for k, word in ((3, "four"), (0, "one"), (4, "five")):
        restore(cloud, ids[k])
        assert marked(guest, word)
    assert in_files(cloud, guest) == sorted(ids[:2] + ids[3:])
    cloud.act("destroy", guest)
    delete(cloud, ids[1])
    restore(cloud, ids[3])
    assert marked(guest, "four")


def test_a_disk_that_grew_goes_back_and_keeps_its_size(cloud, guest):
    mark(guest, "small")
    snapshot = take(cloud, guest)
    disk = disks(cloud, guest)["vdb"]
    size = int(disk["vdisk.size"]) + 1
    grow(cloud, disk["vdisk.id"], size)
    mark(guest, "large")
    write(guest, "vdb", "end", size * SECTORS - 1)
    restore(cloud, snapshot)
    assert marked(guest, "small")
    until(lambda: sectors(guest, "vdb") == size * SECTORS, "the guest sees the growth")
    cloud.act("destroy", guest)
    cloud.act("start", guest)
    guest.wait_agent()
    assert sectors(guest, "vdb") == size * SECTORS and read(guest, "vdb", 5, 5) == "small"


def test_a_disk_that_came_later_is_left_alone(cloud, guest):
    """Its memory no longer fits: the guest boots from the disks as they were, with the new one as it is."""
    boot = guest.boot_id()
    mark(guest, "early")
    snapshot = take(cloud, guest)
    disk, name = add_disk(cloud, guest, 1)
    until(lambda: sectors(guest, name) == SECTORS, "the guest sees the disk")
    write(guest, name, "late", 3)
    mark(guest, "later")
    job = restore(cloud, snapshot)
    assert any("memory was not restored" in line for line in job.lines), job.lines
    guest.wait_agent()
    assert guest.boot_id() != boot and read(guest, "vdb", 5, 5) == "early" and read(guest, name, 3, 4) == "late"
    delete(cloud, snapshot)
    delete_disk(cloud, disk)


def test_after_a_vcpu_was_plugged_in(cloud, guest):
    """The memory of such a guest does not fit into a new QEMU: known when the snapshot is taken."""
    cloud.act("destroy", guest)
    cloud.act("start", guest)
    guest.wait_agent()
    boot = guest.boot_id()
    cloud.act("cpu/modify", guest, **{"vm.vcpu.num": 2})
    if cloud.sandbox.virsh("vcpucount", guest.id, "--live", "--current").strip() != "2":
        pytest.skip("this QEMU has no room for another vCPU")
    mark(guest, "early")
    snapshot = take(cloud, guest)
    assert snapshots(cloud, guest)["then"]["snapshot.memory"] == "false"
    mark(guest, "later")
    restore(cloud, snapshot)
    assert cloud.state(guest) == "1"
    guest.wait_agent()
    assert guest.boot_id() != boot and read(guest, "vdb", 5, 5) == "early" and guest.cpus() == 2


# -------------------------------------------------------------------------------------------------- kill -9
@pytest.mark.parametrize("point", points("snapshot.create"))
def test_create_killed(cloud, guest, point):
    mark(guest, "first")
    with Armed(cloud, point):
        snapshot, startid = accept(cloud, guest)
    cloud.tenant.done(startid, SLOW)
    assert in_files(cloud, guest) == [snapshot]
    row = snapshots(cloud, guest)["then"]
    assert row["snapshot.enable"] == "true" and row["snapshot.memory"] == "true"


@pytest.mark.parametrize("point", points("snapshot.restore"))
def test_restore_killed(cloud, guest, point):
    mark(guest, "first")
    snapshot = take(cloud, guest)
    mark(guest, "other")
    with Armed(cloud, point):
        startid = cloud.tenant.ok("PUT cloudvm/snapshot/restore", {"snapshot.id": snapshot}).startid
    cloud.tenant.done(startid, SLOW)
    cloud.wait_state(guest, "1")  # unknown until the host is connected again
    assert marked(guest, "first")


@pytest.mark.parametrize("point", points("snapshot.delete"))
def test_delete_killed(cloud, guest, point):
    """Answered once it is done: the client of the one that is killed hears nothing."""
    snapshot = take(cloud, guest)
    with Armed(cloud, point):
        with pytest.raises(OSError):
            delete(cloud, snapshot)
    until(lambda: not snapshots(cloud, guest), "the snapshot is gone")
    assert in_files(cloud, guest) == []
