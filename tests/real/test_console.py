"""Consoles of real guests: the screen in a real browser, keys that reach the guest, and where the screen is."""
import os

import pytest

from browser import PROGRAM, Browser
from console import Address, Refused, Screen, WebSocket
from sandbox import SLOW, until
from starvirt import ROOT

SHOTS = os.path.join(ROOT, "build-test")
STOPPED, RUNNING = "0", "1"
PASSWORD = "Opensesame1"
CONNECTION = "GET cloudvm/connection/{vmId}"


@pytest.fixture(scope="module")
def browser():
    if not PROGRAM:
        pytest.skip("no chromium: scripts/install-packages test")
    with Browser() as made:
        yield made


def connection(cloud, guest):
    return cloud.tenant.ok(CONNECTION, {"vmId": guest.id}).data


def look(cloud, guest):
    """A viewer's RFB handshake through the proxy."""
    return Screen(WebSocket(cloud.server, Address(connection(cloud, guest))))


def listens(cloud, guest):
    """Host and port as libvirt has them."""
    graphics = cloud.sandbox.definition(guest.id).find("devices/graphics")
    return graphics.get("listen"), graphics.get("port")


def agrees(cloud, guest):
    data = connection(cloud, guest)
    return (data["vm.hostip"], data["vm.vncport"]) == listens(cloud, guest)


def on_screen(guest, program):
    """Whether the program runs on the guest's first virtual terminal."""
    found = guest.exec("for p in /proc/[0-9]*; do [ $(readlink $p/fd/0) = /dev/tty1 ] && cat $p/comm; done; true")[1]
    return program in found.split()


def test_browser(cloud, browser):
    guest = cloud.guest(**{"vm.name": "<b>Screen & keys</b>"})
    cloud.tenant.run("POST cloudvm/setadminpwd", {"vm.id": guest.id, "username": "root", "pwd": PASSWORD}, SLOW)
    where = Address(connection(cloud, guest))
    page = browser.page(where.url)
    page.wait_state("connected")
    until(lambda: page.lit() > 300 and page.colours() > 1, "the screen is not blank")
    assert page.evaluate("document.title") == "<b>Screen & keys</b> – console"
    before = page.lit()
    page.type("root\n")
    until(lambda: on_screen(guest, "login") and " -echo " in guest.exec("stty -a </dev/tty1")[1],
          "it asks for the password")
    page.type(PASSWORD + "\n")
    until(lambda: on_screen(guest, "sh") or on_screen(guest, "ash"), "the shell runs")
    page.type("echo typed in a browser | tee /root/mark\n")
    until(lambda: "typed in a browser" in guest.exec("cat /root/mark")[1], "the keys reach the guest")
    page.evaluate("document.getElementById('paste').click()")
    page.evaluate("document.getElementById('ask-text').value = 'echo \"pasted: $((6*7))~\" >> /root/mark\\n';"
                  "document.getElementById('ask-ok').click()")
    until(lambda: guest.exec("cat /root/mark")[1].split("\n") == ["typed in a browser", "pasted: 42~", ""],
          "pasted text reaches the guest")
    until(lambda: page.lit() > before + 300, "the screen shows it")
    page.screenshot(os.path.join(SHOTS, "console.png"))
    with pytest.raises(Refused) as again:
        WebSocket(cloud.server, where)
    assert again.value.status == 403
    second = look(cloud, guest)  # a second viewer, while the first goes on
    assert second.width >= 640 and second.name
    cloud.act("destroy", guest)
    page.wait_state("closed")
    assert "shut down" in page.state()[1]
    assert second.ws.until_closed().reason == "SCREEN_CLOSED"
    assert page.complaints() == []


def test_address_follows_the_guest(cloud):
    """The port is known without asking, after all that can change it, and never while there is none."""
    one, two = cloud.guests(cloud.tenant.vpc(), 2, wait=False)
    assert agrees(cloud, one) and agrees(cloud, two)
    assert listens(cloud, one)[0] == "127.0.0.1" and listens(cloud, one) != listens(cloud, two)
    for guest in (one, two):
        cloud.act("destroy", guest)
        assert cloud.tenant.refused(CONNECTION, {"vmId": guest.id}).code == "VM_STATE"
    for guest in (two, one):  # they get each other's ports
        cloud.act("start", guest)
        assert agrees(cloud, guest)
    look(cloud, one).ws.close()
    cloud.act("suspend", two)
    assert agrees(cloud, two)
    look(cloud, two).ws.close()
    cloud.act("resume", two)
    cloud.server.kill()
    cloud.server.start().wait_connected()
    until(lambda: cloud.state(one) == cloud.state(two) == RUNNING, "both run")
    assert agrees(cloud, one) and agrees(cloud, two)
    look(cloud, two).ws.close()


def test_started_by_somebody_else(cloud):
    guest = cloud.guest(wait=False)
    viewer = look(cloud, guest)
    cloud.sandbox.virsh("destroy", guest.id)
    assert viewer.ws.until_closed().reason == "SCREEN_CLOSED"
    cloud.wait_state(guest, STOPPED)
    assert cloud.tenant.refused(CONNECTION, {"vmId": guest.id}).code == "VM_STATE"
    cloud.sandbox.virsh("start", guest.id)
    cloud.wait_state(guest, RUNNING)
    until(lambda: cloud.tenant.call(CONNECTION, {"vmId": guest.id}).ok, "its screen is known")
    assert agrees(cloud, guest)
    look(cloud, guest).ws.close()


def test_libvirtd_comes_back(cloud):
    guest = cloud.guest(wait=False)
    viewer = look(cloud, guest)
    where = Address(connection(cloud, guest))
    cloud.server.expect("HOST_DOWN", "HOST_TIMEOUT")
    cloud.sandbox.stop_libvirtd()
    viewer.ask()  # the stream does not go through it
    assert viewer.take(1) == b"\0"
    with WebSocket(cloud.server, where) as ws:
        assert ws.until_closed().code == 4002
    cloud.sandbox.start_libvirtd()
    cloud.server.wait_connected()
    cloud.wait_state(guest, RUNNING)
    assert agrees(cloud, guest)
    look(cloud, guest).ws.close()
    viewer.ws.close()
