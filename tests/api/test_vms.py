"""Cloud hosts: creation in all its forms, power, size, deletion, searches, and what happens to them from outside."""
import pytest
from starvirt import unique

SEARCH = "POST cloudvm/search"
STATES = {"failed": "-2", "unknown": "-1", "stopped": "0", "running": "1", "paused": "2", "building": "3",
          "cloning": "4"}


@pytest.fixture
def vpc(tenant):
    return tenant.vpc()


@pytest.fixture
def vm(tenant, vpc, model):
    return tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model, vm_name=unique("vm"))


def rows(client, **filters):
    return client.ok(SEARCH, {key.replace("_", "."): value for key, value in filters.items()})


# --------------------------------------------------------------------------------------------------- creation
def test_a_vm_is_as_it_was_ordered(tenant, vpc, model, admin):
    reply = tenant.create(**{"vm.name": "网站 <1>", "vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.vcpu.num": "2",
                             "vm.memory.mem": "128", "vm.vncpasswd": "12345678", "vm.hyperv.enable": "true",
                             "vm.vdisk.num": 3, "vm.vdisk.size": 2})
    assert "startid" not in reply.body and set(reply.data[0]) == {"vm.id", "vm.name", "jobstartid"}
    vm = reply.data[0]["vm.id"]
    job = tenant.done(reply.data[0]["jobstartid"])
    assert (job["job.objid"], job["job.objname"], job["job.percent"]) == (vm, "网站 <1>", "100")
    for disk in ("vda", "vdb", "vdc", "vdd"):
        assert any(f"disk {disk} is ready" in line for line in job.lines), job.lines
    row = tenant.show(vm)
    type = next(t for t in admin.ok("GET cloudvm/model").data if any(m["vm.tenant.mode"] == model for m in t["model"]))
    created, ip = row.pop("vm.createtime"), row.pop("vm.ip")
    assert created and any(ip in line for line in job.lines)
    assert row == {"vm.id": vm, "vm.name": "网站 <1>", "vm.desc": "", "vm.state": "1", "vm.vcpu.num": "2",
                   "vm.memory.mem": "128", "vm.tenant.type": type["vm.tenant.type"], "vm.tenant.model": model,
                   "vm.reboot.enable": "true", "vm.shutdown.enable": "true", "vm.firewalld.enable": "true",
                   "vm.guest.ip": "", "vm.undo.startid": "", "vm.affinity.id": ""}
    assert rows(tenant).data == rows(tenant, **{"vm.id": vm}).data and tenant.shown_everywhere(vm)


def test_a_name_is_made_where_none_is_given(tenant, vpc, model):
    row = tenant.create(vnic_portgroupid=vpc, vm_tenant_model=model).data[0]
    assert row["vm.name"] == "vm-" + row["vm.id"][-8:]
    tenant.done(row["jobstartid"])


def test_a_batch_is_numbered_and_each_has_its_job_and_address(tenant, vpc, model):
    made = tenant.create(**{"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.name": "web", "vm.num": 10}).data
    assert [row["vm.name"] for row in made] == [f"web-{i}" for i in range(1, 11)]
    assert len({row["jobstartid"] for row in made}) == len({row["vm.id"] for row in made}) == 10
    for row in made:
        tenant.done(row["jobstartid"])
    cidr = tenant.ok("POST cloudnetwork/vpc/search").data[0]
    found = rows(tenant).data
    assert [row["vm.name"] for row in found] == [row["vm.name"] for row in made], "in the order of their creation"
    base = cidr["vpc.cidr"].removesuffix(".0/24")
    assert [row["vm.ip"] for row in found] == [f"{base}.{i}" for i in range(2, 12)]
    assert cidr["vpc.usable.ipcount"] == str(253 - 10)


