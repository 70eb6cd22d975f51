"""What somebody else does to networks of the Linux engine, asked for and mended: found, logged and counted once each,
and traffic flows again. With a simulated hypervisor; guests are namespaces with the NICs' devices, MACs and addresses.
At the end nothing is left of anything."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import time

import pytest
from outside import pool
from sandbox import until
from daemon import Server
from test_vnic import nics

CHECK = "PUT cloudnetwork/check"
OUTSIDE = "198.18.77.1"
# Says back what it hears, TCP and UDP, at the port given, in the namespace that it is started in.
ECHO = """
import socket, sys, threading
port = int(sys.argv[1])
tcp = socket.create_server(("0.0.0.0", port))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("0.0.0.0", port))
def datagrams():
    while True:
        data, who = udp.recvfrom(2048)
        udp.sendto(data, who)
threading.Thread(target=datagrams, daemon=True).start()
print("listens", flush=True)
while True:
    with tcp.accept()[0] as peer:
        peer.settimeout(2)
        try:
            peer.sendall(peer.recv(100))
        except OSError:
            pass
"""
ASK = """
import socket, sys, time
kind, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
end = time.monotonic() + float(sys.argv[4])
while time.monotonic() < end:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as s:
            s.settimeout(0.5)
            s.connect((host, port))
            s.send(b"word")
            if s.recv(100) == b"word":
                sys.exit(0)
    except OSError:
        time.sleep(0.05)
