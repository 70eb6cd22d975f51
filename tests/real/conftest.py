"""Real guests: one sandbox with libvirt and QEMU for the session, one server for each file of tests."""
import os
import signal
import socket
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "api")]
sys.dont_write_bytecode = True
import ovn as ovns  # noqa: E402
import sandbox as sandboxes  # noqa: E402
from agree import disagreements  # noqa: E402
from sandbox import SLOW, Guest, Sandbox, until  # noqa: E402
from daemon import Server  # noqa: E402
from starvirt import DAEMON, ROOT, Client, unique  # noqa: E402

MEMORY = 128  # [MB] of a guest
MOMENT = 30  # [s] for the API to hear of what has happened
QUOTA = {"cpu": 32, "memory": 16384, "storage": 400, "portgroup": 20, "outerip": 0}


def pytest_configure(config):
    config.addinivalue_line("markers", "race: much at once (of files that API tests share)")


def pytest_sessionstart(session):
    if not os.access(DAEMON, os.X_OK):
        pytest.exit(f"{DAEMON} is not there: build it, or point STARVIRT_BUILD to a build directory", 2)


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.failed = outcome.get_result().failed


# ------------------------------------------------------------------------------------------ once a session
@pytest.fixture(scope="session")
def sandbox(tmp_path_factory):
    reason = sandboxes.why_not()
    if reason:
        pytest.skip(reason)
    made = Sandbox(tmp_path_factory.mktemp("sandbox"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def ovn(sandbox):
    """OVN inside; a file whose server is to use it has a fixture `engine` that returns this one."""
    reason = ovns.why_not()
    if reason:
        pytest.skip(reason)
    return ovns.Ovn(sandbox)


class Linux:
    """What a server is started with, what a guest is and how the machine is asked, by the network engine."""
    network = "linux"
    options = ()

    def __init__(self, sandbox):
        self.sandbox = sandbox

    def guest(self, vm, vpc, ip):
        return Guest(self.sandbox, vm, vpc, ip)

    def disagreements(self, agreement):
        agreement.linux()

    def forgets(self):
        """Has the data path decide anew what it decided before; False: it never keeps what is no longer so."""
        return False

    def clear(self):
        """The sandbox does that."""


@pytest.fixture(scope="module")
def engine(sandbox):
    return Linux(sandbox)


@pytest.fixture(scope="session")
def image():
    """A guest's disk as scripts/guest-image makes it."""
    given = os.environ.get("STARVIRT_GUEST")
    path = given or os.path.join(ROOT, "build", "guest.qcow2")
    if not given:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        subprocess.run([os.path.join(ROOT, "scripts", "guest-image"), path], check=True, stdout=subprocess.DEVNULL)
    return path


# ------------------------------------------------------------------------------------------ a server inside
class RealServer(Server):
    """In the sandbox; its socket was opened outside, and it is the same after each start."""

    def __init__(self, data, box, options=(), network="linux", **how):
        self.box = box
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        super().__init__(data, connect="qemu:///system", network=network, prefix=box.enter,
                         listen_fd=self.listener.fileno(),
                         options=["--hv.domain_type", "qemu", "--log.level", "debug", *options], hosts=0, **how)

    def crashed(self, timeout=SLOW):
        """As Server.crashed; what was killed inside is told by the exit code."""
        process, self.process = self.process, None
        self.admin.close()
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process = process
            raise TimeoutError(f"the crash point {self.crash_point} was not reached") from None
        process.stdout.close()
        assert code == 128 + signal.SIGKILL, f"ended with {code}\n" + self.log()[-4000:]

    def wait_connected(self):
        """start() does not wait: some tests start it without a hypervisor."""
        until(lambda: Client(self).request("GET", "/readyz").status == 200, "the host is ready", tick=0.05)
        return self


class Cloud:
    """A server with one template, a model of it, and one tenant; and all startids that were ever accepted."""

    def __init__(self, folder, sandbox, image, options=(), engine=None):
        self.sandbox, self.image, self.engine = sandbox, image, engine or Linux(sandbox)
        self.server = self.make_server(folder / "data", options).start().wait_connected()
        self.admin = self.server.admin
        self.template = self.admin.template(image)
        self.model = self.admin.model(template=self.template)
        self.tenant = self.admin.tenant(**QUOTA)
        self.foreign = []  # domains of somebody else
        self.armed = None  # the crash that is being waited for
        self.pending = []  # jobs meant to be still open when a test ends

    def make_server(self, data, options):
        return RealServer(data, self.sandbox, [*self.engine.options, *options], self.engine.network)

    # --- guests ---
    def guests(self, vpc, count=1, client=None, wait=True, **more):
        """VMs that run, booted whole unless wait is False."""
        client = client or self.tenant
        params = {"vnic.portgroupid": vpc, "vm.tenant.model": self.model, "vm.memory.mem": MEMORY, "vm.num": count,
                  "vm.name": unique("guest"), **more}
        made = client.create(**params).data
        for row in made:
            client.done(row["jobstartid"], SLOW)
        found = [self.engine.guest(row["vm.id"], vpc, client.show(row["vm.id"])["vm.ip"]) for row in made]
        for guest in found if wait else ():
            guest.ready()
        return found

    def guest(self, vpc=None, **more):
        return self.guests(vpc or self.tenant.vpc(), **more)[0]

    def act(self, verb, guest, client=None, timeout=SLOW, **more):
        """A job of one VM, to its good end."""
        return (client or self.tenant).run(f"PUT cloudvm/{verb}", {"vm.id": guest.id, **more}, timeout)

    def state(self, guest):
        return self.admin.show(guest.id)["vm.state"]

    def wait_state(self, guest, state, timeout=SLOW):
        until(lambda: self.state(guest) == state, f"state {state} of {guest.id}", timeout, tick=0.02)

    def delete(self, guest):
        return self.admin.run("DELETE cloudvm/{vmId}", {"vmId": guest.id}, SLOW)

    # --- the end ---
    def agrees(self):
        """Once the host is connected. What is told by an event may take its moment: asked again before it counts."""
        self.server.wait_connected()
        wrong = []

        def right():
            wrong[:] = disagreements(self.server, self.sandbox, self.foreign, self.pending,
                                     self.engine.disagreements)
            return not wrong

        try:
            until(right, "the machine is as the API says", MOMENT)
        except TimeoutError:
            raise AssertionError("the machine is not as the API says:\n" + "\n".join(wrong)) from None

    def empty(self):
        """Everything goes through the API, and nothing is left."""
        for row in self.admin.ok("POST cloudvm/search").data:
            self.admin.run("DELETE cloudvm/{vmId}", {"vmId": row["vm.id"]}, SLOW)
        for row in self.admin.ok("POST cloudnetwork/vpc/search").data:
            self.admin.ok("POST cloudnetwork/vpc/delete", {"vpc.id": row["vpc.id"]})
        self.agrees()
        box = self.sandbox
        left = {"domains": sorted(set(box.domains()) - set(self.foreign)), "namespaces": box.namespaces(),
                "devices": sorted(name for name in box.links() if name.startswith("sv")),
                "DHCP servers": list(box.processes("dnsmasq")), "QEMUs": list(box.processes("qemu-system-x86_64"))}
        assert not any(left.values()), f"left behind: {left}"
        quota = self.admin.usable(self.tenant.id)
        assert quota["cpu"] == quota["countCpu"] and quota["memory"] == quota["countMemory"], quota
        assert quota["storage"] == quota["countStorage"], quota
        assert quota["portGroupSize"] == quota["countPortGroupSize"], quota

    def discard(self):
        """After a test failed: whatever there is goes, with no questions asked."""
        if self.server.running:
            self.server.kill()
        self.sandbox.mend()
        self.sandbox.clear()
        self.engine.clear()


class Clouds:
    """One cloud for all tests of a file; after one failed, the next gets a new one."""

    def __init__(self, factory, sandbox, image, engine):
        self.factory, self.sandbox, self.image, self.engine = factory, sandbox, image, engine
        self.cloud = None
        self.prepare = None  # called with each new data directory, before the server starts

    def get(self):
        if self.cloud is None:
            folder = self.factory.mktemp("real")
            if self.prepare:
                self.prepare(str(folder / "data"))
            self.cloud = Cloud(folder, self.sandbox, self.image, engine=self.engine)
        elif not self.cloud.server.running:
            self.cloud.server.crash_point = None
            self.cloud.server.start().wait_connected()
        return self.cloud

    def drop(self):
        cloud, self.cloud = self.cloud, None
        if cloud:
            cloud.discard()

    def close(self):
        cloud = self.cloud
        if cloud is None:
            return
        self.get()
        try:
            cloud.empty()
            complaints = cloud.server.finish()
            assert not complaints, "\n".join(complaints)
            self.cloud = None
            cloud.server.erase()
        except BaseException:
            self.cloud = cloud
            self.drop()
            raise


@pytest.fixture(scope="module")
def clouds(tmp_path_factory, sandbox, image, engine):
    made = Clouds(tmp_path_factory, sandbox, image, engine)
    yield made
    made.close()


@pytest.fixture
def cloud(clouds, request):
    """The file's cloud. Whatever a test did, the machine agrees with the API when it is over."""
    made = clouds.get()
    yield made
    if getattr(request.node, "failed", False):
        clouds.drop()
        return
    try:
        made.agrees()
    except BaseException:
        clouds.drop()
        raise


@pytest.fixture
def tenant(cloud):
    return cloud.tenant
