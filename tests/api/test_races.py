"""Deletion against everything else that can be asked of a VM at the same moment, and many for what is left: one of
the two comes first, and in the end nothing is left that nobody has (threats 10, 21)."""

import pytest
from simhost import SimHost
from starvirt import Refused
from test_vdisk import accept, at_once, disks, storage_left
from test_vnic import nics

pytestmark = pytest.mark.race
AT_ONCE, ROUNDS = 8, 4
MAY_LOSE = {"VM_LOCKED", "VM_NOT_FOUND", "DISK_NOT_FOUND", "VM_STATE"}


class Place:
    """A server of its own, so that everything on it can be counted."""

    def __init__(self, server):
        self.server = server(connect="sim://?delay=1ms")
        self.tenant = self.server.admin.tenant(cpu=999, memory=99999, storage=999, portgroup=99)
        self.vpc = self.tenant.vpc()
        self.model = self.server.admin.model(size=1)

    def vms(self, count):
        """Running ones, each with a second disk."""
        made = []
        while len(made) < count:
            made += self.tenant.create(vnic_portgroupid=self.vpc, vm_tenant_model=self.model,
                                       vm_num=min(10, count - len(made)), vm_vdisk_num=1, vm_vdisk_size=1).data
        for row in made:
            self.tenant.done(row["jobstartid"])
        return [row["vm.id"] for row in made]

    def settle(self, replies):
        for reply in replies:
            if reply.ok and reply.body.get("startid"):
                self.tenant.follow(reply.startid)

    def delete(self, vm):
        return self.tenant.call("DELETE cloudvm/{vmId}", {"vmId": vm})

    def empty(self):
        """No row, no domain, no volume, no secret, and all quotas are whole."""
        assert self.tenant.ok("POST cloudvm/search").data == []
        host = SimHost(self.server)
        assert (host.domains, host.volumes) == ({}, {})
        assert self.server.secrets() == []
        left = self.tenant.usable()
        assert (left["cpu"], left["memory"], left["storage"]) == (999, 99999, 999)


@pytest.fixture
def place(server):
    return Place(server)


OPS = {
    "vdisk/add": lambda tenant, vm, data, vpc: tenant.call(
        "POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": 1}),
    "vdisk/extend": lambda tenant, vm, data, vpc: tenant.call(
        "PUT cloudvm/vdisk/extend", {"vdisk.id": data, "vdisk.size": 2}),
    "vdisk/delete": lambda tenant, vm, data, vpc: tenant.call("DELETE cloudvm/vdisk/{vdiskId}", {"vdiskId": data}),
    "vnic/add": lambda tenant, vm, data, vpc: tenant.call(
        "POST cloudvm/vnic/add", {"vnic.vmid": vm, "vnic.portgroupid": vpc}),
    "snapshot/create": lambda tenant, vm, data, vpc: tenant.call(
        "POST cloudvm/snapshot/create", {"snapshot.vmid": vm, "snapshot.name": "x"}),
    "backup/create": lambda tenant, vm, data, vpc: tenant.call(
        "POST cloudvm/backup/create", {"backup.vmid": vm, "backup.name": "x"}),
    "start": lambda tenant, vm, data, vpc: tenant.call("PUT cloudvm/start", {"vm.id": vm}),
    "setadminpwd": lambda tenant, vm, data, vpc: tenant.call("POST cloudvm/setadminpwd", {"vm.id": vm, "pwd": "x"}),
    "mem/modify": lambda tenant, vm, data, vpc: tenant.call(
        "PUT cloudvm/mem/modify", {"vm.id": vm, "vm.memory.mem": 128}),
}


@pytest.mark.parametrize("op", OPS)
def test_deletion_against(place, op):
    for _ in range(ROUNDS):
        deletion_against(place, op)
    place.empty()


def deletion_against(place, op):
    tenant, vms = place.tenant, place.vms(AT_ONCE)
    if op == "start":
        for vm in vms:
            tenant.run("PUT cloudvm/destroy", {"vm.id": vm})
    data = {vm: disks(tenant, vm)["vdb"]["vdisk.id"] for vm in vms}
    work = [lambda vm=vm: OPS[op](tenant, vm, data[vm], place.vpc) for vm in vms]
    work += [lambda vm=vm: place.delete(vm) for vm in vms]
    replies = at_once(work)
    done, deleted = replies[:AT_ONCE], replies[AT_ONCE:]
    for one, other in zip(done, deleted):
        assert one.ok or other.ok, "one of them has the VM"
        assert {reply.code for reply in (one, other) if not reply.ok} <= MAY_LOSE, (one, other)
    place.settle(replies)
    for vm, reply in zip(vms, deleted):
        if not reply.ok:
            tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})


