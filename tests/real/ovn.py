"""An OVN of one host inside the sandbox, as scripts/ovn-sandbox starts it, and what a server on it is started with."""
import json
import os
import shlex

from sandbox import Guest, until
from starvirt import ROOT

SCRIPT = os.path.join(ROOT, "scripts", "ovn-sandbox")
HOST = "host1"  # its name in OVN
OPTIONS = ["--ovn.nb", "unix:/run/ovn/ovnnb_db.sock", "--ovn.sb", "unix:/run/ovn/ovnsb_db.sock",
           "--ovn.datapath", "netdev"]
OUTER_OPTIONS = ["--net.outer", "phys", "--ovn.gateways", HOST]
MTU = "1442"


def why_not():
    """Why there can be no OVN here; None when there can."""
    for path in ("/usr/bin/ovn-northd", "/usr/bin/ovn-controller", "/usr/sbin/ovs-vswitchd", "/usr/sbin/ethtool"):
        if not os.access(path, os.X_OK):
            return f"{path} is missing: scripts/install-packages ovn"
    return None


class Ovn:
    """Stays as long as the sandbox."""
    network = "ovn"
    options = OPTIONS

    def __init__(self, sandbox):
        self.sandbox = sandbox
        sandbox.run(SCRIPT, "central")
        sandbox.run(SCRIPT, "host", HOST, "127.0.0.1")

    def guest(self, vm, vpc, ip):
        return OvnGuest(self.sandbox, vm, vpc, ip)

    def nb(self, *argv):
        return self.sandbox.run("ovn-nbctl", "--timeout=20", *argv)

    def rows(self, table, kind):
        """[external_ids with "name"] of what servers made of a kind of unit: "vpc", "nic", "group", "router"."""
        found = json.loads(self.nb("--format=json", "--columns=external_ids,name", "find", table,
                                   f"external_ids:starvirt-kind={kind}"))
        return [{**dict(ids[1]), "name": name} for ids, name in found["data"]]

    def disagreements(self, agreement):
        """VPCs and NICs: the API's are there and no others. The units of what is gone are, too."""
        nics = {nic["vnic.id"]: nic for vm in agreement.placed
                for nic in agreement.server.admin.ok("POST cloudvm/vnic/search", {"vnic.vmid": vm}).data}
        agreement.expect("ports of NICs", sorted(row["name"] for row in self.rows("logical_switch_port", "vpc")),
                         sorted(nics))
        switches = {row["starvirt-id"] for row in self.rows("logical_switch", "vpc")}
        used = {nic["vnic.vpc.id"] for nic in nics.values()}
        agreement.expect("switches of no VPC", sorted(switches - set(agreement.vpcs)), [])
        agreement.expect("VPCs with VMs and without a switch", sorted(used - switches), [])
        agreement.expect("filters of nobody",
                         sorted({row["starvirt-id"] for row in self.rows("port_group", "nic")} - set(nics)), [])

    def forgets(self):
        """Version 3.1's user-space data path keeps a decision or a connection now and then (one set of rules in some
        thirty), whatever the bridge's flows say."""
        for words in (["revalidator/purge"], ["dpctl/flush-conntrack"]):
            self.sandbox.run("ovs-appctl", "-t", "/run/openvswitch/vswitchd.ctl", *words)
        return True

    # --- namespaces that are plugged in: somebody outside, a visitor of a VPC ---
    def plug(self, netns, bridge, mac, iface="", address=None):
        """A namespace with eth0 on a bridge. The user-space datapath wants whole checksums."""
        tap = "p" + netns
        for line in (f"ip netns add {netns}",
                     f"ip link add {tap} type veth peer name eth0 address {mac} netns {netns}",
                     f"ip netns exec {netns} ethtool -K eth0 tx off", f"ethtool -K {tap} tx off",
                     f"ip link set {tap} up", f"ip -n {netns} link set lo up",
                     f"ip -n {netns} link set eth0 mtu {MTU} up",
                     f"ovs-vsctl --timeout=20 add-port {bridge} {tap} -- set interface {tap} "
                     f"external_ids:iface-id={iface or netns}",
                     *([f"ip -n {netns} addr add {address} dev eth0"] if address else [])):
            self.sandbox.run(*shlex.split(line))

    def unplug(self, netns):
        self.sandbox.run("ovs-vsctl", "--timeout=20", "--if-exists", "del-port", "p" + netns)
        self.sandbox.run("ip", "netns", "del", netns)

    def clear(self):
        """After a test failed: what servers made goes."""
        for table, kind in (("logical_switch", "vpc"), ("logical_router", "router"), ("port_group", "nic"),
                            ("port_group", "group"), ("load_balancer", "router"), ("dhcp_options", "vpc")):
            for uuid in self.nb("--bare", "--columns=_uuid", "find", table,
                                f"external_ids:starvirt-kind={kind}").split():
                self.nb("destroy", table, uuid)


class OvnGuest(Guest):
    """There is no namespace of the VPC: what its web server says is asked by another guest."""

    def has_address(self):
        return self.ip in self.exec("ip -4 addr show eth0")[1]

    def ready(self):
        self.wait_agent()
        until(self.has_address, f"{self.id} has taken {self.ip}")
        return self

    def http(self, limit=4):
        raise NotImplementedError("ask it from another guest: get()")

    def get(self, ip, port=80, path="/", limit=3):
        """What a web server says to this guest; None when it says nothing."""
        _, text = self.exec(f"printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' | timeout {limit} nc {ip} {port}")
        head, _, body = text.replace("\r", "").partition("\n\n")
        return body.strip() if " 200 " in head.split("\n")[0] else None

    def pings(self, ip):
        return self.exec(f"ping -c 1 -W 1 {ip}")[0] == 0
