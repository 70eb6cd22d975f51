"""NICs of VMs that exist: added and deleted, hot and cold; addresses, limits, faults, crashes."""
import http.client
import ipaddress

import pytest
from simhost import SimHost
from starvirt import wait_until
from test_vdisk import agrees, at_once, host_of, points, start, stop

NOBODY = "01900000-0000-7000-8000-000000000000"


def nics(client, vm):
    """[row], first added first."""
    return client.ok("POST cloudvm/vnic/search", {"vnic.vmid": vm}).data


def add(client, vm, vpc):
    return client.ok("POST cloudvm/vnic/add", {"vnic.vmid": vm, "vnic.portgroupid": vpc}).data["vnic.id"]


def delete(client, nic):
    return client.ok("DELETE cloudvm/vnic/{vnicId}", {"vnicId": nic})


def cidr(client, vpc):
    (row,) = [row for row in client.ok("POST cloudnetwork/vpc/search").data if row["vpc.id"] == vpc]
    return ipaddress.ip_network(row["vpc.cidr"])


@pytest.fixture
def vpc(tenant):
    return tenant.vpc()


@pytest.fixture
def vm(tenant, model, vpc):
    return tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model)


# ------------------------------------------------------------------------------------------------ the verbs
@pytest.mark.parametrize("hot", [True, False], ids=["hot", "cold"])
def test_add_and_delete(cloud, tenant, vm, vpc, hot):
    if not hot:
        stop(tenant, vm)
    (first,) = nics(tenant, vm)
    assert first["vnic.name"] == "eth0" and first["vnic.vpc.id"] == vpc
    assert tenant.show(vm)["vm.ip"] == first["vnic.ipaddress"]
    other = tenant.vpc()
    made = add(tenant, vm, other)
    _, second = nics(tenant, vm)
    assert second["vnic.id"] == made and second["vnic.vmid"] == vm and second["vnic.vpc.id"] == other
    assert second["vnic.name"] == "eth1" and second["vnic.createtime"]
    assert ipaddress.ip_address(second["vnic.ipaddress"]) in cidr(tenant, other)
    assert second["vnic.macaddress"] != first["vnic.macaddress"]
    assert tenant.show(vm)["vm.ip"] == first["vnic.ipaddress"]
    assert agrees(cloud, tenant, vm).runs == hot
    delete(tenant, made)
    assert nics(tenant, vm) == [first]
    assert tenant.show(vm)["vm.ip"] == first["vnic.ipaddress"]
    assert agrees(cloud, tenant, vm).runs == hot
    tenant.refused("DELETE cloudvm/vnic/{vnicId}", {"vnicId": made}, "NIC_NOT_FOUND")


def test_the_first_nic_goes_and_vm_ip_follows(cloud, tenant, vm):
    (first,) = nics(tenant, vm)
    add(tenant, vm, tenant.vpc())
    delete(tenant, first["vnic.id"])
    (left,) = nics(tenant, vm)
    assert tenant.show(vm)["vm.ip"] == left["vnic.ipaddress"] != first["vnic.ipaddress"]
    delete(tenant, left["vnic.id"])
    assert nics(tenant, vm) == [] and tenant.show(vm)["vm.ip"] == ""
    agrees(cloud, tenant, vm)
    third = add(tenant, vm, tenant.vpc())
    assert tenant.show(vm)["vm.ip"] == nics(tenant, vm)[0]["vnic.ipaddress"]
    assert nics(tenant, vm)[0]["vnic.id"] == third
    agrees(cloud, tenant, vm)


def test_names_have_no_gaps_and_no_twins(tenant, vm, vpc):
    second, _ = add(tenant, vm, vpc), add(tenant, vm, vpc)
    delete(tenant, second)
    again = add(tenant, vm, vpc)
    names = {row["vnic.id"]: row["vnic.name"] for row in nics(tenant, vm)}
    assert names[again] == "eth1" and sorted(names.values()) == ["eth0", "eth1", "eth2"]


@pytest.fixture
def narrow(server):
    """A server whose VPCs have five addresses to give."""
    made = server(options=["--vpc.prefix", "29"])
    made.model = made.admin.model(size=1)
    return made


def test_an_address_is_given_back(narrow):
    tenant = narrow.admin.tenant()
    vpc = tenant.vpc()
    vm, other = [tenant.vm(vnic_portgroupid=at, vm_tenant_model=narrow.model) for at in (tenant.vpc(), vpc)]
    for _ in range(9):  # more often than there are addresses
        made = add(tenant, vm, vpc)
        row = nics(tenant, vm)[1]
        assert ipaddress.ip_address(row["vnic.ipaddress"]) in cidr(tenant, vpc)
        assert row["vnic.ipaddress"] != tenant.show(other)["vm.ip"]
        delete(tenant, made)
    mine = [add(tenant, vm, vpc) for _ in range(4)]
    tenant.refused("POST cloudvm/vnic/add", {"vnic.vmid": vm, "vnic.portgroupid": vpc}, "VPC_FULL")
    delete(tenant, mine[2])
    add(tenant, vm, vpc)
    assert len({row["vnic.ipaddress"] for row in nics(tenant, vm)}) == 5