def test_a_vm_from_a_template(tenant, vpc, template):
    vm = tenant.vm(vnic_portgroupid=vpc, vm_template_id=template)
    row = tenant.show(vm)
    assert (row["vm.state"], row["vm.tenant.model"], row["vm.tenant.type"]) == ("1", "", "")
    job = tenant.ok("POST joblog/search", {"job.objid": vm}).data[0]
    assert job["job.name"] == "create VM"


def test_a_model_with_a_template_is_cloned_and_one_without_installed(admin, tenant, vpc, template):
    both = [tenant.create(vnic_portgroupid=vpc, vm_tenant_model=model).data[0]["jobstartid"]
            for model in (admin.model(template=template), admin.model())]
    assert [tenant.done(startid)["job.name"] for startid in both] == ["create VM", "create VM with an empty disk"]


def test_the_state_while_it_is_made(server, raw_image):
    one = server(connect="sim://?control=1")
    tenant = one.admin.tenant()
    vpc, template = tenant.vpc(), one.admin.template(raw_image, **{"template.format": "raw"})
    one.control("hang=1")
    made = [tenant.create(vnic_portgroupid=vpc, vm_template_id=template).data[0],
            tenant.create(vnic_portgroupid=vpc, vm_tenant_model=one.admin.model()).data[0]]
    assert [tenant.show(row["vm.id"])["vm.state"] for row in made] == ["4", "3"]
    assert tenant.show(made[0]["vm.id"])["vm.shutdown.enable"] == "false"
    one.control("hang=0")
    for row in made:
        tenant.done(row["jobstartid"])
        assert tenant.show(row["vm.id"])["vm.state"] == "1"


@pytest.mark.parametrize("change,code,field", [
    ({"vm.tenant.model": None}, "PARAM_MISSING", "vm.tenant.model"),
    ({"vm.template.id": "x"}, "PARAM_CONFLICT", "vm.template.id"),
    ({"vm.tenant.model": "nosuch"}, "MODEL_NOT_FOUND", "vm.tenant.model"),
    ({"vm.tenant.model": None, "vm.template.id": "x"}, "TEMPLATE_NOT_FOUND", "vm.template.id"),
    ({"vnic.portgroupid": "x"}, "VPC_NOT_FOUND", "vnic.portgroupid"),
    ({"vm.vdisk.num": 1}, "PARAM_MISSING", "vm.vdisk.size"),
    ({"vm.vdisk.size": 1}, "PARAM_CONFLICT", "vm.vdisk.size"),
    ({"vm.vdisk.num": 0, "vm.vdisk.size": 1}, "PARAM_CONFLICT", "vm.vdisk.size"),
    ({"vm.clone": "half"}, "PARAM_ENUM", "vm.clone"),
    ({"vm.name": "   "}, "PARAM_MISSING", "vm.name"),
    ({"vm.name": "n" * 126, "vm.num": 2}, "PARAM_LENGTH", "vm.name"),
])
def test_orders_that_make_no_sense(tenant, vpc, model, change, code, field):
    params = {"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.vcpu.num": 1, "vm.memory.mem": 64, **change}
    tenant.refused("POST cloudvm/create", {k: v for k, v in params.items() if v is not None}, code, field)
    assert rows(tenant).count == 0


def test_a_full_vpc(server):
    one = server(options=["--vpc.prefix", "29"])  # .2 to .6
    tenant, model = one.admin.tenant(), one.admin.model()
    vpc = tenant.vpc()
    params = {"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.vcpu.num": 1, "vm.memory.mem": 64}
    reply = tenant.refused("POST cloudvm/create", {**params, "vm.num": 6}, "VPC_FULL", "vnic.portgroupid")
    assert "6 needed" in reply.text
    for row in tenant.create(**params, **{"vm.num": 5}).data:
        tenant.done(row["jobstartid"])
    tenant.refused("POST cloudvm/create", params, "VPC_FULL")
    gone = rows(tenant).data[2]
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": gone["vm.id"]})
    assert tenant.show(tenant.vm(**params))["vm.ip"] == gone["vm.ip"]


