"""What is done inside a guest or to its screen: passwords that nobody else learns, and the agent."""
import base64
import os
import subprocess

import pytest
from simhost import SimHost, vnc_mark
from starvirt import files_below, wait_until
from test_vdisk import at_once, host_of, points, stop

CANARY = "kAnArienvogel-8f1c_2$&"
VNC_CANARY = "vNc7QzKw"


@pytest.fixture
def vm(tenant, model):
    return tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)


def set_password(client, vm, password=CANARY, **more):
    return client.ok("POST cloudvm/setadminpwd", {"vm.id": vm, "pwd": password, **more})


def forms(secret):
    """A secret as it may be spelt: plain, Base64 at each offset, hexadecimal, as an HTTP form has it."""
    raw = secret.encode()
    coded = [base64.b64encode(b"x" * shift + raw)[4:-4] for shift in range(3)]
    return [raw, *coded, raw.hex().encode(), raw.hex().upper().encode()]


def files_with(folder, secret, skip=()):
    """Files below a folder, and its log beside it, that have the secret in any form."""
    found = []
    for path in [*files_below(folder), folder + ".log"]:
        with open(path, "rb") as f:
            content = f.read()
        if any(form in content for form in forms(secret)) and os.path.relpath(path, folder) not in skip:
            found.append(path)
    return found


# --------------------------------------------------------------------------------------- the guest's password
def test_the_password_reaches_the_guest(cloud, tenant, vm):
    job = tenant.done(set_password(tenant, vm).startid)
    assert job["job.objid"] == vm
    assert host_of(cloud, vm)[1].domains[vm].knows("root", CANARY)
    tenant.done(set_password(tenant, vm, "other", username="admin").startid)
    domain = host_of(cloud, vm)[1].domains[vm]
    assert domain.knows("admin", "other") and not domain.knows("root", CANARY)


def test_nobody_else_learns_it(server):
    """Not while the job waits, not after it, not in the host's memory of it, not in what the server says."""
    made = server(connect="sim://?control=1", options=["--log.level", "debug"])
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    made.control("hang=1")
    startid = set_password(tenant, vm).startid
    assert made.secrets("pwd") == [startid]
    assert files_with(made.data, CANARY) == []
    arguments = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert CANARY not in arguments
    made.control("hang=0")
    tenant.done(startid)
    assert SimHost(made).domains[vm].knows("root", CANARY)
    for op, params in (("GET joblog/{startid}", {"startid": startid}), ("POST joblog/search", {}),
                       ("GET cloudvm/{vmId}", {"vmId": vm}), ("GET events", {})):
        assert CANARY not in repr(made.admin.ok(op, params))
    assert made.secrets("pwd") == []
    assert files_with(made.data, CANARY) == []
    made.stop()
    assert files_with(made.data, CANARY) == []


@pytest.mark.parametrize("how", ["fails", "no agent", "refused"])
def test_a_password_that_did_not_get_there_is_forgotten(cloud, tenant, vm, how):
    name, _ = host_of(cloud, vm)
    if how == "fails":
        cloud.control("fail=set_password:1", name)
    if how == "no agent":
        cloud.control(f"agent={vm}:0", name)
    try:
        if how == "refused":
            tenant.refused("POST cloudvm/setadminpwd", {"vm.id": vm, "pwd": CANARY, "username": "a:b"}, "PARAM_CHARS")
        else:
            job = tenant.follow(set_password(tenant, vm).startid)
            assert job.result != "0" and CANARY not in repr(job)
            assert how != "no agent" or "agent" in job.info
    finally:
        cloud.control("fail=set_password:0", name)
    assert host_of(cloud, vm)[1].domains[vm].password is None
    assert cloud.secrets("pwd") == []
    assert files_with(cloud.data, CANARY) == []


def test_a_guest_that_does_not_run_takes_none(tenant, vm):
    stop(tenant, vm)
    reply = tenant.call("POST cloudvm/setadminpwd", {"vm.id": vm, "pwd": CANARY})
    if reply.ok:
        job = tenant.follow(reply.startid)
        assert job.result != "0" and "stopped" in job.info, job
    else:
        assert reply.code == "VM_STATE", reply


