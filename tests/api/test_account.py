"""vm.account.pwd: the password of the guest's administrator, given when the VM is made and set by its agent."""
import os
import time

import pytest
from simhost import SimHost
from test_guest import CANARY, files_with, host_of


def order(client, model, **more):
    return {"vnic_portgroupid": client.vpc(), "vm_tenant_model": model, "vm_account_pwd": CANARY, **more}


def sealed(server):
    return server.secrets("account")


def nobody_else_knows(server, client, startids, vms):
    """Not what the server says, not what it keeps, not its log."""
    for startid in startids:
        assert CANARY not in repr(client.ok("GET joblog/{startid}", {"startid": startid}))
    for vm in vms:
        assert CANARY not in repr(client.show(vm))
    for op in ("POST joblog/search", "GET events", "POST cloudvm/search"):
        assert CANARY not in repr(client.ok(op))
    assert sealed(server) == []
    assert files_with(server.data, CANARY) == []


@pytest.mark.parametrize("source", ["model", "template"])
def test_it_reaches_the_guest(cloud, tenant, model, template, source):
    how = {"vm_tenant_model": model} if source == "model" else {"vm_tenant_model": None, "vm_template_id": template}
    made = tenant.create(**{**order(tenant, model), **how}).data[0]
    job = tenant.done(made["jobstartid"])
    assert host_of(cloud, made["vm.id"])[1].domains[made["vm.id"]].knows("root", CANARY)
    assert any("password of user root is set" in line for line in job.lines), job.lines
    assert job["job.percent"] == "100"
    nobody_else_knows(cloud, tenant, [made["jobstartid"]], [made["vm.id"]])


def test_without_one_there_is_no_such_step(cloud, tenant, model):
    made = tenant.create(**order(tenant, model, vm_account_pwd=None)).data[0]
    job = tenant.done(made["jobstartid"])
    assert not any("password" in line for line in job.lines), job.lines
    assert host_of(cloud, made["vm.id"])[1].domains[made["vm.id"]].password is None


@pytest.mark.race
def test_each_of_a_batch_gets_it(cloud, tenant, model):
    made = tenant.create(**order(tenant, model, vm_num=4)).data
    for row in made:
        tenant.done(row["jobstartid"])
        assert host_of(cloud, row["vm.id"])[1].domains[row["vm.id"]].knows("root", CANARY)
    nobody_else_knows(cloud, tenant, [row["jobstartid"] for row in made], [row["vm.id"] for row in made])


@pytest.mark.race
def test_it_waits_for_the_guest_to_boot(server):
    """The agent is up a second after the start: nobody asks again and again meanwhile, its event is awaited."""
    made = server(connect="sim://?control=1&boot=1s", options=["--log.level", "debug"])
    tenant = made.admin.tenant()
    row = tenant.create(**order(tenant, made.admin.model(size=1))).data[0]
    tenant.wait_line(row["jobstartid"], "set the administrator's password")
    assert sealed(made) == [row["jobstartid"]]
    assert files_with(made.data, CANARY) == [], "what is kept is sealed"
    tenant.done(row["jobstartid"])
    assert SimHost(made).domains[row["vm.id"]].knows("root", CANARY)
    nobody_else_knows(made, tenant, [row["jobstartid"]], [row["vm.id"]])
    made.stop()
    assert files_with(made.data, CANARY) == []


def test_an_agent_that_comes_late_gets_it(server):
    made = server(connect="sim://?control=1&agent=off")
    tenant = made.admin.tenant()
    row = tenant.create(**order(tenant, made.admin.model(size=1))).data[0]
    tenant.wait_line(row["jobstartid"], "set the administrator's password")
    made.control(f"agent={row['vm.id']}:1")
    tenant.done(row["jobstartid"])
    assert SimHost(made).domains[row["vm.id"]].knows("root", CANARY)
    nobody_else_knows(made, tenant, [row["jobstartid"]], [row["vm.id"]])