sys.exit(1)
"""


class Site:
    """A tenant with two guests in a VPC, a router to the outside, and a balancer of TCP and one of UDP."""

    def __init__(self, box, folder):
        self.box = box
        self.echoes = []
        self.outer()
        listener = socket.create_server(("127.0.0.1", 0))
        self.server = Server(folder / "data", network="linux", prefix=box.enter, listen_fd=listener.fileno(),
                             options=["--net.outer", "brx"])
        self.server.listener = listener
        self.server.start()
        self.admin = self.server.admin
        pool(self.admin, "outer", 5, 20, net=OUTSIDE.rsplit(".", 1)[0])
        self.tenant = self.admin.tenant()
        self.vpc = self.tenant.vpc()
        made = self.tenant.ok("POST vroute/create").data[0]
        self.tenant.done(made["jobstartid"])
        self.router = made["vm.id"]
        self.tenant.ok("POST vroute/vpcAdd", {"portgroup.id": self.vpc})
        model = self.admin.model(size=1)
        self.vms = [self.tenant.vm(vnic_portgroupid=self.vpc, vm_tenant_model=model) for _ in range(2)]
        self.nics = [nics(self.tenant, vm)[0] for vm in self.vms]
        for name in ("g0", "g1"):
            self.plug(name)
        self.slbs = [self.balance("tcp", 80), self.balance("udp", 53)]
        self.online = lambda: self.admin.ok("GET vroute/{vmId}", {"vmId": self.router}).data["vroute.online"]

    # --- guests and the outside ---
    def ns(self, name, *argv, **how):
        return self.box.try_run("ip", "netns", "exec", name, *argv, **how)

    def namespace(self, name, device, bridge, mac=None, address=None):
        self.box.run("ip", "netns", "add", name)
        self.box.run("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", name)
        if mac:
            self.box.run("ip", "-n", name, "link", "set", "eth0", "address", mac)
        self.box.run("ip", "link", "set", device, "master", bridge, "up")
        for argv in (["link", "set", "lo", "up"], ["link", "set", "eth0", "up"], ["addr", "add", address, "dev", "eth0"]):
            self.box.run("ip", "-n", name, *argv)

    def echo(self, name, port):
        process = subprocess.Popen([*self.box.enter, "ip", "netns", "exec", name, "/usr/bin/python3", "-c", ECHO,
                                    str(port)], stdout=subprocess.PIPE, text=True)
        self.echoes.append(process)
        assert process.stdout.readline() == "listens\n"

    def outer(self):
        self.box.run("ip", "link", "add", "brx", "type", "bridge", "forward_delay", "0")
        self.box.run("ip", "link", "set", "brx", "up")
        self.namespace("outside", "vouter", "brx", address=f"{OUTSIDE}/24")
        self.echo("outside", 7)

    def plug(self, name):
        nic = self.nics[int(name[1])]
        self.namespace(name, self.tap(name), self.bridge, nic["vnic.macaddress"], f"{nic['vnic.ipaddress']}/24")
        self.box.run("ip", "-n", name, "route", "add", "default", "via", self.at(1))
        self.echo(name, 8080)

    def tap(self, name):
        return "svt" + self.nics[int(name[1])]["vnic.id"][-12:]

    def at(self, host):
        return f"{self.nics[0]['vnic.ipaddress'].rsplit('.', 1)[0]}.{host}"

    def balance(self, proto, port):
        slb = self.tenant.ok("POST cloudslb/add", {
            "slb.name": proto, "slb.appid": self.tenant.id, "slb.protocal.type": proto, "slb.network.type": "inner",
            "slb.directip": self.at(200), "slb.directport": port, "slb.vmid": self.router}).data["slb.id"]
        self.tenant.ok("POST cloudslb/realnode/add", {
            "realnode.slbid": slb, "realnode.ip": self.nics[1]["vnic.ipaddress"], "realnode.port": 8080,
            "realnode.vmid": self.vms[1]})
        return slb

    # --- names of the engine ---
    @property
    def bridge(self):
        return "svb" + self.vpc[-12:]

    @property
    def gateway(self):
        return "sv-" + self.vpc[-12:]

    @property
    def routing(self):
        return "svr-" + self.router_id[-12:]

    @property
    def router_id(self):
        (name,) = os.listdir(os.path.join(self.server.data, "net-router"))
        return name

    def processes(self, name):
        """By the program's own name: nginx writes over its arguments."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{entry}/comm") as f:
                if f.read().strip() == name and os.readlink(f"/proc/{entry}/ns/pid") == self.box.space:
                    found.append(int(entry))
        return found

    def pid(self, name):
        """Of the file that a program of the router or the VPC left."""
        folder = (os.path.join(self.server.data, "net", self.vpc) if name == "dnsmasq" else
                  os.path.join(self.server.data, "net-router", self.router_id, "balance"))
        with open(os.path.join(folder, name + ".pid")) as f:
            inside = f.read().split()[0]
        for pid in self.processes(name):  # as it is outside
            with open(f"/proc/{pid}/status") as f:
                if re.search(rf"^NSpid:.*\t{inside}$", f.read(), re.M):
                    return pid
        raise AssertionError(f"{name} does not run")

    def children(self, pid):
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(child) for child in f.read().split()]

    # --- traffic ---
    def asks(self, what, host, port, limit=5):
        return self.ns("g0", "/usr/bin/python3", "-c", ASK, what, host, str(port), str(limit)).returncode == 0

    def leases(self):
        return self.ns("g0", "busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-t", "5", "-T", "1", "-s",
                       "/bin/true").returncode == 0

    def flows(self):
        """What does not: to the other guest, outside, to both balancers, DHCP."""
        return [what for what, good in (
            ("the other guest", self.asks("tcp", self.nics[1]["vnic.ipaddress"], 8080)),
            ("outside", self.asks("tcp", OUTSIDE, 7)), ("TCP balancer", self.asks("tcp", self.at(200), 80)),
            ("UDP balancer", self.asks("udp", self.at(200), 53)), ("DHCP", self.leases())) if not good]

    # --- the comparison ---
    def check(self):
        return sorted((row["unit.type"], row["unit.state"]) for row in self.admin.ok(CHECK).data)

    def close(self):
        for process in self.echoes:
            process.kill()
            process.wait()
        if self.server.process:
            self.server.kill()
        for name in ("g0", "g1", "outside"):
            self.box.try_run("ip", "netns", "del", name)
        self.box.try_run("ip", "link", "del", "brx")