def test_everything_against_everything(place):
    """All of it at one VM, many times over."""
    tenant, vms = place.tenant, place.vms(AT_ONCE)
    data = {vm: disks(tenant, vm)["vdb"]["vdisk.id"] for vm in vms}
    work = [lambda op=op, vm=vm: op(tenant, vm, data[vm], place.vpc) for vm in vms for op in OPS.values()]
    replies = at_once(work + [lambda vm=vm: place.delete(vm) for vm in vms])
    assert {reply.code for reply in replies if not reply.ok} <= MAY_LOSE | {"QUOTA_STORAGE", "SNAPSHOT_HOLDS"}
    place.settle(replies)
    host = SimHost(place.server)
    for row in tenant.ok("POST cloudvm/search").data:
        host.agrees(tenant, row["vm.id"])
        tenant.run("DELETE cloudvm/{vmId}", {"vmId": row["vm.id"]})
    place.empty()


def test_sixty_four_for_ten_gigabytes(place):
    """Each asks for one: exactly ten get it, whatever the moment, and the eleventh never comes by luck."""
    vms = place.vms(64)
    place.server.admin.ok("PUT resourcequota/modify", {"tenantId": place.tenant.id, "cpu": -1, "memory": -1,
                                                       "storage": 2 * 64 + 10, "ip": -1, "vpc": -1})
    asked = [lambda vm=vm: place.tenant.call("POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": 1})
             for vm in vms]
    replies = at_once(asked)
    assert [reply.ok for reply in replies].count(True) == 10
    assert {reply.code for reply in replies if not reply.ok} == {"QUOTA_STORAGE"}
    place.settle(replies)
    assert storage_left(place.tenant) == 0
    assert sum(int(row["vdisk.size"]) for vm in vms for row in disks(place.tenant, vm).values()) == 2 * 64 + 10
    assert len(SimHost(place.server).volumes) == 2 * 64 + 10


def test_a_vpc_is_deleted_or_has_the_nic(place):
    """Deleting a VPC against plugging a NIC into it: never both."""
    tenant, vms = place.tenant, place.vms(AT_ONCE)
    vpcs = [tenant.vpc() for _ in vms]
    pairs = list(zip(vms, vpcs))
    plug = [lambda vm=vm, vpc=vpc: OPS["vnic/add"](tenant, vm, None, vpc) for vm, vpc in pairs]
    replies = at_once(plug + [lambda vpc=vpc: tenant.call("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})
                              for vpc in vpcs])
    there = {row["vpc.id"] for row in tenant.ok("POST cloudnetwork/vpc/search").data}
    for (vm, vpc), plugged, deleted in zip(pairs, replies, replies[AT_ONCE:]):
        assert plugged.ok != deleted.ok, (plugged, deleted)
        assert (deleted if plugged.ok else plugged).code == ("VPC_IN_USE" if plugged.ok else "VPC_NOT_FOUND")
        assert (vpc in there) == plugged.ok
        assert [row["vnic.vpc.id"] for row in nics(tenant, vm)[1:]] == [vpc] * plugged.ok


def test_a_template_is_deleted_or_has_the_vm(place, raw_image):
    """Deleting templates against creating VMs from them: never a VM whose disk lost its ground."""
    admin, tenant = place.server.admin, place.tenant
    templates = [admin.template(raw_image) for _ in range(AT_ONCE)]
    create = [lambda t=t: tenant.call("POST cloudvm/create", {
        "vnic.portgroupid": place.vpc, "vm.template.id": t, "vm.vcpu.num": 1, "vm.memory.mem": 64}) for t in templates]
    remove = [lambda t=t: admin.call("DELETE cloudtemplate/{templateId}", {"templateId": t}) for t in templates]
    replies = at_once(create + remove)
    for made, gone in zip(replies, replies[AT_ONCE:]):
        assert made.ok != gone.ok, (made, gone)
        if made.ok:
            assert gone.code == "TEMPLATE_IN_USE"
            tenant.done(made.data[0]["jobstartid"])
        else:
            assert made.code in ("TEMPLATE_STATE", "TEMPLATE_NOT_FOUND")
            admin.done(gone.startid)
    host = SimHost(place.server)
    for row in tenant.ok("POST cloudvm/search").data:
        host.agrees(tenant, row["vm.id"])


def test_one_name_for_each_disk(place):
    """Asked as fast as they are answered, from many sides: names are the lowest free, each is given once."""
    tenant, (vm,) = place.tenant, place.vms(1)

    def until_three():
        found = []
        while len(found) < 3:
            try:
                reply = accept(tenant, vm)
            except Refused as refused:
                assert refused.reply.code == "VM_LOCKED"
                continue
            tenant.done(reply.startid)
            found.append(reply.data["vdisk.devname"])
        return found

    names = sum(at_once([until_three] * 4), [])
    assert sorted(names) == ["vd" + letter for letter in "cdefghijklmn"]
    SimHost(place.server).agrees(tenant, vm)
