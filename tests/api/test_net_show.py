"""`starvirt net show`: what a tenant's networks are, as a tree, as JSON and as Graphviz."""
import json
import re
import shutil
import subprocess

import pytest
from outside import pool
from servers import Servers
from starvirt import cli, wait_until
from test_slb import Site

EVIL = 'a "b" \\ {c}'


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """A tenant with one of each, a VPC that no router leads to, and beside it a tenant that has nothing to do with it."""
    servers = Servers(tmp_path_factory.mktemp("rich"))
    one = servers(options=["--network", "sim"])
    admin, model = one.admin, one.admin.model()
    _, net = pool(admin, "outer", 10, 40)
    site = Site(admin, model)
    site.other = Site(admin, model)
    site.net = net
    site.lone = site.tenant.vpc("lone")
    site.tenant.ok("POST cloudnetwork/netgate", {"portgroup.id": site.lone, "type": "close"})
    site.outer = site.tenant.ok("POST cloudip/mapping/outerIp/search").data[-1]["ipaddress"]
    site.slb = site.add(slb_name=EVIL)
    site.node_id = site.add_node(site.slb)
    (nic,) = site.tenant.ok("POST cloudvm/vnic/search", {"vnic.vmid": site.vm}).data
    site.nic = nic
    for name in ("web", "db"):
        group = site.tenant.ok("POST cloudsegroup/create", {"securitygroup.name": name}).data["securitygroup.id"]
        site.tenant.ok("POST cloudsegroup/vnic/bind", {"securitygroup.id": group, "vnic.id": nic["vnic.id"]})
    site.nat = site.tenant.ok("POST cloudnetwork/portMapping/create", {
        "innerIp": site.ip, "innerPort": 80, "ipaddress": site.outer, "outerPort": 8080, "protocal": "tcp"}).data["nat.id"]
    wait_until(lambda: site.nodes()[0]["realnode.state"] == "up", "the node is up")
    yield one, site
    servers.finish()


def show(server, who, *more):
    done = cli("net", "show", *more, server=server, token=who.token)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_tree_of_what_a_tenant_has(rich):
    server, site = rich
    row = site.tenant.ok("POST vroute/search").data[0]
    name = site.tenant.show(site.vm)["vm.name"]
    vpc = next(v for v in site.tenant.ok("POST cloudnetwork/vpc/search").data if v["vpc.id"] == site.vpc)
    lone = next(v for v in site.tenant.ok("POST cloudnetwork/vpc/search").data if v["vpc.id"] == site.lone)
    assert vpc["vpc.vroute.id"] == site.router and lone["vpc.vroute.id"] == ""
    node = site.nodes()[0]["realnode.name"]
    assert show(server, site.tenant).splitlines() == [
        f"router {row['vroute.name']} {row['vroute.register.address']} online",
        f"├─ VPC {vpc['vpc.name']} {vpc['vpc.cidr']} gateway {vpc['vpc.gateway']}, boundary open",
        f"│  └─ NIC {site.ip} {site.nic['vnic.macaddress']} of VM {name} running in web, db",
        f"├─ mapping tcp {site.outer}:8080 -> {site.ip}:80 of VM {name}",
        f"└─ balancer {EVIL} tcp {site.at(200)}:80 rr on",
        f"   └─ node {node} {site.ip}:8080 weight 1 up",
        f"VPC {lone['vpc.name']} {lone['vpc.cidr']} gateway {lone['vpc.gateway']}, boundary close"]


def test_an_administrator_sees_all_and_a_tenant_its_own(rich):
    server, site = rich
    ids = {row["id"] for row in flat(json.loads(show(server, server.admin, "--json")))}
    mine = {row["id"] for row in flat(json.loads(show(server, site.tenant, "--json")))}
    theirs = {row["id"] for row in flat(json.loads(show(server, site.other.tenant, "--json")))}
    assert mine >= {site.router, site.vpc, site.lone, site.nat, site.slb, site.node_id, site.nic["vnic.id"]}
    assert theirs >= {site.other.router, site.other.vpc} and not mine & theirs and mine | theirs == ids


def flat(rows):
    return [each for row in rows for each in [row, *flat(row["holds"])]]


def test_what_serves_a_nic_says_which(rich):
    server, site = rich
    rows = flat(json.loads(show(server, site.tenant, "--json")))
    assert {row["kind"]: row["serves"] for row in rows if row["serves"]} == {
        "mapping": site.nic["vnic.id"], "node": site.nic["vnic.id"]}


def test_graphviz(rich, tmp_path):
    server, site = rich
    text = show(server, site.tenant, "--dot")
    names = re.findall(r'^  "(\w+) ([-0-9a-f]{36})" \[label=', text, re.M)
    assert {kind for kind, _ in names} == {"router", "VPC", "NIC", "mapping", "balancer", "node"} and len(names) == 7
    edges = re.findall(r'^  "\w+ (\S+)" -> "\w+ (\S+)"( \[style=dashed\])?;$', text, re.M)
    assert (site.router, site.vpc, "") in edges and (site.vpc, site.nic["vnic.id"], "") in edges
    assert (site.nat, site.nic["vnic.id"], " [style=dashed]") in edges and len(edges) == 7
    assert 'label="balancer\\na \\"b\\" \\\\ {c} tcp' in text
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg", "-o", tmp_path / "x.svg"], input=text, text=True, check=True)


def test_nothing_yet(rich):
    server, _ = rich
    assert show(server, server.admin.tenant()) == "no networks\n"
    assert cli("net", "show", "extra", server=server, token=server.admin.token).returncode == 2


def test_a_refusal_is_said(rich):
    server, _ = rich
    done = cli("net", "show", server=server, token="x" * 40)
    assert done.returncode == 1 and "TOKEN" in done.stderr and done.stdout == ""
