"""Devices that come and go under a real guest, and what is done inside it: disks and NICs hot and cold, sizes,
passwords of the guest and of its screen, the agent's channel."""
import os
import pty
import re
import select
import subprocess
import time

import pytest
from agree import virtual_size
from sandbox import SLOW, Guest, until

SECTORS = 2048 * 1024  # of a GB


@pytest.fixture
def guest(cloud):
    """One guest for all tests here; each leaves it running."""
    if not hasattr(cloud, "lone"):
        cloud.lone = cloud.guest()
    return cloud.lone


def disks(cloud, guest):
    rows = cloud.tenant.ok("POST cloudvm/vdisk/search", {"vdisk.vmid": guest.id}).data
    return {row["vdisk.devname"]: row for row in rows}


def nics(cloud, guest):
    return cloud.tenant.ok("POST cloudvm/vnic/search", {"vnic.vmid": guest.id}).data


def add_disk(cloud, guest, size):
    reply = cloud.tenant.ok("POST cloudvm/vdisk/add", {"vdisk.vmid": guest.id, "vdisk.size": size})
    cloud.tenant.done(reply.startid, SLOW)
    return reply.data["vdisk.id"], reply.data["vdisk.devname"]


def grow(cloud, disk, size):
    cloud.tenant.run("PUT cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": size}, SLOW)


def delete_disk(cloud, disk):
    cloud.tenant.run("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": disk}, SLOW)


def add_nic(cloud, guest, vpc):
    made = cloud.tenant.ok("POST cloudvm/vnic/add", {"vnic.vmid": guest.id, "vnic.portgroupid": vpc}).data["vnic.id"]
    (row,) = [row for row in nics(cloud, guest) if row["vnic.id"] == made]
    return row


def delete_nic(cloud, nic):
    cloud.tenant.ok("DELETE cloudvm/vnic/{vnicId}", {"vnicId": nic["vnic.id"]})


def sectors(guest, name):
    """What the guest sees of a disk; 0 when it sees none."""
    return int(guest.sh(f"cat /sys/block/{name}/size 2>/dev/null || echo 0"))


def file_of(cloud, disk):
    return os.path.join(cloud.server.data, "images", disk + ".qcow2")


def write(guest, name, text, at):
    guest.sh(f"printf %s {text} | dd of=/dev/{name} bs=512 seek={at} conv=notrunc,fsync")


def read(guest, name, at, size):
    return guest.sh(f"dd if=/dev/{name} bs=512 skip={at} count=1 2>/dev/null | head -c {size}")


# ----------------------------------------------------------------------------------------------------- disks
def test_a_disk_comes_grows_and_goes_while_the_guest_runs(cloud, guest):
    boot = guest.boot_id()
    disk, name = add_disk(cloud, guest, 2)
    assert name == "vdb"
    until(lambda: sectors(guest, name) == 2 * SECTORS, "the guest sees the disk")
    assert guest.sh(f"cat /sys/block/{name}/serial") == disk.replace("-", "")[:20]
    write(guest, name, "first-sector", 0)
    write(guest, name, "last-sector", 2 * SECTORS - 1)
    grow(cloud, disk, 3)
    until(lambda: sectors(guest, name) == 3 * SECTORS, "the guest sees the growth")
    assert virtual_size(file_of(cloud, disk)) == 3 << 30
    write(guest, name, "grown-sector", 3 * SECTORS - 1)
    assert read(guest, name, 0, 12) == "first-sector" and read(guest, name, 2 * SECTORS - 1, 11) == "last-sector"
    assert read(guest, name, 3 * SECTORS - 1, 12) == "grown-sector"
    cloud.agrees()
    delete_disk(cloud, disk)
    assert sectors(guest, name) == 0 and not os.path.exists(file_of(cloud, disk))
    assert guest.boot_id() == boot


def test_a_disk_comes_and_grows_while_the_guest_is_off(cloud, guest):
    cloud.act("destroy", guest)
    disk, name = add_disk(cloud, guest, 1)
    cloud.agrees()
    cloud.act("start", guest)
    guest.wait_agent()
    assert sectors(guest, name) == SECTORS
    write(guest, name, "kept", 7)
    cloud.act("destroy", guest)
    grow(cloud, disk, 2)
    assert virtual_size(file_of(cloud, disk)) == 2 << 30
    cloud.act("start", guest)
    guest.wait_agent()
    assert sectors(guest, name) == 2 * SECTORS and read(guest, name, 7, 4) == "kept"
    cloud.act("destroy", guest)
    delete_disk(cloud, disk)
    assert not os.path.exists(file_of(cloud, disk))
    cloud.act("start", guest)
    guest.ready()
    assert sectors(guest, name) == 0