def test_vms_are_spread_over_the_hosts(server):
    one = server(connect="sim://?hosts=3&cpus=4")
    hosts = {e["event.objid"] for e in one.admin.events() if e["event.type"] == "host.connected"}
    tenant = one.admin.tenant()
    for row in tenant.create(**{"vnic.portgroupid": tenant.vpc(), "vm.tenant.model": one.admin.model(),
                                "vm.num": 9}).data:
        tenant.done(row["jobstartid"])
    assert {host: tenant.ok(SEARCH, {"vm.hostid": host}).count for host in hosts} == dict.fromkeys(hosts, 3)
    assert tenant.ok(SEARCH, {"vm.hostid": "x"}).count == 0


# ------------------------------------------------------------------------------------------------------ power
POWER = [  # from, verb, to (None: refused), a line of the log
    ("running", "start", "running", "the VM is running already"),
    ("running", "destroy", "stopped", None),
    ("running", "shutdown", "stopped", "asked the guest agent to shutdown"),
    ("running", "restart", "running", "asked the guest agent to reboot"),
    ("running", "suspend", "paused", None),
    ("running", "resume", "running", None),
    ("stopped", "start", "running", None),
    ("stopped", "destroy", "stopped", "the VM is stopped already"),
    ("stopped", "shutdown", "stopped", "the VM is stopped already"),
    ("stopped", "restart", None, None),
    ("stopped", "suspend", None, None),
    ("stopped", "resume", None, None),
    ("paused", "start", "running", None),
    ("paused", "destroy", "stopped", None),
    ("paused", "shutdown", None, None),
    ("paused", "restart", None, None),
    ("paused", "suspend", "paused", None),
    ("paused", "resume", "running", None),
]
BRING = {"running": [], "stopped": ["destroy"], "paused": ["suspend"]}


@pytest.mark.parametrize("before,verb,after,line", POWER, ids=lambda v: str(v).replace(" ", "_"))
def test_power(tenant, vm, before, verb, after, line):
    for step in BRING[before]:
        tenant.run(f"PUT cloudvm/{step}", {"vm.id": vm})
    assert tenant.show(vm)["vm.state"] == STATES[before]
    params = {"vm.id": vm}
    if after is None:
        reply = tenant.refused(f"PUT cloudvm/{verb}", params, "VM_STATE", "vm.id")
        assert f"the VM is {before}" in reply.text
        after = before
    else:
        job = tenant.run(f"PUT cloudvm/{verb}", params)
        assert line is None or any(line in text for text in job.lines), job.lines
    row = tenant.show(vm)
    assert row["vm.state"] == STATES[after]
    assert row["vm.shutdown.enable"] == row["vm.reboot.enable"] == ("true" if after == "running" else "false")


@pytest.mark.parametrize("verb", ["shutdown", "restart"])
def test_without_an_agent_the_guest_is_asked_by_acpi(server, verb):
    one = server(connect="sim://?agent=off&stop=50ms")
    tenant = one.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=one.admin.model())
    assert any("by ACPI" in line for line in tenant.run(f"PUT cloudvm/{verb}", {"vm.id": vm}).lines)
    assert tenant.show(vm)["vm.state"] == ("0" if verb == "shutdown" else "1")


def test_every_change_is_an_event(tenant, vpc, model):
    since = tenant.last_event()
    made = tenant.create(vnic_portgroupid=vpc, vm_tenant_model=model, vm_name="seen").data[0]
    vm, startid = made["vm.id"], made["jobstartid"]
    tenant.done(startid)
    tenant.run("PUT cloudvm/destroy", {"vm.id": vm})
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    events = [e for e in tenant.events(since) if e["event.objid"] == vm]
    types = [(e["event.type"], e["event.content"].split(" ")[0]) for e in events]
    assert types == [
        ("vm.create", "seen"), ("job.accepted", "vm.install"), ("vm.state", "running"), ("job.end", "vm.install"),
        ("job.accepted", "vm.destroy"), ("vm.state", "stopped"), ("job.end", "vm.destroy"),
        ("job.accepted", "vm.delete"), ("vm.delete", ""), ("job.end", "vm.delete")]
    told = [e["event.content"] for e in events]
    assert (told[1], told[3]) == (f"vm.install {startid}", f"vm.install {startid} 0")
    numbers = [int(e["event.seq"]) for e in events]
    assert numbers == sorted(set(numbers))
    assert {e["event.appid"] for e in events} == {tenant.id} and {e["event.objtype"] for e in events} == {"vm"}


