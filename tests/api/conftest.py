"""Servers for tests: `cloud` is shared by all that only add to it, `server` makes one of the test's own."""
import os
import select
import sys
import threading
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from daemon import Server
from hooks import Receiver, options
from servers import Servers  # noqa: E402
from starvirt import DAEMON, dump_routes  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "race: much at once; run under ThreadSanitizer, too")
    config.addinivalue_line("markers", "first: begins what takes long, before all other tests")
    config.addinivalue_line("markers", "last: looks at the end of it, after them")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: bool(item.get_closest_marker("last")) - bool(item.get_closest_marker("first")))


def pytest_sessionstart(session):
    if not os.access(DAEMON, os.X_OK):
        pytest.exit(f"{DAEMON} is not there: build it, or point STARVIRT_BUILD to a build directory", 2)


@pytest.fixture
def server(tmp_path):
    """server(connect="sim://?hosts=2", options=["--jobs.slots_per_host", "1"]): as many as the test needs."""
    servers = Servers(tmp_path)
    yield servers
    servers.finish()


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    """One server for all tests that neither stop it nor count everything on it."""
    servers = Servers(tmp_path_factory.mktemp("cloud"))
    yield servers(connect="sim://?hosts=2&control=1")
    servers.finish()


@pytest.fixture(scope="session")
def admin(cloud):
    return cloud.admin


class SlowClients:
    """Connections that send their request a byte at a time and never finish it; each in one of three places."""

    def __init__(self, cloud):
        head = b"POST /starvcenter/services/cloudresource/cloudvm/search HTTP/1.1\r\nHost: x\r\n"
        body = head + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nKEY_PARAM="
        chunk = head + b"Transfer-Encoding: chunked\r\n\r\n"
        self.begin = time.monotonic()
        self.sockets, self.ended, self.idle_ended = [], [], None
        for begun, drop in [(head + b"X-Slow: ", b"x"), (body, b"A"), (chunk, b"1\r\na\r\n")] * 30:
            s = cloud.socket()
            s.sendall(begun)
            self.sockets.append((s, drop))
        self.idle = cloud.socket()
        self.idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        self.idle.recv(65536)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._drip)
        self.thread.start()

    def _drip(self):
        open_ones = list(self.sockets)
        while open_ones and not self.stopped.wait(1):
            self._look_at_idle()
            for s, drop in list(open_ones):
                try:
                    gone = select.select([s], [], [], 0)[0] and not s.recv(65536)
                    s.sendall(drop)
                except OSError:
                    gone = True
                if gone:
                    open_ones.remove((s, drop))
                    self.ended.append(time.monotonic() - self.begin)

    def _look_at_idle(self, patience=0):
        """When it was closed, seen from here: the server may have closed it a moment before."""
        if self.idle_ended is None and select.select([self.idle], [], [], patience)[0]:
            assert self.idle.recv(65536) == b"", "nothing was asked"
            self.idle_ended = time.monotonic() - self.begin

    def wait_idle(self, limit):
        self._look_at_idle(max(0, self.begin + limit - time.monotonic()))
        return self.idle_ended

    def wait(self, limit):
        self.thread.join(max(0, self.begin + limit - time.monotonic()))
        return list(self.ended)

    def close(self):
        self.stopped.set()
        self.thread.join()
        for s, _ in self.sockets:
            s.close()
        self.idle.close()


@pytest.fixture(scope="session")
def slow_clients(cloud):
    clients = SlowClients(cloud)
    yield clients
    clients.close()


class DeafGuests:
    """Guests that hear neither agent nor ACPI, each asked for one thing."""

    def __init__(self, server):
        self.tenant = server.admin.tenant()
        vpc, model = self.tenant.vpc(), server.admin.model(size=1)
        self.vms = {verb: self.tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model)
                    for verb in ("shutdown", "restart")}
        self.startids = {verb: self.tenant.ok(f"PUT cloudvm/{verb}", {"vm.id": vm}).startid for verb,
                         vm in self.vms.items()}


@pytest.fixture(scope="session")
def deaf_guests(tmp_path_factory):
    servers = Servers(tmp_path_factory.mktemp("deaf"))
    yield DeafGuests(servers(connect="sim://?acpi=ignore&agent=off"))
    servers.finish()


class BusyGuests:
    """A VM that is above its threshold for more than a minute, then below it as long; one that is around it; a host
    that does not come. A web hook hears what is found of them."""

    def __init__(self, servers, folder):
        self.hook = Receiver()
        self.server = servers(connect="sim://?control=1",
                              options=["--monitor.interval", "1", *options(folder, self.hook)])
        self.alone = Server(folder / "alone", connect="sim://?hosts=2&hang=host2").start()
        self.admin = self.server.admin
        self.tenant = self.admin.tenant()
        vpc, model = self.tenant.vpc(), self.admin.model(size=1)
        self.busy, self.noisy = (self.tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model) for _ in range(2))
        self.admin.ok("PUT cloudalarm/threshold/modify", {"alarm.type": "vm.cpu", "threshold.value": 60,
                                                          "threshold.minutes": 1})
        self.admin.ok("PUT cloudalarm/threshold/modify", {"alarm.type": "vm.disk", "threshold.value": 100})
        self.stopped, self.error = threading.Event(), None
        self.thread = threading.Thread(target=self._load)
        self.thread.start()

    def load(self, vm, percent):
        self.server.control(f"load={vm}:cpu={percent}")

    def _load(self):
        try:
            self.load(self.busy, 95)
            for i in range(200):
                self.load(self.noisy, 50 + 20 * (i % 2))
                if self.hook.of("vm.cpu", object=self.busy):
                    self.load(self.busy, 10)
                if self.stopped.wait(1) or self.hook.of("vm.cpu", "relieved", self.busy):
                    return
        except Exception as e:  # told where it is looked at
            self.error = e

    def wait(self, limit):
        self.thread.join(limit)
        assert self.error is None, self.error

    def close(self):
        self.stopped.set()
        self.thread.join()
        self.hook.close()
        assert self.alone.finish(fsck=False) == []  # which would ask that host, too


@pytest.fixture(scope="session")
def busy_guests(tmp_path_factory):
    servers = Servers(tmp_path_factory.mktemp("busy"))
    guests = BusyGuests(servers, tmp_path_factory.mktemp("hook"))
    yield guests
    guests.close()
    servers.finish()


@pytest.fixture
def tenant(admin):
    """A new tenant without limits."""
    return admin.tenant()


@pytest.fixture(scope="session")
def model(admin):
    """A model with an empty system disk of 1 GB."""
    return admin.model(size=1)


@pytest.fixture(scope="session")
def raw_image(tmp_path_factory):
    """An image that the gate lets in, 1 MB of zeroes."""
    path = tmp_path_factory.mktemp("images") / "blank.raw"
    path.write_bytes(bytes(1 << 20))
    return str(path)


@pytest.fixture(scope="session")
def template(admin, raw_image):
    return admin.template(raw_image, **{"template.format": "raw"})


@pytest.fixture(scope="session")
def routes():
    return dump_routes()