@pytest.mark.parametrize("how", ["fails", "stopped"])
def test_a_vm_that_got_none_is_whole_and_says_so(server, how):
    made = server(connect="sim://?control=1&agent=" + ("on" if how == "fails" else "off"))
    tenant = made.admin.tenant()
    if how == "fails":
        made.control("fail=set_password:1")
    row = tenant.create(**order(tenant, made.admin.model(size=1))).data[0]
    if how == "stopped":  # the guest ends while its agent is waited for
        tenant.wait_line(row["jobstartid"], "set the administrator's password")
        made.control(f"stop={row['vm.id']}")
    job = tenant.done(row["jobstartid"])
    left = [line for line in job["job.logs"] if "password was not set" in line["log.content"]]
    assert len(left) == 1 and left[0]["log.level"] == "warn" and "setadminpwd" in left[0]["log.content"], job.lines
    nobody_else_knows(made, tenant, [row["jobstartid"]], [row["vm.id"]])
    if how == "fails":
        made.control("fail=set_password:0")
        assert tenant.show(row["vm.id"])["vm.state"] == "1"
        tenant.run("POST cloudvm/setadminpwd", {"vm.id": row["vm.id"], "pwd": CANARY})


def test_a_stop_does_not_wait_for_an_agent(server):
    """The job is left as it is and goes on after the next start; the sealed password with it."""
    made = server(connect="sim://?control=1&agent=off")
    tenant = made.admin.tenant()
    row = tenant.create(**order(tenant, made.admin.model(size=1))).data[0]
    tenant.wait_line(row["jobstartid"], "set the administrator's password")
    begin = time.monotonic()
    made.stop()
    assert time.monotonic() - begin < 15, "less than what running steps get"
    assert len(sealed(made)) == 1 and files_with(made.data, CANARY) == []
    made.start()
    tenant.wait_line(row["jobstartid"], "resumed at step")
    made.control(f"agent={row['vm.id']}:1")
    tenant.done(row["jobstartid"])
    assert SimHost(made).domains[row["vm.id"]].knows("root", CANARY)
    nobody_else_knows(made, tenant, [row["jobstartid"]], [row["vm.id"]])


@pytest.mark.parametrize("state", ["running", "waiting"])
def test_jobs_that_are_not_taken_up_again_forget_it(server, state):
    made = server(connect="sim://?control=1&agent=off",
                  options=["--jobs.requeue=false", "--jobs.slots_per_host", "1"])
    tenant = made.admin.tenant()
    rows = tenant.create(**order(tenant, made.admin.model(size=1), vm_num=2)).data
    row = rows[0 if state == "running" else 1]
    tenant.wait_line(rows[0]["jobstartid"], "set the administrator's password")
    made.kill()
    assert len(sealed(made)) == 2
    made.start()
    assert tenant.follow(row["jobstartid"]).result == ("6" if state == "running" else "4")
    for each in rows:
        tenant.follow(each["jobstartid"])
    nobody_else_knows(made, tenant, [row["jobstartid"]], [row["vm.id"]])


def test_cancelled_while_it_waits(server):
    made = server(connect="sim://?agent=off")
    tenant = made.admin.tenant()
    row = tenant.create(**order(tenant, made.admin.model(size=1))).data[0]
    tenant.wait_line(row["jobstartid"], "set the administrator's password")
    tenant.ok("PUT joblog/cancel", {"startid": row["jobstartid"]})
    assert tenant.follow(row["jobstartid"]).result == "7"
    assert tenant.show(row["vm.id"])["vm.state"] == "-2"
    assert SimHost(made).domains == {} and SimHost(made).volumes == {}
    nobody_else_knows(made, tenant, [row["jobstartid"]], [row["vm.id"]])


