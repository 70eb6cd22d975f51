"""Templates made of VMs, and VMs that stand on a template or are a copy of it."""
import os

import pytest
from images import DELETE, SEARCH, row_of
from simhost import SimHost
from test_vdisk import NOBODY, host_of, start, stop

CREATE = "POST cloudtemplate/create"


def boot_disk(client, vm):
    rows = client.ok("POST cloudvm/vdisk/search", {"vdisk.vmid": vm}).data
    return next(row["vdisk.id"] for row in rows if row["vdisk.devname"] == "vda")


def write(cloud, client, vm, text):
    """What a guest would write to its system disk."""
    cloud.control(f"write={boot_disk(client, vm)}:{text}", host_of(cloud, vm)[0])


def content(cloud, client, vm):
    return host_of(cloud, vm)[1].contents.get(boot_disk(client, vm), "")


def made_of(client, vm, name="of a VM", **more):
    """(template id, job)"""
    reply = client.ok(CREATE, {"vm.id": vm, "template.name": name, **more})
    return reply.data["template.id"], client.done(reply.startid)


def copies(server):
    folder = server.data + "/copy"
    return os.listdir(folder) if os.path.exists(folder) else []


def new(client, template, **more):
    return client.vm(vnic_portgroupid=client.vpc(), vm_template_id=template, **more)


@pytest.fixture
def vm(tenant, model):
    return tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)


@pytest.mark.parametrize("power", ["running", "stopped", "paused"])
def test_a_template_has_what_the_vm_wrote(cloud, tenant, vm, power):
    write(cloud, tenant, vm, "the first one's")
    if power == "stopped":
        stop(tenant, vm)
    if power == "paused":
        tenant.run("PUT cloudvm/suspend", {"vm.id": vm})
    template, job = made_of(tenant, vm, **{"template.desc": "as it is"})
    said = " ".join(job.lines)
    assert ("frozen" in said) == (power == "running")
    assert ("as after a power cut" in said) == (power == "paused")
    row = row_of(tenant, template)
    assert (row["template.name"], row["template.desc"], row["template.state"], row["template.format"],
            row["template.size"]) == ("of a VM", "as it is", "ready", "qcow2", str(1 << 30))
    assert len(row["template.md5"]) == 32 and copies(cloud) == []
    assert (job["job.objid"], job["job.percent"]) == (vm, "100")
    one = new(tenant, template)
    assert content(cloud, tenant, one) == "the first one's"
    write(cloud, tenant, one, "its own")
    assert content(cloud, tenant, vm) == "the first one's"
    two = new(tenant, template)
    assert content(cloud, tenant, two) == "the first one's"


def test_whose_it_is(cloud, admin, tenant, vm):
    """The VM's tenant's, also where an administrator asks; its system is told by the template it came from."""
    template, _ = made_of(admin, vm, name="by the administrator")
    assert row_of(tenant, template)["template.state"] == "ready"
    stranger = admin.tenant()
    assert row_of(stranger, template) is None
    stranger.refused(CREATE, {"vm.id": vm, "template.name": "x"}, "VM_NOT_FOUND", "vm.id")
    stranger.refused(DELETE, {"templateId": template}, "TEMPLATE_NOT_FOUND")
    tenant.run(DELETE, {"templateId": template})


@pytest.mark.parametrize("params,code,field", [
    ({"vm.id": NOBODY}, "VM_NOT_FOUND", "vm.id"),
    ({"template.name": None}, "PARAM_MISSING", "template.name"),
    ({"template.name": "a\nb"}, "PARAM_CHARS", "template.name"),
    ({"template.name": "x" * 129}, "PARAM_LENGTH", "template.name"),
    ({"template.desc": "x" * 1025}, "PARAM_LENGTH", "template.desc"),
])
def test_what_is_refused(tenant, vm, params, code, field):
    full = {"vm.id": vm, "template.name": "x", **params}
    tenant.refused(CREATE, {k: v for k, v in full.items() if v is not None}, code, field)
    assert tenant.ok(SEARCH, {"template.name": "x"}).data == []


def test_a_failed_vm_makes_none(server):
    made = server(connect="sim://?control=1")
    tenant = made.admin.tenant()
    made.control("fail=start:1")
    row = tenant.create(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1)).data[0]
    tenant.follow(row["jobstartid"])
    tenant.refused(CREATE, {"vm.id": row["vm.id"], "template.name": "x"}, "VM_STATE")


