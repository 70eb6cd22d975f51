"""cloudvm/switchfirewalld: the switch of a VM's filters (the filters themselves come with security groups)."""
import pytest
from test_vdisk import NOBODY, stop

SWITCH = "POST cloudvm/switchfirewalld"


@pytest.fixture
def vm(tenant, model):
    return tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)


def switch(client, vm, on):
    return client.ok(SWITCH, {"vm.id": vm, "vm.firewalld.enable": on})


def shown(client, vm):
    return client.shown_everywhere(vm)["vm.firewalld.enable"]


@pytest.mark.parametrize("power", ["running", "stopped"])
def test_it_is_switched_and_shown(tenant, vm, power):
    if power == "stopped":
        stop(tenant, vm)
    assert shown(tenant, vm) == "true", "a new VM's filters are in force"
    since = tenant.last_event()
    assert switch(tenant, vm, "false").data == []
    assert shown(tenant, vm) == "false"
    switch(tenant, vm, False)  # is so already
    switch(tenant, vm, True)
    assert shown(tenant, vm) == "true"
    told = [(e["event.type"], e["event.objid"], e["event.content"]) for e in tenant.events(since)]
    assert told == [("vm.firewall", vm, "off"), ("vm.firewall", vm, "on")]


def test_it_outlives_the_server(server):
    made = server(connect="sim://")
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    switch(tenant, vm, False)
    made.restart()
    assert shown(tenant, vm) == "false"


@pytest.mark.parametrize("params,code,field", [
    ({}, "PARAM_MISSING", "vm.firewalld.enable"),
    ({"vm.firewalld.enable": "perhaps"}, "PARAM_TYPE", "vm.firewalld.enable"),
    ({"vm.firewalld.enable": True, "vm.id": NOBODY}, "VM_NOT_FOUND", "vm.id"),
    ({"vm.firewalld.enable": True, "vm.id": "x"}, "VM_NOT_FOUND", "vm.id"),
])
def test_what_is_refused(tenant, vm, params, code, field):
    tenant.refused(SWITCH, {"vm.id": vm, **params}, code, field)


def test_another_tenant_finds_nothing(admin, tenant, vm):
    admin.tenant().refused(SWITCH, {"vm.id": vm, "vm.firewalld.enable": False}, "VM_NOT_FOUND", "vm.id")
    assert shown(tenant, vm) == "true"


def test_not_while_a_job_has_the_vm(server):
    made = server(connect="sim://?control=1")
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    made.control("hang=1")
    startid = tenant.ok("PUT cloudvm/destroy", {"vm.id": vm}).startid
    reply = tenant.refused(SWITCH, {"vm.id": vm, "vm.firewalld.enable": False}, "VM_LOCKED")
    assert startid in reply.text
    row = tenant.show(vm)
    assert row["vm.reboot.enable"] == row["vm.shutdown.enable"] == "false", "neither now: a job has it"
    made.control("hang=0")
    tenant.done(startid)
    assert shown(tenant, vm) == "true"


def test_a_failed_vm_has_none(server):
    made = server(connect="sim://?control=1")
    tenant = made.admin.tenant()
    made.control("fail=start:1")
    row = tenant.create(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1)).data[0]
    assert tenant.follow(row["jobstartid"]).result == "1"
    tenant.refused(SWITCH, {"vm.id": row["vm.id"], "vm.firewalld.enable": False}, "VM_STATE")