@pytest.mark.parametrize("params,code,field", [
    ({"pwd": "x" * 129}, "PARAM_LENGTH", "pwd"),
    ({"pwd": ""}, "PARAM_MISSING", "pwd"),
    ({}, "PARAM_MISSING", "pwd"),
    ({"pwd": "a\nb"}, "PARAM_CHARS", "pwd"),
    ({"pwd": "ok", "username": "a b"}, "PARAM_CHARS", "username"),
    ({"pwd": "ok", "username": "a=b"}, "PARAM_CHARS", "username"),
    ({"pwd": "ok", "username": "a\nb"}, "PARAM_CHARS", "username"),
    ({"pwd": "ok", "username": "x" * 65}, "PARAM_LENGTH", "username"),
])
def test_what_is_no_password(tenant, vm, params, code, field):
    tenant.refused("POST cloudvm/setadminpwd", {"vm.id": vm, **params}, code, field)


@pytest.mark.parametrize("password", ["x" * 128, "密码-пароль", "a:b,c=d \"'\\$(id)`id`%s"])
def test_what_is_one(cloud, tenant, vm, password):
    tenant.done(set_password(tenant, vm, password).startid)
    assert host_of(cloud, vm)[1].domains[vm].knows("root", password)


@pytest.mark.parametrize("point", points("vm.password", "password"))
def test_crash_while_setting_a_password(server, point):
    made = server(connect="sim://?control=1", crash_point=point)
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))

    def unknown():
        assert files_with(made.data, CANARY) == []

    tenant.done(made.through_crash(lambda: set_password(tenant, vm), unknown)["startid"])
    assert SimHost(made).domains[vm].knows("root", CANARY)
    assert made.secrets("pwd") == []
    assert files_with(made.data, CANARY) == []
    assert made.fsck(hosts=False) == ""


# ----------------------------------------------------------------------------------------------------- agent
def test_the_agent_is_brought_back(cloud, tenant, vm):
    name, _ = host_of(cloud, vm)
    cloud.control(f"agent={vm}:0", name)
    assert tenant.follow(set_password(tenant, vm).startid).result != "0"
    tenant.run("POST cloudvm/resumeCloudAgent", {"vm.id": vm})
    tenant.done(set_password(tenant, vm).startid)
    tenant.run("POST cloudvm/resumeCloudAgent", {"vm.id": vm})  # there already


def test_where_there_is_no_agent_none_comes(server):
    made = server(connect="sim://?agent=off")
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    for op, params in (("POST cloudvm/resumeCloudAgent", {}), ("POST cloudvm/setadminpwd", {"pwd": CANARY})):
        job = tenant.follow(tenant.ok(op, {"vm.id": vm, **params}).startid)
        assert job.result != "0" and "guest agent" in job.info, job


@pytest.mark.parametrize("point", points("vm.agent", "sync"))
def test_crash_while_the_agent_is_brought_back(server, point):
    made = server(connect="sim://?control=1", crash_point=point)
    tenant = made.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    made.control(f"agent={vm}:0")
    job = made.through_crash(lambda: tenant.ok("POST cloudvm/resumeCloudAgent", {"vm.id": vm}))
    tenant.done(job["startid"])
    tenant.done(set_password(tenant, vm).startid)


# --------------------------------------------------------------------------------------------- VNC's password
def vnc(cloud, vm):
    """The mark of the password in force."""
    return host_of(cloud, vm)[1].domains[vm].vnc


@pytest.mark.parametrize("hot", [True, False], ids=["hot", "cold"])
def test_vnc_password(cloud, tenant, vm, hot):
    if not hot:
        stop(tenant, vm)
    for password in ("a", VNC_CANARY):
        tenant.ok("POST cloudvm/editvncpwd", {"vm.id": vm, "vm.vncpasswd": password})
        assert vnc(cloud, vm) == vnc_mark(vm, password)
    made = [tenant.ok("POST cloudvm/setvncpwd", {"vm.id": vm}).data["vm.vncpasswd"] for _ in range(2)]
    assert len(set(made)) == 2 and all(len(password) == 8 and password.isalnum() for password in made)
    assert vnc(cloud, vm) == vnc_mark(vm, made[1])
    # What defines the VM anew carries it, too.
    tenant.run("PUT cloudvm/destroy", {"vm.id": vm})
    tenant.run("POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": 1})
    tenant.run("PUT cloudvm/start", {"vm.id": vm})
    assert vnc(cloud, vm) == vnc_mark(vm, made[1])
    assert VNC_CANARY not in cloud.log() and made[1] not in cloud.log()


@pytest.mark.parametrize("password,code", [("123456789", "PARAM_LENGTH"), ("密码密", "PARAM_LENGTH"),
                                           ("", "PARAM_MISSING"), (None, "PARAM_MISSING"), ("a\x07b", "PARAM_CHARS")])
def test_what_is_no_vnc_password(cloud, tenant, vm, password, code):
    before = vnc(cloud, vm)
    tenant.refused("POST cloudvm/editvncpwd", {"vm.id": vm, "vm.vncpasswd": password}, code, "vm.vncpasswd")
    assert vnc(cloud, vm) == before


