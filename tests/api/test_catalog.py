"""What VMs are made of besides templates: private networks, models and their types."""
import ipaddress

import pytest
from starvirt import unique

VPCS, MAKE, DROP = "POST cloudnetwork/vpc/search", "POST cloudnetwork/vpc/create", "POST cloudnetwork/vpc/delete"
ADD, DELETE, LIST, BIND = ("POST cloudvm/addVhostModelAndType", "DELETE cloudvm/delVhostModelAndType/{id}",
                           "GET cloudvm/model", "POST cloudvm/model/bind")


# ----------------------------------------------------------------------------------------------------- VPCs
def test_a_vpc_is_as_it_was_made(tenant):
    made = tenant.ok(MAKE, {"vpc.name": "网络", "vpc.desc": "d"}).data
    row = tenant.ok(VPCS).data[0]
    assert row.pop("vpc.createtime")
    assert row == {**made, "vpc.usable.ipcount": "253", "vpc.desc": "d", "vpc.vroute.id": "", "vpc.netgate": "open"}
    network = ipaddress.ip_network(made["vpc.cidr"])
    assert network.prefixlen == 24 and network.subnet_of(ipaddress.ip_network("10.128.0.0/9"))
    assert made["vpc.gateway"] == str(network[1])


def test_no_two_vpcs_overlap_whoever_owns_them(admin):
    networks = [ipaddress.ip_network(admin.tenant().ok(MAKE).data["vpc.cidr"]) for _ in range(20)]
    assert len(set(networks)) == 20
    assert not any(a.overlaps(b) for a in networks for b in networks if a is not b)


def test_rename_a_vpc(tenant):
    vpc = tenant.vpc()
    tenant.ok("PUT cloudnetwork/vpc/modify", {"vpc.id": vpc, "vpc.name": "new"})
    tenant.ok("PUT cloudnetwork/vpc/modify", {"vpc.id": vpc, "vpc.desc": "said"})
    row = tenant.ok(VPCS).data[0]
    assert (row["vpc.name"], row["vpc.desc"]) == ("new", "said")
    tenant.refused("PUT cloudnetwork/vpc/modify", {"vpc.id": vpc, "vpc.name": "  "}, "PARAM_MISSING", "vpc.name")


def test_a_vpc_goes_only_when_nothing_is_in_it(tenant, model):
    vpc = tenant.vpc()
    vms = [tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model) for _ in range(2)]
    assert "2 NICs" in tenant.refused(DROP, {"vpc.id": vpc}, "VPC_IN_USE", "vpc.id").text
    for vm in vms:
        tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    tenant.ok(DROP, {"vpc.id": vpc})
    tenant.refused(DROP, {"vpc.id": vpc}, "VPC_NOT_FOUND", "vpc.id")
    assert tenant.ok(VPCS).count == 0


def test_vpcs_come_in_pages(tenant):
    made = [tenant.vpc() for _ in range(7)]
    reply = tenant.ok(VPCS, {"page.startnum": 2, "page.everypagenum": 3})
    assert [row["vpc.id"] for row in reply.data] == made[3:6] and reply.count == 7


def test_the_supernet_runs_out_and_is_used_again(server):
    one = server(options=["--vpc.supernet", "10.9.0.0/24", "--vpc.prefix", "26"])
    tenant = one.admin.tenant()
    made = [tenant.ok(MAKE).data for _ in range(4)]
    assert sorted(row["vpc.cidr"] for row in made) == [f"10.9.0.{i}/26" for i in (0, 128, 192, 64)]
    assert "10.9.0.0/24" in tenant.refused(MAKE, code="VPC_EXHAUSTED").text
    tenant.ok(DROP, {"vpc.id": made[2]["vpc.id"]})
    assert tenant.ok(MAKE).data["vpc.cidr"] == made[2]["vpc.cidr"]
    assert tenant.usable()["portGroupSize"] == -1