def test_a_disk_added_hot_is_there_after_a_stop(cloud, guest):
    disk, name = add_disk(cloud, guest, 1)
    until(lambda: sectors(guest, name) == SECTORS, "the guest sees the disk")
    write(guest, name, "kept", 0)
    cloud.act("destroy", guest)
    cloud.act("start", guest)
    guest.wait_agent()
    assert read(guest, name, 0, 4) == "kept"
    delete_disk(cloud, disk)
    guest.ready()


def test_a_file_system_on_a_disk_grows_with_it(cloud, guest):
    disk, name = add_disk(cloud, guest, 1)
    until(lambda: sectors(guest, name) == SECTORS, "the guest sees the disk")
    guest.sh(f"/usr/sbin/mke2fs -q -t ext4 /dev/{name} && mount -t ext4 /dev/{name} /mnt && echo kept >/mnt/file && sync")
    blocks = "stat -f -c '%b %S' /mnt"
    before, unit = map(int, guest.sh(blocks).split())
    assert 900 << 20 < before * unit < 1 << 30
    grow(cloud, disk, 3)
    until(lambda: sectors(guest, name) == 3 * SECTORS, "the guest sees the growth")
    guest.sh(f"/usr/sbin/resize2fs /dev/{name}")  # while it is mounted
    after, unit = map(int, guest.sh(blocks).split())
    assert 2800 << 20 < after * unit < 3 << 30
    assert guest.sh("cat /mnt/file") == "kept"
    guest.sh("umount /mnt")
    delete_disk(cloud, disk)
    assert sectors(guest, name) == 0


def test_the_boot_disk_grows_while_the_guest_runs(cloud, guest):
    row = disks(cloud, guest)["vda"]
    size = int(row["vdisk.size"]) + 2
    grow(cloud, row["vdisk.id"], size)
    until(lambda: sectors(guest, "vda") == size * SECTORS, "the guest sees the growth")


def test_a_disk_deleted_in_use(cloud, guest):
    """Its file system is mounted: the guest loses it all the same, and lives on."""
    disk, name = add_disk(cloud, guest, 1)
    until(lambda: sectors(guest, name) == SECTORS, "the guest sees the disk")
    guest.sh(f"exec 9</dev/{name}; (sleep 600) <&9 >/dev/null 2>&1 &")
    delete_disk(cloud, disk)
    assert sectors(guest, name) == 0
    guest.sh("killall sleep")


# ------------------------------------------------------------------------------------------------------ NICs
def address_of(guest, mac):
    """The IPv4 address in the guest of the NIC with this MAC; "" when there is none."""
    return guest.sh(f"for d in /sys/class/net/*; do [ \"$(cat $d/address)\" = {mac} ] && "
                    "ip -4 -o addr show dev ${d##*/} | awk '{ print $4 }'; done; true")


def test_a_nic_comes_and_goes_while_the_guest_runs(cloud, guest):
    boot, home = guest.boot_id(), guest.ip
    vpc = cloud.tenant.vpc()
    row = add_nic(cloud, guest, vpc)
    until(lambda: address_of(guest, row["vnic.macaddress"]).split("/")[0] == row["vnic.ipaddress"],
          "the NIC has its address by DHCP")
    second = Guest(cloud.sandbox, guest.id, vpc, row["vnic.ipaddress"])
    second.wait_http()  # from its VPC's namespace
    guest.wait_http()
    assert cloud.tenant.show(guest.id)["vm.ip"] == home
    cloud.tenant.refused("POST cloudnetwork/vpc/delete", {"vpc.id": vpc}, "VPC_IN_USE")
    cloud.agrees()
    delete_nic(cloud, row)
    assert address_of(guest, row["vnic.macaddress"]) == ""
    assert second.http(limit=1) is None
    guest.wait_http()
    assert guest.boot_id() == boot
    cloud.tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})


def test_a_nic_comes_and_goes_while_the_guest_is_off(cloud, guest):
    vpc = cloud.tenant.vpc()
    cloud.act("destroy", guest)
    row = add_nic(cloud, guest, vpc)
    cloud.agrees()
    cloud.act("start", guest)
    guest.ready()
    Guest(cloud.sandbox, guest.id, vpc, row["vnic.ipaddress"]).wait_http()
    cloud.act("destroy", guest)
    delete_nic(cloud, row)
    cloud.act("start", guest)
    guest.ready()
    assert address_of(guest, row["vnic.macaddress"]) == ""


