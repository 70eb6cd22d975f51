"""OVN's own programs killed under the server, and rows of its database taken away: the keeper goes on when they are
back. With a simulated hypervisor; `ovn` is one for the session."""
import os
import socket

import pytest
from outside import pool
from ovn import SCRIPT
from sandbox import until
from daemon import Server

CHECK = "PUT cloudnetwork/check"


class Site:
    """A tenant with a VPC, a router that leads there and a VM."""

    def __init__(self, ovn, folder):
        self.ovn, self.box = ovn, ovn.sandbox
        listener = socket.create_server(("127.0.0.1", 0))
        self.server = Server(folder / "data", network="ovn", prefix=self.box.enter, listen_fd=listener.fileno(),
                             options=list(ovn.options))
        self.server.listener = listener
        self.server.start()
        self.admin = self.server.admin
        pool(self.admin, "outer", 5, 20)
        self.tenant = self.admin.tenant()
        self.vpc = self.tenant.vpc()
        made = self.tenant.ok("POST vroute/create").data[0]
        self.tenant.done(made["jobstartid"])
        self.router = made["vm.id"]
        self.tenant.ok("POST vroute/vpcAdd", {"portgroup.id": self.vpc})
        self.model = self.admin.model(size=1)
        self.vms = []
        self.vm()

    def vm(self):
        self.vms.append(self.tenant.vm(vnic_portgroupid=self.vpc, vm_tenant_model=self.model))

    def pid(self, name):
        folder = "/run/openvswitch" if name == "controller" else "/run/ovn"
        inside = self.box.run("cat", f"{folder}/{name}.pid").strip()
        return inside

    def kill(self, name):
        self.box.run("kill", "-9", self.pid(name))

    def start(self, name):
        until(lambda: self.box.try_run(SCRIPT, "start", name).returncode == 0, f"{name} runs again")

    def found(self):
        return sorted((row["unit.type"], row["unit.state"]) for row in self.admin.ok(CHECK).data)

    def failed(self):
        return self.server.metrics()['starvirt_network_units{state="failed"}']

    def ports(self):
        return len(self.ovn.nb("lsp-list", f"sv-{self.vpc}").splitlines())

    def close(self):
        if self.server.process:
            self.server.kill()
        self.ovn.clear()


@pytest.fixture(scope="module")
def site(ovn, tmp_path_factory):
    made = Site(ovn, tmp_path_factory.mktemp("drift"))
    yield made
    made.close()


def test_rows_taken_away_come_back(site):
    until(lambda: site.found() == [], "nothing differs")
    ports = site.ports()
    site.ovn.nb("ls-del", f"sv-{site.vpc}")
    found = site.found()
    assert ("vpc", "mended") in found and all(state == "mended" for _, state in found), found
    until(lambda: site.found() == [], "nothing differs")
    assert site.ports() == ports, "its NICs', and its router's"


@pytest.mark.parametrize("name", ["nb", "northd"])
def test_the_centre_is_killed(site, name):
    """Nothing can be told: it is said, and told when it is back."""
    site.server.expect("event=network.failed", "event=network.compare", 'route="cloudnetwork/check"')
    site.kill(name)
    if name == "nb":
        site.admin.refused(CHECK, code="NETWORK")
    other = site.tenant.vpc()
    site.tenant.ok("POST vroute/vpcAdd", {"portgroup.id": other})
    until(lambda: site.failed() > 0, "it could not be told")
    site.start(name)
    until(lambda: site.failed() == 0, "it is told when it is back")
    assert f"sv-{other}" in site.ovn.nb("ls-list")
    until(lambda: site.found() == [], "nothing differs")
    site.tenant.ok("POST vroute/vpcDelete", {"portgroup.id": other})
    site.tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": other})


def test_a_hosts_controller_is_killed(site):
    """Hosts that do not follow hold up nobody; one that is back catches up."""
    site.kill("controller")
    ports = site.ports()
    site.vm()
    assert site.ports() == ports + 1 and site.found() == []
    site.start("controller")

    def caught_up():
        asked, followed = (site.ovn.nb("get", "NB_Global", ".", column).strip() for column in ("nb_cfg", "hv_cfg"))
        return asked == followed

    until(caught_up, "the host has all of it")


def test_nothing_is_left(site):
    for vm in site.vms:
        site.tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    site.tenant.ok("POST vroute/vpcDelete", {"portgroup.id": site.vpc})
    site.tenant.run("DELETE vroute/{vmId}", {"vmId": site.router})
    site.tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": site.vpc})
    until(lambda: site.found() == [], "nothing is left over")
    with open(os.path.join(site.server.data, "net-ovn")) as f:
        owner = f.read().strip()
    for table in ("logical_switch", "logical_switch_port", "logical_router", "logical_router_port", "port_group", "acl",
                  "dhcp_options", "nat", "load_balancer"):
        assert site.ovn.nb("--bare", "--columns=_uuid", "find", table, f"external_ids:starvirt={owner}") == "", table
    assert site.server.finish() == []