def test_what_was_refused_is_not_kept(server):
    """A batch that the quota or the hosts refuse leaves nothing sealed; the hosts take its first VM, not its second."""
    made = server(connect="sim://?mem=1G")
    model = made.admin.model(size=1)
    for quota, memory, code in (({"cpu": 2}, 64, "QUOTA_VCPUS"), ({}, 700, "NO_CAPACITY")):
        tenant = made.admin.tenant(**quota)
        tenant.refused("POST cloudvm/create", {
            "vnic.portgroupid": tenant.vpc(), "vm.tenant.model": model, "vm.vcpu.num": 1, "vm.memory.mem": memory,
            "vm.num": 3, "vm.account.pwd": CANARY, "vm.vncpasswd": "x"}, code)
        assert made.secrets() == []
    assert files_with(made.data, CANARY) == []


@pytest.mark.parametrize("password,code", [("x" * 129, "PARAM_LENGTH"), ("a\nb", "PARAM_CHARS"),
                                           ("\x7f", "PARAM_CHARS")])
def test_what_is_no_password(tenant, model, password, code):
    tenant.refused("POST cloudvm/create", {"vnic.portgroupid": tenant.vpc(), "vm.tenant.model": model,
                                           "vm.vcpu.num": 1, "vm.memory.mem": 64, "vm.account.pwd": password},
                   code, "vm.account.pwd")


def test_sealed_files_of_an_earlier_version_become_rows(server):
    """What still belongs to somebody does; a job's own is found by the VM that the job has locked."""
    made = server(connect="sim://?control=1&agent=off")
    tenant = made.admin.tenant()
    row = tenant.create(**order(tenant, made.admin.model(size=1), vm_vncpasswd="vnc")).data[0]
    tenant.wait_line(row["jobstartid"], "set the administrator's password")
    made.kill()
    folder = made.data + "/secrets"
    with made.database("rw") as db:
        (sealed_vnc,), = db.execute("SELECT sealed FROM secret WHERE kind = 'vnc'").fetchall()
        db.execute("DELETE FROM secret WHERE kind = 'vnc'")
        db.commit()
    files = {f"{row['vm.id']}.vnc": sealed_vnc, "01900000-0000-7000-8000-000000000000.vnc": sealed_vnc,
             f"{row['vm.id']}.ceph": b"sealed", "notes.account": b""}
    for name, text in files.items():
        with open(f"{folder}/{name}", "wb") as f:
            f.write(text)
    made.start()
    assert made.secrets("vnc") == [row["vm.id"]] and sealed(made) == [row["jobstartid"]]
    assert sorted(os.listdir(folder)) == ["key", "notes.account"] and made.fsck(hosts=False) == ""
    made.control(f"agent={row['vm.id']}:1")
    tenant.done(row["jobstartid"])
    assert SimHost(made).domains[row["vm.id"]].knows("root", CANARY)


def is_known_to_the_guest(made, tenant, job):
    tenant.done(job["startid"])
    assert SimHost(made).domains[job["job.objid"]].knows("root", CANARY)
    nobody_else_knows(made, tenant, [job["startid"]], [job["job.objid"]])


@pytest.mark.parametrize("kind", ["vm.install", "vm.create"])
@pytest.mark.parametrize("when", ["before", "after", "recorded"])
def test_crash_at_the_password(server, raw_image, kind, when):
    made = server(connect="sim://", crash_point=f"{kind}:password:{when}")
    tenant = made.admin.tenant()
    source = {"vm_tenant_model": made.admin.model(size=1)} if kind == "vm.install" else \
        {"vm_template_id": made.admin.template(raw_image)}
    source["vnic_portgroupid"] = tenant.vpc()

    def unknown():
        assert files_with(made.data, CANARY) == []

    is_known_to_the_guest(made, tenant, made.through_crash(
        lambda: tenant.create(vm_account_pwd=CANARY, **source), unknown))


@pytest.mark.parametrize("point", ["vm.install:disks:before", "vm.install:start:after", "vm.install:end:before",
                                   "vm.install:end:after"])
def test_crash_elsewhere_keeps_it_until_it_is_set(server, point):
    made = server(connect="sim://", crash_point=point)
    tenant = made.admin.tenant()
    wanted = order(tenant, made.admin.model(size=1))
    is_known_to_the_guest(made, tenant, made.through_crash(lambda: tenant.create(**wanted)))