# ------------------------------------------------------------------------------------------------- passwords
class Console:
    """The serial port of a guest, as a person at `virsh console` has it."""

    def __init__(self, guest):
        ours, theirs = pty.openpty()
        box = guest.sandbox
        argv = ["nsenter", "-t", str(box.pid), "-m", "-n", "-u", "-i", "-p", "--",
                "virsh", "-c", "qemu:///system", "console", "--force", guest.id]
        self.process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        self.fd, self.text = ours, ""

    def expect(self, pattern, timeout=SLOW, poke=None):
        """Reads until the text matches; what was read up to there is used up. A port that says nothing is poked."""
        end = time.monotonic() + timeout
        while not (match := re.search(pattern, self.text)):
            assert time.monotonic() < end, f"no {pattern!r} on the console: {self.text[-400:]!r}"
            if select.select([self.fd], [], [], 2)[0]:
                self.text += os.read(self.fd, 4096).decode(errors="replace")
            elif poke:
                self.type(poke)
        self.text = self.text[match.end():]
        return match.group(0)

    def type(self, text):
        os.write(self.fd, text.encode())

    def login(self, user, password):
        """True when the guest lets the user in."""
        self.expect(r"login: ", poke="\r")
        self.type(user + "\r")
        self.expect(r"[Pp]assword: ?")
        self.type(password + "\r")
        return "incorrect" not in self.expect(r"Login incorrect|:~# ")

    def close(self):
        self.process.terminate()
        self.process.wait()
        os.close(self.fd)


def set_password(cloud, guest, password, **more):
    cloud.tenant.run("POST cloudvm/setadminpwd", {"vm.id": guest.id, "pwd": password, **more}, SLOW)


@pytest.mark.parametrize("password", ["Tr0ub4dor-3", "a:b $(id) 'x' \"y\" \\z"], ids=["plain", "odd"])
def test_the_password_logs_in_at_the_console(cloud, guest, password):
    guest.wait_agent()
    set_password(cloud, guest, password)
    console = Console(guest)
    try:
        assert not console.login("root", password + "x")
        assert console.login("root", password)
        console.type("echo it-is-$(( 6 * 7 ))\r")
        console.expect("it-is-42")
        console.type("exit\r")
        console.expect(r"login: ")  # or the next one finds this session
    finally:
        console.close()


def test_a_user_that_the_guest_does_not_have(cloud, guest):
    reply = cloud.tenant.ok("POST cloudvm/setadminpwd", {"vm.id": guest.id, "pwd": "x", "username": "nobody-here"})
    job = cloud.tenant.follow(reply.startid, SLOW)
    assert job.result != "0", job


def test_the_agents_channel_is_brought_back(cloud, guest):
    """Somebody unplugs it: what needs the agent fails; it is plugged in again when asked for, without a restart."""
    boot, box = guest.boot_id(), cloud.sandbox
    channel = re.search(r"<channel type='unix'>.*?</channel>", box.virsh("dumpxml", guest.id), re.S).group(0)
    path = os.path.join(cloud.server.data, "..", "channel.xml")
    with open(path, "w") as f:
        f.write(channel)
    box.virsh("detach-device", guest.id, path, "--live")
    os.unlink(path)
    reply = cloud.tenant.ok("POST cloudvm/setadminpwd", {"vm.id": guest.id, "pwd": "x"})
    job = cloud.tenant.follow(reply.startid, SLOW)
    assert job.result != "0" and "guest agent" in job.info, job
    cloud.tenant.run("POST cloudvm/resumeCloudAgent", {"vm.id": guest.id}, SLOW)
    set_password(cloud, guest, "back-again")
    assert guest.boot_id() == boot


# --------------------------------------------------------------------------------------------------- screen
def let_in(cloud, guest, password):
    """Whether the guest's VNC server takes this password."""
    port = cloud.sandbox.definition(guest.id).find("devices/graphics[@type='vnc']").get("port")
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rfb.py")
    done = cloud.sandbox.try_run("/usr/bin/python3", "-B", script, port, password)
    assert done.returncode in (0, 3), done.stderr
    return done.returncode == 0


def test_the_vnc_password_changes_under_the_guest(cloud, guest):
    boot = guest.boot_id()
    assert not let_in(cloud, guest, "") and not let_in(cloud, guest, "guess")
    cloud.tenant.ok("POST cloudvm/editvncpwd", {"vm.id": guest.id, "vm.vncpasswd": "first123"})
    assert let_in(cloud, guest, "first123") and not let_in(cloud, guest, "first124")
    cloud.tenant.ok("POST cloudvm/editvncpwd", {"vm.id": guest.id, "vm.vncpasswd": "two"})
    assert let_in(cloud, guest, "two") and not let_in(cloud, guest, "first123")
    made = cloud.tenant.ok("POST cloudvm/setvncpwd", {"vm.id": guest.id}).data["vm.vncpasswd"]
    assert let_in(cloud, guest, made) and not let_in(cloud, guest, "two")
    assert guest.boot_id() == boot
    cloud.act("destroy", guest)
    cloud.act("start", guest)
    assert let_in(cloud, guest, made)
    cloud.act("destroy", guest)
    cloud.tenant.ok("POST cloudvm/editvncpwd", {"vm.id": guest.id, "vm.vncpasswd": "cold"})
    cloud.act("start", guest)
    assert let_in(cloud, guest, "cold") and not let_in(cloud, guest, made)
    guest.ready()