def test_while_it_is_made(server):
    """The VM does not change; the template can neither be used nor deleted."""
    made = server(connect="sim://?control=1")
    tenant = made.admin.tenant()
    model = made.admin.model(size=1)
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)
    made.control("hang=1")
    reply = tenant.ok(CREATE, {"vm.id": vm, "template.name": "x"})
    template = reply.data["template.id"]
    assert row_of(tenant, template)["template.state"] == "importing"
    for op in ("PUT cloudvm/destroy", "PUT cloudvm/shutdown"):
        assert reply.startid in tenant.refused(op, {"vm.id": vm}, "VM_LOCKED").text
    tenant.refused("POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": 1}, "VM_LOCKED")
    tenant.refused("DELETE cloudvm/{vmId}", {"vmId": vm}, "VM_LOCKED")
    tenant.refused(CREATE, {"vm.id": vm, "template.name": "y"}, "VM_LOCKED")
    assert reply.startid in tenant.refused(DELETE, {"templateId": template}, "TEMPLATE_LOCKED").text
    tenant.refused("POST cloudvm/create", {"vnic.portgroupid": tenant.vpc(), "vm.template.id": template,
                                           "vm.vcpu.num": 1, "vm.memory.mem": 64}, "TEMPLATE_STATE")
    assert made.fsck(hosts=False) == ""
    made.control("hang=0")
    tenant.done(reply.startid)
    assert row_of(tenant, template)["template.state"] == "ready"
    stop(tenant, vm)
    tenant.run(DELETE, {"templateId": template})


@pytest.mark.parametrize("fault", ["copy_out", "template_put"])
def test_one_that_fails_leaves_a_row_that_says_so(server, fault):
    made = server(connect="sim://?control=1")
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    made.control(f"fail={fault}:1")
    reply = tenant.ok(CREATE, {"vm.id": vm, "template.name": "x"})
    assert tenant.follow(reply.startid).result == "1"
    assert row_of(tenant, reply.data["template.id"])["template.state"] == "failed"
    assert copies(made) == [] and tenant.show(vm)["vm.state"] == "1"
    made.control(f"fail={fault}:0")
    tenant.run(DELETE, {"templateId": reply.data["template.id"]})
    made_of(tenant, vm)


def test_cancelled(server):
    made = server(connect="sim://?control=1")
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    made.control("hang=1")
    reply = tenant.ok(CREATE, {"vm.id": vm, "template.name": "x"})
    tenant.wait_line(reply.startid, "copy the system disk")
    tenant.ok("PUT joblog/cancel", {"startid": reply.startid})
    made.control("hang=0")
    assert tenant.follow(reply.startid).result == "7"
    assert row_of(tenant, reply.data["template.id"])["template.state"] == "failed" and copies(made) == []
    stop(tenant, vm)


def test_copies_of_a_crash_are_cleared_away(server):
    made = server(connect="sim://")
    made.stop()
    os.mkdir(made.data + "/copy", 0o711)
    with open(made.data + "/copy/01900000-0000-7000-8000-000000000000.qcow2", "wb") as f:
        f.write(b"stray")
    made.start()
    assert copies(made) == []


# --------------------------------------------------------------------------------------- linked or full clones
@pytest.mark.parametrize("clone", [None, "linked"])
def test_a_linked_clone_stands_on_its_template(tenant, vm, clone):
    template, _ = made_of(tenant, vm)
    one = new(tenant, template, vm_clone=clone)
    assert "1" in tenant.refused(DELETE, {"templateId": template}, "TEMPLATE_IN_USE", "templateId").text
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": one})
    tenant.run(DELETE, {"templateId": template})


def test_a_full_clone_does_not(cloud, tenant, vm):
    write(cloud, tenant, vm, "for all")
    template, _ = made_of(tenant, vm)
    one, two = (new(tenant, template, vm_clone="full") for _ in range(2))
    write(cloud, tenant, two, "its own")
    tenant.run(DELETE, {"templateId": template})
    for each in (one, two):
        stop(tenant, each)
        start(tenant, each)
    assert content(cloud, tenant, one) == "for all" and content(cloud, tenant, two) == "its own"
    another, _ = made_of(tenant, one)
    assert content(cloud, tenant, new(tenant, another)) == "for all"


def test_a_full_clone_counts_as_much(admin, model):
    tenant = admin.tenant(storage=10)
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)
    template, _ = made_of(tenant, vm)
    before = int(tenant.usable()["storage"])
    one = new(tenant, template, vm_clone="full")
    assert int(tenant.usable()["storage"]) == before - 1
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": one})
    assert int(tenant.usable()["storage"]) == before


def test_a_template_is_held_while_it_is_copied(server):
    made = server(connect="sim://?control=1")
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    template, _ = made_of(tenant, vm)
    made.control("hang=1")
    row = tenant.create(vnic_portgroupid=tenant.vpc(), vm_template_id=template, vm_clone="full").data[0]
    tenant.refused(DELETE, {"templateId": template}, "TEMPLATE_IN_USE")
    made.control("hang=0")
    tenant.done(row["jobstartid"])
    tenant.run(DELETE, {"templateId": template})
    assert SimHost(made).agrees(tenant, row["vm.id"])