def kill(pid):
    """It is gone when this returns: until then the server would find it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{pid}"), f"{pid} has ended", tick=0.01)


def run(*argv):
    return lambda site: site.box.run(*(word.format(s=site) for word in argv))


def inside(space, *argv):
    return run("ip", "netns", "exec", "{s." + space + "}", *argv)


NIC, VPC, ROUTER = ("nic", "mended"), ("vpc", "mended"), ("router", "mended")
HARM = {
    "kill -9 of dnsmasq": (lambda site: kill(site.pid("dnsmasq")), [VPC]),
    "kill -9 of HAProxy's master": (lambda site: kill(site.pid("haproxy")), [ROUTER]),
    "kill -9 of HAProxy's worker": (lambda site: kill_worker(site), [ROUTER]),
    "kill -9 of nginx's master": (lambda site: kill(site.pid("nginx")), [ROUTER]),
    "`nft flush ruleset` in the router": (inside("routing", "nft", "flush", "ruleset"), [ROUTER]),
    "`nft flush ruleset` in the gateway": (inside("gateway", "nft", "flush", "ruleset"), [VPC]),
    "`nft flush table bridge starvirt`": (run("nft", "flush", "table", "bridge", "starvirt"), [NIC, NIC]),
    "`nft flush ruleset` of the machine": (run("nft", "flush", "ruleset"), [NIC, NIC]),
    "forwarding off in the router": (inside("routing", "busybox", "sysctl", "-w", "net.ipv4.ip_forward=0"), [ROUTER]),
    "a route of the router": (run("ip", "-n", "{s.routing}", "route", "del", "default"), [ROUTER]),
    "the gateway's address": (run("ip", "-n", "{s.gateway}", "addr", "flush", "dev", "gw0"), [VPC]),
    "a guest's device off its bridge": (lambda site: site.box.run("ip", "link", "set", site.tap("g0"), "nomaster"),
                                        [VPC]),
    "the VPC's bridge": (run("ip", "link", "del", "{s.bridge}"), [VPC]),
    "the VPC's namespace": (run("ip", "netns", "del", "{s.gateway}"), [VPC]),
    "the router's namespace": (run("ip", "netns", "del", "{s.routing}"), [ROUTER]),
}


def kill_worker(site):
    master = site.pid("haproxy")
    for child in site.children(master):
        kill(child)
    until(lambda: not os.path.exists(f"/proc/{master}"), "its master ends, too", tick=0.05)


@pytest.fixture(scope="module")
def site(sandbox, tmp_path_factory):
    made = Site(sandbox, tmp_path_factory.mktemp("drift"))
    yield made
    made.close()


def test_all_is_as_it_should_be(site):
    until(lambda: site.check() == [], "nothing differs")
    assert site.flows() == []


@pytest.mark.parametrize("harm", HARM)
def test_drift_is_mended(site, harm):
    do, wanted = HARM[harm]
    mended, said = site.server.metrics()["starvirt_network_mended_total"], site.server.log().count("network.mended")
    do(site)
    begin = time.monotonic()
    rows = site.admin.ok(CHECK).data
    took = time.monotonic() - begin
    print(f"\nmended: {harm} | {took * 1000:.0f} ms | {max(int(row['unit.ms']) for row in rows)} ms")
    assert sorted((row["unit.type"], row["unit.state"]) for row in rows) == wanted
    assert site.flows() == []
    assert site.check() == [], "once is enough"
    assert site.server.metrics()["starvirt_network_mended_total"] - mended == len(wanted), "counted"
    assert site.server.log().count("network.mended") - said == len(wanted), "logged, once each"
    assert site.online() == "true"


def test_nothing_outlives_what_it_belonged_to(site):
    data, tenant = site.server.data, site.tenant
    for slb in site.slbs:
        tenant.ok("DELETE cloudslb/{slbid}", {"slbid": slb})
    assert not site.processes("haproxy") and not site.processes("nginx")
    for vm in site.vms:
        tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    tenant.ok("POST vroute/vpcDelete", {"portgroup.id": site.vpc})
    tenant.run("DELETE vroute/{vmId}", {"vmId": site.router})
    tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": site.vpc})
    for name in ("g0", "g1"):  # as the hypervisor would
        site.box.run("ip", "link", "del", site.tap(name))
        site.box.run("ip", "netns", "del", name)
    until(lambda: site.check() == [], "nothing is left over")
    chains = site.box.run("nft", "list", "ruleset")
    assert "nic_" not in chains and "group_" not in chains and "svt" not in re.sub(r'"svt\*"', "", chains)
    assert site.box.namespaces() == ["outside"]
    assert [name for name in site.box.links() if name.startswith("sv")] == []
    assert not site.processes("dnsmasq")
    assert [os.listdir(os.path.join(data, name)) for name in ("net", "net-router", "net-host")] == [[], [], []]
    assert site.server.finish() == []
