"""Servers for tests: `cloud` is shared by all that only add to it, `server` makes one of the test's own."""
import os
import select
import sys
import threading
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
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