def test_a_delete_that_was_cut_off_is_finished_at_the_next_start(server):
    """The row is marked first; here by hand, as if the server had died between."""
    import sqlite3
    one = server()
    tenant = one.admin.tenant(portgroup=1)
    vpc = tenant.vpc()
    one.stop()
    with sqlite3.connect(one.data + "/starvirt.db") as db:
        db.execute("UPDATE vpc SET deleting = 1 WHERE id = ?", (vpc,))
    one.start()
    assert tenant.ok(VPCS).count == 0 and tenant.usable()["portGroupSize"] == 1
    tenant.vpc()


# --------------------------------------------------------------------------------------------------- models
def entry(admin, type):
    return next((t for t in admin.ok(LIST).data if t["vm.tenant.type"] == type), None)


@pytest.fixture
def type(admin):
    value = unique("type")
    admin.ok(ADD, {"type": "tenant_type", "label": f"Type {value}", "value": value})
    return value


def test_a_type_and_its_models(admin, tenant, type):
    ids = [admin.ok(ADD, {"type": type, "label": f"L{i}", "value": f"{type}.m_{i}-x"}).data[0]["id"] for i in range(3)]
    found = entry(tenant, type)
    assert found["vm.tenant.typename"] == f"Type {type}" and found["id"]
    assert found["model"] == [{"vm.tenant.mode": f"{type}.m_{i}-x", "vm.tenant.modelname": f"L{i}", "id": ids[i],
                               "vm.template.id": ""} for i in range(3)]


def test_values_are_unique_over_types_and_models(admin, type):
    admin.ok(ADD, {"type": type, "label": "x", "value": type + "-m"})
    for under in ("tenant_type", type):
        for value in (type, type + "-m"):
            admin.refused(ADD, {"type": under, "label": "x", "value": value}, "MODEL_EXISTS", "value")


@pytest.mark.parametrize("value", ["a b", "a/b", "ü", "a'b", "<x>", "a,b"])
def test_values_are_codes(admin, type, value):
    admin.refused(ADD, {"type": type, "label": "x", "value": value}, "PARAM_FORMAT", "value")
    admin.refused(ADD, {"type": "tenant_type", "label": "x", "value": value}, "PARAM_FORMAT", "value")


def test_models_of_no_type(admin):
    admin.refused(ADD, {"type": "nosuch", "label": "x", "value": "y"}, "MODEL_TYPE_NOT_FOUND", "type")


def test_what_is_used_stays(admin, tenant, type):
    value = admin.model(type)
    found = entry(admin, type)
    model_id = found["model"][0]["id"]
    admin.refused(DELETE, {"id": found["id"]}, "MODEL_IN_USE", "id")
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=value)
    admin.refused(DELETE, {"id": model_id}, "MODEL_IN_USE", "id")
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    assert admin.ok(DELETE, {"id": model_id}).data == {}
    admin.refused(DELETE, {"id": model_id}, "MODEL_NOT_FOUND", "id")
    admin.ok(DELETE, {"id": found["id"]})
    assert entry(admin, type) is None


def test_binding(admin, tenant, type, template):
    value = admin.model(type, size=7)
    who = admin.tenant(storage=100, cpu=10, memory=10000, portgroup=1)
    vpc = who.vpc()
    who.vm(vnic_portgroupid=vpc, vm_tenant_model=value)
    assert who.usable()["storage"] == 93
    admin.ok(BIND, {"vm.tenant.model": value, "vm.template.id": template, "vm.sysdisk.size": 3})
    assert entry(tenant, type)["model"][0]["vm.template.id"] == template
    who.vm(vnic_portgroupid=vpc, vm_tenant_model=value)
    assert who.usable()["storage"] == 90
    admin.refused("DELETE cloudtemplate/{templateId}", {"templateId": template}, "TEMPLATE_IN_USE", "templateId")
    admin.ok(BIND, {"vm.tenant.model": value})
    assert entry(tenant, type)["model"][0]["vm.template.id"] == ""
    who.vm(vnic_portgroupid=vpc, vm_tenant_model=value)
    assert who.usable()["storage"] == 70, "20 GB where nothing else is said"
    admin.refused(BIND, {"vm.tenant.model": "nosuch"}, "MODEL_NOT_FOUND", "vm.tenant.model")
    admin.refused(BIND, {"vm.tenant.model": value, "vm.template.id": "x"}, "TEMPLATE_NOT_FOUND", "vm.template.id")
