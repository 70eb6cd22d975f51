"""Nodes of load balancers: which NICs may be one, what a change keeps, and what goes along with a NIC."""
import pytest
from test_slb import Site


@pytest.fixture
def site(admin, model):
    return Site(admin, model)


def test_a_node_and_its_fields(site):
    slb = site.add()
    node = site.add_node(slb, realnode_name="first", realnode_desc="d", realnode_weight=7)
    (row,) = site.nodes()
    created = row.pop("realnode.createtime")
    assert len(created) == 19 and row == {
        "realnode.id": node, "realnode.name": "first", "realnode.desc": "d", "realnode.slbid": slb,
        "realnode.enable": "true", "realnode.ip": site.ip, "realnode.port": "8080", "realnode.vmid": site.vm,
        "realnode.weight": "7", "realnode.state": "unknown"}
    site.tenant.ok("PUT cloudslb/realnode/modify", {"realnode.id": node, "realnode.weight": 2})
    assert [(row["realnode.port"], row["realnode.weight"]) for row in site.nodes()] == [("8080", "2")]
    site.tenant.ok("PUT cloudslb/realnode/modify", {"realnode.id": node, "realnode.port": 81})
    assert [(row["realnode.port"], row["realnode.weight"]) for row in site.nodes()] == [("81", "2")]
    site.tenant.ok("DELETE cloudslb/realnode/{realnodeid}", {"realnodeid": node})
    assert site.nodes() == []


def test_one_port_of_a_nic_once(site):
    slb, other = site.add(), site.add(slb_directport=81)
    node = site.add_node(slb)
    site.tenant.refused("POST cloudslb/realnode/add", site.node(realnode_slbid=slb), "SLB_NODE_EXISTS",
                        "realnode.port")
    second = site.add_node(slb, realnode_port=8081)
    site.tenant.refused("PUT cloudslb/realnode/modify", {"realnode.id": second, "realnode.port": 8080},
                        "SLB_NODE_EXISTS", "realnode.port")
    site.add_node(other)
    assert {row["realnode.id"] for row in site.nodes(realnode_slbid=slb)} == {node, second}


def test_only_addresses_that_the_router_leads_to(site):
    slb = site.add()
    site.tenant.refused("POST cloudslb/realnode/add", site.node(realnode_slbid=slb, realnode_ip=site.at(99)),
                        "SLB_NODE_ADDRESS", "realnode.ip")
    elsewhere = site.tenant.vpc()
    site.tenant.ok("POST cloudvm/vnic/add", {"vnic.vmid": site.vm, "vnic.portgroupid": elsewhere})
    (far,) = [row["vnic.ipaddress"] for row in site.tenant.ok("POST cloudvm/vnic/search", {"vnic.vmid": site.vm}).data
              if row["vnic.vpc.id"] == elsewhere]
    site.tenant.refused("POST cloudslb/realnode/add", site.node(realnode_slbid=slb, realnode_ip=far),
                        "SLB_NODE_ADDRESS", "realnode.ip")
    assert site.nodes() == []


def test_more_than_a_balancer_takes(site):
    nodes = [site.node(realnode_port=port) for port in range(1, 130)]
    reply = site.tenant.refused("POST cloudslb/add", {**site.params(), "realnode": nodes}, "PARAM_RANGE")
    assert reply.field == "realnode" and site.slbs() == []
    slb = site.tenant.ok("POST cloudslb/add", {**site.params(), "realnode": nodes[:128]}).data["slb.id"]
    site.tenant.refused("POST cloudslb/realnode/add", site.node(realnode_slbid=slb, realnode_port=500),
                        "SLB_NODE_LIMIT")
    site.tenant.ok("DELETE cloudslb/{slbid}", {"slbid": slb})
    assert site.nodes() == []
