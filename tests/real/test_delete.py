"""Deleting: whatever a VM was doing, nothing of it is left; secrets never show."""
import base64
import os
import re
import secrets

import pytest
from starvirt import files_below


def traces(cloud, guest, macs, disks):
    """What is left of a deleted guest, anywhere."""
    box, found = cloud.sandbox, []
    if guest.id in box.domains():
        found.append("domain")
    found += [path for path in disks if box.try_run("test", "-e", path).returncode == 0]
    for root, _, names in os.walk(cloud.server.data + "/net"):
        for name in names:
            with open(os.path.join(root, name), errors="replace") as f:
                text = f.read()
            found += [f"{word} in {root}/{name}" for word in (*macs, guest.ip, guest.id[-8:]) if word in text]
    found += [name for name in box.links() if name.startswith("svt") and name in guest.taps]
    for folder in ("/etc/libvirt/qemu", "/run/libvirt/qemu", "/var/lib/libvirt/qemu"):
        found += box.try_run("find", folder, "-name", f"*{guest.id}*").stdout.split()
    if box.qemu_of(guest.id):
        found.append("QEMU")
    if guest.id in cloud.server.secrets():
        found.append("secret")
    return found


def look(cloud, guest):
    xml = cloud.sandbox.definition(guest.id, "--inactive")
    guest.taps = [dev.get("dev") for dev in xml.findall("devices/interface/target")]
    macs = [mac.get("address") for mac in xml.findall("devices/interface/mac")]
    disks = [source.get("file") for source in xml.findall("devices/disk/source")]
    assert macs and disks and guest.taps
    return macs, disks


def free_addresses(cloud, vpc):
    (row,) = [row for row in cloud.tenant.ok("POST cloudnetwork/vpc/search").data if row["vpc.id"] == vpc]
    return int(row["vpc.usable.ipcount"])


@pytest.mark.parametrize("before", ["running", "booted", "paused", "stopped", "saved", "crashed", "undefined"])
def test_nothing_is_left(cloud, before):
    tenant = cloud.tenant
    vpc = tenant.vpc()
    whole = free_addresses(cloud, vpc)
    (guest,) = cloud.guests(vpc, wait=before == "booted", **{"vm.vncpasswd": "geheim12", "vm.vdisk.num": 2,
                                                             "vm.vdisk.size": 1})
    macs, disks = look(cloud, guest)
    assert len(disks) == 3 and free_addresses(cloud, vpc) == whole - 1
    if before == "paused":
        cloud.act("suspend", guest)
    elif before == "stopped":
        cloud.act("destroy", guest)
    elif before == "saved":
        cloud.sandbox.virsh("managedsave", guest.id)
        cloud.wait_state(guest, "2")
    elif before == "crashed":
        os.kill(cloud.sandbox.qemu_of(guest.id), 9)
        cloud.wait_state(guest, "0")
    elif before == "undefined":
        cloud.sandbox.virsh("destroy", guest.id)
        cloud.sandbox.virsh("undefine", guest.id)
    job = cloud.delete(guest)
    for step in ("stop and undefine", "take back addresses", "delete disks"):
        assert f"{step}: done" in job.lines, job.lines
    assert traces(cloud, guest, macs, disks) == []
    tenant.refused("GET cloudvm/{vmId}", {"vmId": guest.id}, "VM_NOT_FOUND")
    assert free_addresses(cloud, vpc) == whole
    tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})
    left = tenant.usable()
    assert all(left[key] == left["count" + key[0].upper() + key[1:]] for key in ("cpu", "memory", "storage"))


def test_the_address_goes_to_the_next(cloud):
    """And works for it: no DHCP server, guest or switch remembers the one before."""
    vpc = cloud.tenant.vpc()
    stays, goes = cloud.guests(vpc, 2)
    cloud.delete(goes)
    (new,) = cloud.guests(vpc)
    assert new.ip == goes.ip and new.id != goes.id
    assert new.http() == f"vm-{new.id[-8:]}"
    assert stays.sh(f"timeout 20 wget -q -O - http://{new.ip}/") == f"vm-{new.id[-8:]}"
    for guest in (stays, new):
        cloud.delete(guest)
    cloud.tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})