def test_the_vnc_password_that_is_told_is_the_one_in_force(cloud, tenant, vm):
    """Three at once, many times over: one has the VM, the others are told so, and nobody is shown another's."""
    def edit(password):
        reply = tenant.call("POST cloudvm/editvncpwd", {"vm.id": vm, "vm.vncpasswd": password})
        return reply, password if reply.ok else None

    def make():
        reply = tenant.call("POST cloudvm/setvncpwd", {"vm.id": vm})
        return reply, reply.data["vm.vncpasswd"] if reply.ok else None

    for turn in range(10):
        for asked in ([make] * 3, [lambda i=i: edit(f"{turn}-{i}") for i in range(3)]):
            replies = at_once(asked)
            assert {reply.code for reply, _ in replies if not reply.ok} <= {"VM_LOCKED"}, replies
            told = [password for _, password in replies if password]
            assert told and vnc(cloud, vm) in [vnc_mark(vm, password) for password in told]
            tenant.run("PUT cloudvm/destroy", {"vm.id": vm})
            tenant.run("PUT cloudvm/start", {"vm.id": vm})  # what defines it anew has the same
            assert vnc(cloud, vm) in [vnc_mark(vm, password) for password in told]


def open_vnc(tenant, vm):
    """No job has said yet that the undo is finished."""
    jobs = tenant.ok("POST joblog/search", {"job.objid": vm}).data
    return not any("undoing is finished, by job" in line for job in jobs for line in tenant.follow(job["startid"]).lines)


def test_a_vnc_password_whose_answer_is_lost_is_taken_back(cloud, tenant, vm):
    """The host took it, and the client was told that it failed: what was told before is in force again."""
    name, _ = host_of(cloud, vm)
    tenant.ok("POST cloudvm/editvncpwd", {"vm.id": vm, "vm.vncpasswd": "before"})
    cloud.expect(r'event=request .*route="cloudvm/editvncpwd" .*result="HYPERVISOR"',
                 r'event=job\.undo .*kind="vm\.vnc" step="vnc"')
    cloud.control("lose=set_vnc_password:1", name)
    try:
        tenant.refused("POST cloudvm/editvncpwd", {"vm.id": vm, "vm.vncpasswd": "after"})
        assert vnc(cloud, vm) in (vnc_mark(vm, "after"), vnc_mark(vm, "before"))
    finally:
        cloud.control("lose=set_vnc_password:0", name)
    wait_until(lambda: not open_vnc(tenant, vm), "it is taken back")
    assert vnc(cloud, vm) == vnc_mark(vm, "before")
    tenant.ok("POST cloudvm/editvncpwd", {"vm.id": vm, "vm.vncpasswd": "after"})
    assert vnc(cloud, vm) == vnc_mark(vm, "after")


def test_a_vnc_password_that_is_not_in_force_is_not_kept(cloud, tenant, vm):
    """The host refuses it: neither the host nor the next definition has it."""
    name, _ = host_of(cloud, vm)
    tenant.ok("POST cloudvm/editvncpwd", {"vm.id": vm, "vm.vncpasswd": "before"})
    cloud.expect(r'event=request .*route="cloudvm/editvncpwd" .*result="HYPERVISOR"')
    cloud.control("fail=set_vnc_password:1", name)
    try:
        tenant.refused("POST cloudvm/editvncpwd", {"vm.id": vm, "vm.vncpasswd": "after"})
    finally:
        cloud.control("fail=set_vnc_password:0", name)
    assert vnc(cloud, vm) == vnc_mark(vm, "before")
    tenant.run("POST cloudvm/vdisk/add", {"vdisk.vmid": vm, "vdisk.size": 1})
    assert vnc(cloud, vm) == vnc_mark(vm, "before")


# ---------------------------------------------------------------------------------------------------- tenants
def test_another_tenant_finds_nothing(admin, cloud, tenant, vm):
    stranger = admin.tenant()
    before = vnc(cloud, vm)
    for op, params in (("setadminpwd", {"pwd": "x"}), ("resumeCloudAgent", {}), ("setvncpwd", {}),
                       ("editvncpwd", {"vm.vncpasswd": "x"})):
        for bad in (vm, "01900000-0000-7000-8000-000000000000", "x"):
            stranger.refused("POST cloudvm/" + op, {"vm.id": bad, **params}, "VM_NOT_FOUND", "vm.id")
    assert vnc(cloud, vm) == before and host_of(cloud, vm)[1].domains[vm].password is None