# ----------------------------------------------------------------------------------------------- size, deletion
def test_more_is_live_and_less_waits_for_the_next_start(tenant, vm):
    job = tenant.run("PUT cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": 2})
    assert any("took effect live" in line for line in job.lines), job.lines
    job = tenant.run("PUT cloudvm/mem/modify", {"vm.id": vm, "vm.memory.mem": 96})
    assert any("took effect live" in line for line in job.lines), job.lines
    job = tenant.run("PUT cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": 1})
    assert any("takes effect at next start" in line for line in job.lines), job.lines
    row = tenant.show(vm)
    assert (row["vm.vcpu.num"], row["vm.memory.mem"]) == ("1", "96")
    tenant.run("PUT cloudvm/destroy", {"vm.id": vm})
    job = tenant.run("PUT cloudvm/mem/modify", {"vm.id": vm, "vm.memory.mem": 32})
    assert not any("effect" in line for line in job.lines), "a stopped VM has no next start to wait for"
    tenant.run("PUT cloudvm/start", {"vm.id": vm})


def test_what_the_guest_has_no_room_for_waits_for_the_next_start(tenant, vm):
    job = tenant.run("PUT cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": 200})
    assert any("could not be changed live" in line for line in job.lines), job.lines
    assert any("takes effect at next start" in line for line in job.lines), job.lines
    assert tenant.show(vm)["vm.vcpu.num"] == "200"


@pytest.mark.parametrize("state", ["running", "stopped", "paused"])
def test_deletion(tenant, vpc, vm, state):
    for step in BRING[state]:
        tenant.run(f"PUT cloudvm/{step}", {"vm.id": vm})
    startid = tenant.ok("DELETE cloudvm/{vmId}", {"vmId": vm}).startid
    tenant.done(startid)
    tenant.refused("GET cloudvm/{vmId}", {"vmId": vm}, "VM_NOT_FOUND", "vmId")
    for verb in ("start", "destroy", "restart", "suspend"):
        tenant.refused(f"PUT cloudvm/{verb}", {"vm.id": vm}, "VM_NOT_FOUND", "vm.id")
    assert rows(tenant).count == 0
    assert tenant.ok("POST cloudnetwork/vpc/search").data[0]["vpc.usable.ipcount"] == "253"
    assert tenant.follow(startid)["job.objid"] == vm, "its jobs stay to be read"


def test_one_job_at_a_time(server):
    one = server(connect="sim://?control=1")
    tenant = one.admin.tenant()
    vpc = tenant.vpc()
    vm = tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=one.admin.model())
    one.control("hang=1")
    startid = tenant.ok("PUT cloudvm/destroy", {"vm.id": vm}).startid
    for op, params in [("PUT cloudvm/start", {}), ("PUT cloudvm/destroy", {}), ("PUT cloudvm/suspend", {}),
                       ("PUT cloudvm/cpu/modify", {"vm.vcpu.num": 2}),
                       ("PUT cloudvm/mem/modify", {"vm.memory.mem": 99})]:
        reply = tenant.refused(op, {"vm.id": vm, **params}, "VM_LOCKED", "vm.id")
        assert startid in reply.text and reply.body["error"]["retry"] == "safe"
    assert startid in tenant.refused("DELETE cloudvm/{vmId}", {"vmId": vm}, "VM_LOCKED", "vmId").text
    tenant.refused("POST cloudnetwork/vpc/delete", {"vpc.id": vpc}, "VPC_IN_USE", "vpc.id")
    tenant.ok("PUT cloudvm/modify", {"vm.id": vm, "vm.name": "renamed meanwhile"})
    assert tenant.usable()["cpu"] == -1 and tenant.show(vm)["vm.vcpu.num"] == "1"
    one.control("hang=0")
    tenant.done(startid)
    tenant.run("PUT cloudvm/start", {"vm.id": vm})