def test_vpc_with_guests_stays(cloud):
    vpc = cloud.tenant.vpc()
    (guest,) = cloud.guests(vpc, wait=False)
    refused = cloud.tenant.refused("POST cloudnetwork/vpc/delete", {"vpc.id": vpc}, "VPC_IN_USE")
    assert "1" in refused.text
    cloud.agrees()
    assert guest.namespace in cloud.sandbox.namespaces()
    cloud.delete(guest)
    assert guest.namespace in cloud.sandbox.namespaces()
    cloud.tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})
    assert guest.namespace not in cloud.sandbox.namespaces()
    assert not [name for name in cloud.sandbox.links() if name.endswith(vpc[-12:])]
    assert not [argv for argv in cloud.sandbox.processes("dnsmasq").values() if vpc in " ".join(argv)]
    assert not os.path.exists(f"{cloud.server.data}/net/{vpc}")


def test_template_in_use_stays(cloud):
    vpc = cloud.tenant.vpc()
    (guest,) = cloud.guests(vpc, wait=False)
    refused = cloud.admin.call("DELETE cloudtemplate/{templateId}", {"templateId": cloud.template})
    assert refused.code == "TEMPLATE_IN_USE", refused
    assert cloud.state(guest) == "1"
    cloud.delete(guest)
    cloud.tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})


# ----------------------------------------------------------------------------------------- the VNC password
def shapes(secret):
    """A secret as it is, in hex, and as a part of anything Base64."""
    found = [secret.encode(), secret.encode().hex().encode()]
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + secret.encode())
        found.append(text[4 if shift else 0:(shift + len(secret)) // 3 * 4])  # whole groups of its own
    assert all(len(shape) >= 8 for shape in found)
    return found


def everything_written(cloud):
    yield cloud.server.stderr
    yield from (path for path in files_below(cloud.server.data) if not os.path.dirname(path).endswith("/images"))


def assert_nowhere(cloud, secret):
    for path in everything_written(cloud):
        with open(path, "rb") as f:
            text = f.read()
        for shape in shapes(secret):
            assert shape not in text, f"{secret} stands in {path} as {shape!r}"


def in_definition(cloud, guest, *flags):
    return cloud.sandbox.definition(guest.id, "--security-info", *flags).find("devices/graphics").get("passwd")


def test_vnc_password_is_nowhere_but_in_libvirt(cloud):
    secret = secrets.token_hex(4)
    (guest,) = cloud.guests(cloud.tenant.vpc(), wait=False, **{"vm.vncpasswd": secret})
    assert in_definition(cloud, guest) == secret
    cloud.act("mem/modify", guest, **{"vm.memory.mem": 192})
    assert in_definition(cloud, guest, "--inactive") == secret, "lost when the definition was written anew"
    cloud.server.kill()
    cloud.server.start().wait_connected()
    cloud.act("destroy", guest)
    cloud.sandbox.virsh("undefine", guest.id)
    cloud.act("start", guest)
    assert in_definition(cloud, guest) == secret, "lost when the definition was made again"
    assert_nowhere(cloud, secret)
    everything = str(cloud.admin.show(guest.id)) + str(cloud.admin.ok("POST joblog/search").data) + str(
        cloud.admin.events())
    assert secret not in everything
    for argv in cloud.sandbox.processes("qemu-system-x86_64").values():
        assert secret not in " ".join(argv)
    cloud.delete(guest)
    assert_nowhere(cloud, secret)


def test_without_a_password_nobody_gets_in(cloud):
    """And no VNC port is open to anybody else than this machine."""
    (guest,) = cloud.guests(cloud.tenant.vpc(), wait=False)
    graphics = cloud.sandbox.definition(guest.id, "--security-info").find("devices/graphics")
    assert graphics.get("listen") == "127.0.0.1"
    argv = " ".join(cloud.sandbox.processes("qemu-system-x86_64")[cloud.sandbox.qemu_of(guest.id)])
    assert "127.0.0.1:" in argv and "password=on" in argv, argv
    # RFB: security types offered are VNC authentication alone, never "none".
    port = int(graphics.get("port"))
    script = ("import socket;s=socket.create_connection(('127.0.0.1',%d),20);v=s.recv(12);s.sendall(v);"
              "print(list(s.recv(16)))" % port)
    offered = cloud.sandbox.run("/usr/bin/python3", "-c", script).strip()
    assert offered == "[1, 2]", offered


def test_token_and_key_are_only_the_owners(cloud):
    for path, mode in (("admin.token", "0o600"), ("secrets", "0o700"), ("secrets/key", "0o600"), ("net", "0o700"),
                       ("starvirt.db", "0o600")):
        assert oct(os.stat(os.path.join(cloud.server.data, path)).st_mode & 0o777) == mode, path
    assert_nowhere_in_log(cloud, cloud.admin.token)
    assert_nowhere_in_log(cloud, cloud.tenant.token)


def assert_nowhere_in_log(cloud, token):
    assert not re.search(token, cloud.server.log())