def test_a_vpc_with_a_nic_stays(tenant, vm):
    vpc = tenant.vpc()
    nic = add(tenant, vm, vpc)
    assert "1" in tenant.refused("POST cloudnetwork/vpc/delete", {"vpc.id": vpc}, "VPC_IN_USE").text
    delete(tenant, nic)
    tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})
    tenant.refused("POST cloudvm/vnic/add", {"vnic.vmid": vm, "vnic.portgroupid": vpc}, "VPC_NOT_FOUND",
                   "vnic.portgroupid")


def test_two_nics_in_one_vpc(cloud, tenant, vm, vpc):
    add(tenant, vm, vpc)
    one, two = nics(tenant, vm)
    assert one["vnic.ipaddress"] != two["vnic.ipaddress"]
    agrees(cloud, tenant, vm)


def test_eight_nics_and_no_more(cloud, tenant, vm, vpc):
    for _ in range(7):
        add(tenant, vm, vpc)
    params = {"vnic.vmid": vm, "vnic.portgroupid": vpc}
    reply = tenant.refused("POST cloudvm/vnic/add", params, "NIC_LIMIT", "vnic.vmid")
    assert "8" in reply.text
    rows = nics(tenant, vm)
    assert len(rows) == 8
    assert len({row["vnic.ipaddress"] for row in rows}) == len({row["vnic.macaddress"] for row in rows}) == 8
    agrees(cloud, tenant, vm)
    delete(tenant, rows[3]["vnic.id"])
    add(tenant, vm, vpc)
    agrees(cloud, tenant, vm)


def test_added_cold_is_there_after_the_start(cloud, tenant, vm, vpc):
    stop(tenant, vm)
    made = add(tenant, vm, vpc)
    start(tenant, vm)
    assert made in agrees(cloud, tenant, vm).devices.nics


# ---------------------------------------------------------------------------------------------------- states
def test_a_paused_vm_gains_and_does_not_lose(cloud, tenant, vm, vpc):
    tenant.run("PUT cloudvm/suspend", {"vm.id": vm})
    made = add(tenant, vm, vpc)
    tenant.refused("DELETE cloudvm/vnic/{vnicId}", {"vnicId": made}, "VM_STATE")
    tenant.run("PUT cloudvm/resume", {"vm.id": vm})
    delete(tenant, made)
    agrees(cloud, tenant, vm)


def test_a_locked_vm_names_the_job(cloud, tenant, vm, vpc):
    name, _ = host_of(cloud, vm)
    nic = nics(tenant, vm)[0]["vnic.id"]
    cloud.control("hang=1", name)
    try:
        startid = tenant.ok("POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": 1}).startid
        add_params = {"vnic.vmid": vm, "vnic.portgroupid": vpc}
        assert startid in tenant.refused("POST cloudvm/vnic/add", add_params, "VM_LOCKED").text
        assert startid in tenant.refused("DELETE cloudvm/vnic/{vnicId}", {"vnicId": nic}, "VM_LOCKED").text
    finally:
        cloud.control("hang=0", name)
    tenant.done(startid)
    assert len(nics(tenant, vm)) == 1


def test_another_tenant_finds_nothing(admin, tenant, vm, vpc):
    stranger = admin.tenant()
    theirs = stranger.vpc()
    nic = nics(tenant, vm)[0]["vnic.id"]
    stranger.refused("POST cloudvm/vnic/search", {"vnic.vmid": vm}, "VM_NOT_FOUND")
    stranger.refused("POST cloudvm/vnic/add", {"vnic.vmid": vm, "vnic.portgroupid": theirs}, "VM_NOT_FOUND",
                     "vnic.vmid")
    for bad in (nic, NOBODY, vm, "x"):
        stranger.refused("DELETE cloudvm/vnic/{vnicId}", {"vnicId": bad}, "NIC_NOT_FOUND")
    for client in (tenant, admin):  # also the administrator cannot mix the networks of tenants
        for bad in (theirs, NOBODY, "x"):
            client.refused("POST cloudvm/vnic/add", {"vnic.vmid": vm, "vnic.portgroupid": bad}, "VPC_NOT_FOUND",
                           "vnic.portgroupid")
    assert len(nics(tenant, vm)) == 1
    made = add(admin, vm, vpc)
    delete(admin, made)