def test_rename(tenant, vm):
    tenant.ok("PUT cloudvm/modify", {"vm.id": vm, "vm.name": "<b>new</b>"})
    tenant.ok("PUT cloudvm/modify", {"vm.id": vm, "vm.desc": "two\nlines"})
    tenant.ok("PUT cloudvm/modify", {"vm.id": vm})
    row = tenant.show(vm)
    assert (row["vm.name"], row["vm.desc"]) == ("<b>new</b>", "two\nlines")
    tenant.refused("PUT cloudvm/modify", {"vm.id": vm, "vm.name": " "}, "PARAM_MISSING", "vm.name")


# ------------------------------------------------------------------------------------------------------ search
@pytest.fixture(scope="module")
def crowd(admin, model):
    """Twelve VMs with names that tell fuzzy from literal."""
    tenant = admin.tenant()
    vpc = tenant.vpc()
    names = ["a%b", "a_b", "AxB", "100%", "ünï", "数据库-1", "数据库-2", "x'y", 'x"y', "back\\slash", "tail ", "plain"]
    made = [tenant.create(vnic_portgroupid=vpc, vm_tenant_model=model, vm_name=name).data[0] for name in names]
    for row in made:
        tenant.done(row["jobstartid"])
    tenant.names = names
    tenant.ids = [row["vm.id"] for row in made]
    tenant.run("PUT cloudvm/destroy", {"vm.id": tenant.ids[0]})
    tenant.run("PUT cloudvm/suspend", {"vm.id": tenant.ids[1]})
    return tenant


@pytest.mark.parametrize("text,found", [
    ("a%b", ["a%b"]), ("a_b", ["a_b"]), ("axb", ["AxB"]), ("A", ["a%b", "a_b", "AxB", "back\\slash", "tail ", "plain"]),
    ("%", ["a%b", "100%"]), ("_", ["a_b"]), ("数据", ["数据库-1", "数据库-2"]), ("'", ["x'y"]), ('"', ['x"y']),
    ("\\", ["back\\slash"]), ("ün", ["ünï"]), ("nothing", []), ("' OR 1=1 --", []),
])
def test_names_are_found_by_substring_and_literal(crowd, text, found):
    reply = rows(crowd, vm_name=text)
    assert [row["vm.name"] for row in reply.data] == found and reply.count == len(found)


def test_ids_states_and_addresses(crowd):
    ids = crowd.ids
    assert [row["vm.id"] for row in rows(crowd, vm_id=ids[3]).data] == [ids[3]]
    assert [row["vm.id"] for row in rows(crowd, vm_id=ids[3][-12:]).data] == [ids[3]]
    assert rows(crowd, vm_id=ids[3][:8]).count >= 1
    assert [row["vm.id"] for row in rows(crowd, vm_state=0).data] == [ids[0]]
    assert [row["vm.id"] for row in rows(crowd, vm_state="2").data] == [ids[1]]
    assert rows(crowd, vm_state=1).count == 10
    assert [rows(crowd, vm_state=s).count for s in (-2, -1, 3, 4)] == [0, 0, 0, 0]
    for bad in (5, -3, 99):
        crowd.refused(SEARCH, {"vm.state": bad}, "PARAM_ENUM", "vm.state")
    ip = crowd.show(ids[5])["vm.ip"]
    assert [row["vm.id"] for row in rows(crowd, vm_ip=ip).data] == [ids[5]]
    assert rows(crowd, vm_ip="10.0").count == rows(crowd, vm_ip="x").count == 0
    assert rows(crowd, vm_name="a_b", vm_state=1).count == 0, "filters are all to hold"
    assert rows(crowd, vm_name="a_b", vm_state=2).count == 1


