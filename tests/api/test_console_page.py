"""The console page in a real browser, on the simulated cloud."""
import os
import shutil

import pytest

from browser import PROGRAM, Browser
from starvirt import ROOT, wait_until
from test_console import Place, certificate

pytestmark = pytest.mark.skipif(not PROGRAM, reason="no chromium: scripts/install-packages test")
SHOTS = os.path.join(ROOT, "build-test")
KEYS_TOP, BLOCK = 240, 20


@pytest.fixture(scope="module")
def browser():
    with Browser() as made:
        yield made


@pytest.fixture
def place(server):
    return Place(server())


def connected(browser, place, vm=None):
    page = browser.page(place.address(vm).url)
    page.wait_state("connected")
    wait_until(lambda: page.colours() > 4, "the screen is not blank")
    return page


def block(page, n):
    """Whether the simulated guest shows the n-th key."""
    return page.lit(n * BLOCK, KEYS_TOP, BLOCK, BLOCK) > 0


def wait_block(page, n):
    wait_until(lambda: block(page, n), f"key {n} is shown")


def test_screen_and_keys(browser, place):
    page = connected(browser, place)
    assert not block(page, 0)
    page.type("ab")
    wait_block(page, 1)
    page.evaluate("document.getElementById('keys').click()")  # Ctrl, Alt, Del
    wait_block(page, 4)
    page.evaluate("document.getElementById('paste').click()")
    page.evaluate("document.getElementById('ask-text').value = 'xyz\\n'; document.getElementById('ask-ok').click()")
    wait_block(page, 8)
    page.screenshot(os.path.join(SHOTS, "console-sim.png"))
    assert page.complaints() == []


def test_token_goes_nowhere(browser, place):
    where = place.address()
    page = browser.page(where.url)
    page.wait_state("connected")
    assert where.token not in page.evaluate("location.href + document.documentElement.outerHTML + history.length")
    asked = [e["request"] for e in page.of("Network.requestWillBeSent")]
    assert asked
    for request in asked:
        assert where.token not in request["url"] and not request["headers"].get("Referer")
    page.call("Page.reload")
    page.wait_state("closed")
    assert "no token" in page.state()[1]


def test_name_is_text(browser, place):
    name = "</title><img src=x onerror=alert(1)><script>alert(2)</script>"
    vm = place.new_vm(**{"vm.name": name})
    page = connected(browser, place, vm)
    assert page.evaluate("document.title") == name + " – console"
    assert page.evaluate("document.getElementById('name').textContent") == name
    assert page.evaluate("document.scripts.length + document.images.length") == 1
    assert page.complaints() == []


def test_two_windows(browser, place):
    one, two = connected(browser, place), connected(browser, place)
    one.type("q")
    wait_block(two, 0)


def test_used_token(browser, place):
    where = place.address()
    browser.page(where.url).wait_state("connected")
    page = browser.page(where.url)
    page.wait_state("closed")
    assert "was used, has expired" in page.state()[1] and "new address" in page.state()[1]


def test_vm_stops(browser, place):
    page = connected(browser, place)
    place.tenant.run("PUT cloudvm/destroy", {"vm.id": place.vm})
    page.wait_state("closed")
    assert "shut down" in page.state()[1]


def test_vm_was_stopped(browser, place):
    where = place.address()
    place.tenant.run("PUT cloudvm/destroy", {"vm.id": place.vm})
    page = browser.page(where.url)
    page.wait_state("closed")
    assert "not running" in page.state()[1]


def test_server_stops(browser, place):
    page = connected(browser, place)
    place.server.stop()
    page.wait_state("closed")
    assert "is stopping" in page.state()[1]


def test_server_dies(browser, place):
    page = connected(browser, place)
    place.server.kill()
    page.wait_state("closed")
    assert "broke" in page.state()[1]


def test_chinese(place):
    with Browser("zh-CN") as browser:
        page = connected(browser, place)
        assert page.state()[1] == "已连接" and page.evaluate("document.title").endswith("控制台")
        assert page.evaluate("document.getElementById('full').textContent") == "全屏"


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
def test_over_tls(browser, server, tmp_path):
    cert, key = certificate(tmp_path)
    place = Place(server(options=["--tls-cert", cert, "--tls-key", key], tls=cert))
    page = connected(browser, place)
    page.type("a")
    wait_block(page, 0)
    assert page.complaints() == []