@pytest.mark.race
def test_many_vms_share_the_last_addresses(narrow):
    """Eight VMs ask at once for the five addresses of a VPC: each is given once, the rest are refused."""
    tenant = narrow.admin.tenant()
    homes, small = [tenant.vpc(), tenant.vpc()], tenant.vpc()
    vms = [tenant.vm(vnic_portgroupid=homes[i % 2], vm_tenant_model=narrow.model) for i in range(8)]
    params = [{"vnic.vmid": vm, "vnic.portgroupid": small} for vm in vms]
    replies = at_once([lambda p=p: tenant.call("POST cloudvm/vnic/add", p) for p in params])
    good = [reply for reply in replies if reply.ok]
    assert {reply.code for reply in replies if not reply.ok} == {"VPC_FULL"}
    assert len(good) == 5, replies
    mine = [row["vnic.ipaddress"] for vm in vms for row in nics(tenant, vm)[1:]]
    assert len(mine) == len(set(mine)) == len(good)


# ---------------------------------------------------------------------------------------------------- faults
@pytest.mark.parametrize("call", ["define", "nic_attach"])
def test_an_addition_that_fails_leaves_nothing(cloud, tenant, vm, vpc, call):
    name, _ = host_of(cloud, vm)
    cloud.expect(r'event=job\.undo .*kind="nic\.add" step="define"',  # undoing that takes the same call
                 r'event=request .*route="cloudvm/vnic/add" .*result="HYPERVISOR"')
    cloud.control(f"fail={call}:1", name)
    try:
        reply = tenant.refused("POST cloudvm/vnic/add", {"vnic.vmid": vm, "vnic.portgroupid": vpc})
    finally:
        cloud.control(f"fail={call}:0", name)
    assert "simulated fault" in reply.text
    wait_until(lambda: not tenant.show(vm)["vm.undo.startid"], "what could not be undone is")
    assert len(nics(tenant, vm)) == 1
    agrees(cloud, tenant, vm)
    add(tenant, vm, vpc)
    agrees(cloud, tenant, vm)


@pytest.mark.parametrize("call", ["nic_detach", "define"])
def test_a_deletion_that_fails_can_be_repeated(cloud, tenant, vm, vpc, call):
    name, _ = host_of(cloud, vm)
    made = add(tenant, vm, vpc)
    cloud.expect(r'event=request .*route="cloudvm/vnic/\{vnicId\}" .*result="HYPERVISOR"')
    cloud.control(f"fail={call}:1", name)
    try:
        tenant.refused("DELETE cloudvm/vnic/{vnicId}", {"vnicId": made})
    finally:
        cloud.control(f"fail={call}:0", name)
    assert nics(tenant, vm)[1]["vnic.id"] == made
    delete(tenant, made)
    agrees(cloud, tenant, vm)


# --------------------------------------------------------------------------------------------------- crashes
class Crash:
    """Of a VM that is stopped; of a running one in test_crash.py."""

    def __init__(self, made):
        self.server = made
        self.tenant = made.admin.tenant()
        self.vpc, self.other = self.tenant.vpc(), self.tenant.vpc()
        self.vm = self.tenant.vm(vnic_portgroupid=self.vpc, vm_tenant_model=made.admin.model(size=1))
        stop(self.tenant, self.vm)

    def broken(self, op, params):
        """The operation that never answers; its job, once the server is there again, has ended well or not."""
        since = self.server.admin.last_event()
        with pytest.raises((http.client.HTTPException, OSError)):
            self.tenant.call(op, params)
        self.server.crashed()
        self.server.crash_point = None
        self.server.start()
        event = self.server.admin.wait_event(lambda e: e["event.type"] == "job.accepted", since)
        return self.tenant.follow(event["event.content"].split()[1])

    def check(self, count):
        rows = nics(self.tenant, self.vm)
        assert len(rows) == count
        assert self.tenant.show(self.vm)["vm.ip"] == rows[0]["vnic.ipaddress"]
        assert not SimHost(self.server).agrees(self.tenant, self.vm).runs
        assert self.server.fsck(hosts=False) == ""  # with the hosts at the end of the test
        if count == 1:
            self.tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": self.other})
        else:
            self.tenant.refused("POST cloudnetwork/vpc/delete", {"vpc.id": self.other}, "VPC_IN_USE")


@pytest.fixture
def crash(server):
    return lambda point: Crash(server(connect="sim://?control=1", crash_point=point))


@pytest.mark.parametrize("point", points("nic.add", "network", "define", "attach"))
def test_crash_while_adding(crash, point):
    c = crash(point)
    job = c.broken("POST cloudvm/vnic/add", {"vnic.vmid": c.vm, "vnic.portgroupid": c.other})
    assert job.result == "0", job
    c.check(2)


@pytest.mark.parametrize("point", points("nic.remove", "detach", "define", "network"))
def test_crash_while_deleting(crash, point):
    c = crash(point)
    nic = add(c.tenant, c.vm, c.other)
    job = c.broken("DELETE cloudvm/vnic/{vnicId}", {"vnicId": nic})
    assert job.result == "0", job
    c.check(1)