def test_pages(crowd):
    names = crowd.names
    everything = rows(crowd)
    assert [row["vm.name"] for row in everything.data] == names and everything.count == 12

    def page(**how):
        reply = rows(crowd, **how)
        return [row["vm.name"] for row in reply.data], reply.count

    assert page(page_startnum=1, page_everypagenum=5) == (names[:5], 12)
    assert page(page_startnum=3, page_everypagenum=5) == (names[10:], 12)
    assert page(page_startnum=4, page_everypagenum=5) == ([], 12)
    assert page(page_startnum=1000000000, page_everypagenum=30) == ([], 12)
    assert page(page_everypagenum=5) == (names[:5], 12)
    assert page(page_startnum=1) == (names, 12)
    assert page(page_startnum=2, page_everypagenum=2, vm_name="a") == (["AxB", "back\\slash"], 6)


# ---------------------------------------------------------------------------------------------- from outside
def test_a_guest_that_stops_or_crashes_by_itself_is_seen(server):
    one = server(connect="sim://?control=1")
    tenant = one.admin.tenant()
    made = tenant.create(**{"vnic.portgroupid": tenant.vpc(), "vm.tenant.model": one.admin.model(), "vm.num": 2}).data
    stopped, crashed = (row["vm.id"] for row in made)
    for row in made:
        tenant.done(row["jobstartid"])
    since = tenant.last_event()
    one.control(f"stop={stopped}")
    tenant.wait_event(lambda e: (e["event.type"], e["event.objid"]) == ("vm.state", stopped), since)
    one.control(f"crash={crashed}")
    tenant.wait_event(lambda e: (e["event.type"], e["event.objid"]) == ("vm.crashed", crashed), since)
    assert [tenant.show(vm)["vm.state"] for vm in (stopped, crashed)] == ["0", "0"]
    tenant.run("PUT cloudvm/start", {"vm.id": crashed})


def test_a_lost_host_makes_its_vms_unknown_and_not_stopped(server):
    one = server(connect="sim://?hosts=2&control=1")
    tenant = one.admin.tenant()
    vpc, model = tenant.vpc(), one.admin.model()
    made = tenant.create(**{"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.num": 2}).data
    for row in made:
        tenant.done(row["jobstartid"])
    since = one.admin.last_event()
    one.control("down=1", "host2")
    one.admin.wait_event(lambda e: e["event.type"] == "host.lost", since)
    states = {tenant.show(row["vm.id"])["vm.state"]: row["vm.id"] for row in made}
    assert set(states) == {"1", "-1"}
    lost = states["-1"]
    one.expect('result="HOST_DOWN"')
    assert rows(tenant, vm_state=-1).data[0]["vm.id"] == lost and rows(tenant, vm_state=1).count == 1
    tenant.refused("PUT cloudvm/start", {"vm.id": lost}, "HOST_DOWN", "vm.id")
    tenant.refused("DELETE cloudvm/{vmId}", {"vmId": lost}, "HOST_DOWN", "vmId")
    tenant.run("PUT cloudvm/destroy", {"vm.id": states["1"]})
    extra = [tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model) for _ in range(2)]
    assert all(tenant.show(vm)["vm.state"] == "1" for vm in extra), "new ones go where there is a host"
    since = one.admin.last_event()
    one.control("down=0", "host2")
    one.admin.wait_event(lambda e: e["event.type"] == "host.connected", since)
    assert tenant.show(lost)["vm.state"] == "1"
    tenant.run("PUT cloudvm/destroy", {"vm.id": lost})
