"""Alarms: each kind raised, shown, told to a web hook, relieved by itself; who sees them; what web hooks may be."""
import subprocess
import time

import pytest
from books import Books
from hooks import SECRET, Receiver, options
from outside import router
from servers import Servers
from starvirt import DAEMON, wait_until
from test_slb import certificate


def search(who, **filters):
    params = {key.replace("_", "."): value for key, value in filters.items()}
    return who.ok("POST cloudalarm/search", {"isfindPage": "true", **params}).data


def alarms(who, type, way=None, **filters):
    return [row for row in search(who, **filters) if row["alarm.type"] == type and way in (None, row["alarm.relieve.way"])]


def raised(who, type, object):
    return wait_until(lambda: alarms(who, type, "none", alarm_objid=object), f"{type} is raised", 30)[0]


def relieved(who, type, object):
    return wait_until(lambda: alarms(who, type, "auto", alarm_objid=object), f"{type} is relieved", 30)[0]


class Site:
    """A server that tells a receiver, a tenant, a VM."""

    def __init__(self, servers, tmp):
        self.hook = Receiver()
        self.server = servers(connect="sim://?hosts=1&control=1", network="sim", options=options(tmp, self.hook))
        self.admin = self.server.admin
        self.tenant = self.admin.tenant()
        self.model = self.admin.model(size=1)
        self.vpc = self.tenant.vpc()
        self.books = Books(self.server)
        self.vm = self.new_vm()
        self.nic = self.no_rules()

    def no_rules(self):
        """A NIC that the engine does not take; it takes a while until that counts."""
        self.server.expect("event=network.failed")
        nic = self.tenant.ok("POST cloudvm/vnic/search", {"vnic.vmid": self.new_vm()}).data[0]["vnic.id"]
        group = self.tenant.ok("POST cloudsegroup/create", {"securitygroup.name": "web"}).data["securitygroup.id"]
        self.books.switch("fail", nic)
        self.tenant.call("POST cloudsegroup/vnic/bind", {"securitygroup.id": group, "vnic.id": nic})
        return nic

    def new_vm(self):
        return self.tenant.vm(vnic_portgroupid=self.vpc, vm_tenant_model=self.model)

    def goes_and_comes(self, type, object, end, who=None):
        """An alarm that is raised; then `end` ends what it is about."""
        who = who or self.tenant
        row = raised(who, type, object)
        told = self.hook.hears(type, object=object)
        assert told["id"] == row["alarm.id"] and told["level"] == row["alarm.level"]
        assert told["text"]["zh"] and told["text"]["en"] and row["alarm.content"] in told["text"].values()
        assert row["alarm.objname"] and row["alarm.relieve.time"] == "" and told["relieved_at"] is None
        end()
        after = relieved(who, type, object)
        assert after["alarm.id"] == row["alarm.id"] and len(after["alarm.relieve.time"]) == 19
        told = self.hook.hears(type, "relieved", object)
        assert (told["id"], told["relieved_by"]) == (row["alarm.id"], "auto") and told["relieved_at"].endswith("Z")
        return row


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    servers = Servers(tmp_path_factory.mktemp("alarms"))
    found = Site(servers, tmp_path_factory.mktemp("hook"))
    yield found
    servers.finish()
    found.hook.close()
    assert found.hook.wrong == []


# ------------------------------------------------------------------------------------------------ kinds
def test_a_vm_that_crashed(site):
    site.server.control(f"crash={site.vm}")
    row = site.goes_and_comes("vm.crashed", site.vm,
                              lambda: site.tenant.run("PUT cloudvm/start", {"vm.id": site.vm}))
    assert (row["alarm.level"], row["alarm.obj.type"]) == ("high", "vm")
    events = [e["event.type"] for e in site.tenant.events() if row["alarm.id"] in e["event.content"]]
    assert events == ["alarm.raised", "alarm.relieved"]


def test_a_vm_that_is_deleted(site):
    vm = site.new_vm()
    site.server.control(f"crash={vm}")
    site.goes_and_comes("vm.crashed", vm, lambda: site.tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm}))


def test_a_host_that_is_lost(site):
    (host,) = site.server._query("SELECT id FROM host", [])
    site.server.control("down=1")
    row = site.goes_and_comes("host.lost", host[0], lambda: site.server.control("down=0"), site.admin)
    assert (row["alarm.level"], row["alarm.obj.type"]) == ("high", "host")
    assert "the connection was lost" in site.hook.of("host.lost")[0]["text"]["en"]
    assert search(site.admin, alarm_obj_type="主机") == search(site.admin, alarm_obj_type="host") != []
    assert not search(site.tenant, alarm_obj_type="host"), "not a tenant's business"
    wait_until(lambda: site.tenant.show(site.vm)["vm.state"] not in ("", "-1"), "the host is back")


def test_a_backup_that_failed(site):
    params = {"backup.vmid": site.vm, "backup.name": "b"}
    site.server.control("fail=backup_begin:1")
    site.server.control("fail=copy_out:1")
    assert site.tenant.follow(site.tenant.ok("POST cloudvm/backup/create", params).startid).result == "1"
    site.server.control("fail=backup_begin:0")
    site.server.control("fail=copy_out:0")
    site.goes_and_comes("backup.failed", site.vm, lambda: site.tenant.run("POST cloudvm/backup/create", params))


def test_an_undo_that_failed(site):
    site.tenant.run("PUT cloudvm/suspend", {"vm.id": site.vm})
    site.server.control("lose=disk_attach:1")
    startid = site.tenant.ok("POST cloudvm/vdisk/add", {"vdisk.vmid": site.vm, "vdisk.size": 1}).startid
    site.tenant.follow(startid)
    site.server.control("lose=disk_attach:0")
    row = site.goes_and_comes("undo.failed", site.vm,
                              lambda: site.tenant.run("PUT cloudvm/resume", {"vm.id": site.vm}))
    assert startid in row["alarm.content"]


def test_a_certificate_near_its_end(site):
    gateway = router(site.tenant, site.vpc)
    ip = site.tenant.show(site.vm)["vm.ip"]
    ending, key = certificate(days=5)
    slb = site.tenant.ok("POST cloudslb/add", {
        "slb.name": "shop", "slb.appid": site.tenant.id, "slb.protocal.type": "https", "slb.network.type": "inner",
        "slb.directip": ip.rsplit(".", 1)[0] + ".200", "slb.directport": 443, "slb.vmid": gateway,
        "slb.https.cert.text": ending, "slb.https.cert.key": key}).data["slb.id"]
    fresh, fresh_key = certificate()
    row = site.goes_and_comes("certificate.ending", slb, lambda: site.tenant.ok("PUT cloudslb/https/cert/conf", {
        "slb.id": slb, "slb.https.cert.text": fresh, "slb.https.cert.key": fresh_key}))
    assert row["alarm.obj.type"] == "slb" and row["alarm.objname"] == "shop"


def test_rules_that_do_not_get_into_force(site):
    def mend():
        site.books.switch("fail")
        site.admin.ok("PUT cloudnetwork/check")
    row = site.goes_and_comes("network.rules", site.nic, mend)
    assert (row["alarm.level"], row["alarm.obj.type"]) == ("high", "nic")


def test_the_servers_own_certificate(server, tmp_path):
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    key, "-out", cert, "-days", "5", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    one = server(options=["--tls-cert", cert, "--tls-key", key], tls=cert)
    (row,) = wait_until(lambda: search(one.admin, alarm_obj_type="server"), "it is raised")
    assert (row["alarm.type"], row["alarm.relieve.way"]) == ("certificate.ending", "none")
    assert "4" in row["alarm.content"], "days"
    one.stop()
    one.tls, one.options = None, []
    one.start()
    wait_until(lambda: alarms(one.admin, "certificate.ending", "auto"), "it is relieved")


# ------------------------------------------------------------------------------------------------ operations
def test_relieved_by_hand_is_not_raised_until_it_ended_once(site):
    vm = site.new_vm()
    site.server.control(f"crash={vm}")
    row = raised(site.tenant, "vm.crashed", vm)
    site.tenant.ok("PUT cloudalarm/relieve", {"alarm.id": row["alarm.id"]})
    site.tenant.ok("PUT cloudalarm/relieve", {"alarm.id": row["alarm.id"]})
    (after,) = search(site.tenant, alarm_objid=vm)
    assert after["alarm.relieve.way"] == "manual" and site.hook.hears("vm.crashed", "relieved", vm)
    for _ in range(2):
        site.tenant.run("PUT cloudvm/start", {"vm.id": vm})
        site.server.control(f"crash={vm}")
        raised(site.tenant, "vm.crashed", vm)
    ways = [r["alarm.relieve.way"] for r in search(site.tenant, alarm_objid=vm)]
    assert ways == ["none", "auto", "manual"], "the newest first"
    site.tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})


def test_filters_and_pages(site):
    every = search(site.admin)
    assert len(every) >= 3
    page = {"page.startnum": 1, "page.everypagenum": 2}
    first = site.admin.ok("POST cloudalarm/search", page)
    second = site.admin.ok("POST cloudalarm/search", {**page, "page.startnum": 2})
    assert first.data + second.data == every[:4] and first.count == len(every)
    assert [r for r in every if r["alarm.level"] == "high"] == search(site.admin, alarm_level="high")
    when = every[0]["alarm.create.time"]
    assert every[0] in search(site.admin, alarm_starttime=when, alarm_endtime=when)
    assert not search(site.admin, alarm_starttime="2001-01-01 00:00:00", alarm_endtime="2001-01-02 00:00:00")
    assert site.admin.refused("POST cloudalarm/search", {}, "PARAM_MISSING").field == "page.startnum"
    assert site.admin.refused("POST cloudalarm/search", {"isfindPage": "false"}, "PARAM_MISSING")
    assert site.admin.refused("POST cloudalarm/search", {"isfindPage": "true", "alarm.obj.type": "x"},
                              "PARAM_ENUM").field == "alarm.obj.type"


def test_thresholds(site):
    rows = {r["alarm.type"]: r for r in site.admin.ok("POST cloudalarm/threshold/search").data}
    assert set(rows) == {"vm.cpu", "vm.memory", "vm.disk", "host.cpu", "host.memory", "storage.full"}
    assert all(r["threshold.minutes"] == "5" and r["threshold.value"] == "90" for r in rows.values())
    modify = "PUT cloudalarm/threshold/modify"
    site.admin.ok(modify, {"alarm.type": "vm.disk", "threshold.value": 70, "threshold.minutes": 2, "alarm.level": "low"})
    (row,) = [r for r in site.admin.ok("POST cloudalarm/threshold/search").data if r["alarm.type"] == "vm.disk"]
    assert row == {"alarm.type": "vm.disk", "threshold.value": "70", "threshold.minutes": "2", "alarm.level": "low"}
    for params, code, field in (({"threshold.value": 101}, "PARAM_RANGE", "threshold.value"),
                                ({"threshold.value": 0}, "PARAM_RANGE", "threshold.value"),
                                ({"threshold.value": 5, "threshold.minutes": 1441}, "PARAM_RANGE", "threshold.minutes"),
                                ({"threshold.value": 5, "alarm.type": "vm.crashed"}, "PARAM_ENUM", "alarm.type")):
        assert site.admin.refused(modify, {"alarm.type": "vm.cpu", **params}, code).field == field
    site.tenant.refused(modify, {"alarm.type": "vm.cpu", "threshold.value": 50}, "ADMIN_ONLY")


def test_others_alarms_are_not_seen(site):
    other = site.admin.tenant()
    assert search(other) == [] and search(site.tenant) != []
    foreign = search(site.tenant)[0]["alarm.id"]
    other.refused("PUT cloudalarm/relieve", {"alarm.id": foreign}, "ALARM_NOT_FOUND")


def test_metrics(site):
    vm = site.new_vm()
    site.server.control(f"crash={vm}")
    name = 'starvirt_alarms_open{type="vm.crashed",level="high"}'
    wait_until(lambda: site.server.metrics().get(name, 0) >= 1, "it is counted")
    assert site.server.metrics()["starvirt_alarm_deliveries_sent_total"] > 0
    site.tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})


# ------------------------------------------------------------------------------------------------ web hooks
def crashed(server):
    """A tenant's VM that crashed: (tenant, VM)."""
    tenant = server.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=server.admin.model(size=1))
    server.control(f"crash={vm}")
    raised(tenant, "vm.crashed", vm)
    return tenant, vm


def failed(server):
    return server.metrics()["starvirt_alarm_deliveries_failed_total"]


def test_a_kill_loses_no_delivery_and_no_alarm(server, tmp_path):
    hook = Receiver()
    hook.answer = lambda handler: (503, {}, b"")
    one = server(connect="sim://?control=1", options=options(tmp_path, hook))
    tenant, vm = crashed(one)
    wait_until(lambda: hook.tries, "it was tried")
    one.kill()
    hook.answer = lambda handler: (200, {}, b"ok")
    one.start()
    told = hook.hears("vm.crashed", object=vm)
    assert len(set(hook.tries)) == 1 and hook.tries[0] == told["delivery"], "each try has the same id"
    assert len(alarms(tenant, "vm.crashed", "none", alarm_objid=vm)) == 1
    tenant.run("PUT cloudvm/start", {"vm.id": vm})
    hook.hears("vm.crashed", "relieved", vm)
    assert [m["event"] for m in hook.told] == ["raised", "relieved"] and hook.wrong == []
    assert "canary-of-the-url" not in one.log() and SECRET not in one.log()
    hook.close()


def test_a_dead_and_a_slow_one_delay_no_other(server, tmp_path):
    slow, good = Receiver(), Receiver()
    slow.answer = lambda handler: (time.sleep(20), (200, {}, b""))[1]
    one = server(connect="sim://?control=1", options=options(tmp_path, "http://127.0.0.1:9/", slow, good))
    begun = time.monotonic()
    tenant, vm = crashed(one)
    good.hears("vm.crashed", object=vm)
    tenant.run("PUT cloudvm/start", {"vm.id": vm})
    good.hears("vm.crashed", "relieved", vm)
    assert time.monotonic() - begun < 10
    one.stop()
    slow.close()
    good.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://[::ffff:127.0.0.1]:{port}/",
                                 "http://0x7f000001:{port}/", "http://0:{port}/"])
def test_a_private_address_is_refused(server, tmp_path, url):
    hook = Receiver()
    env = {"http_proxy": hook.url, "HTTP_PROXY": hook.url, "ALL_PROXY": hook.url}
    one = server(connect="sim://?control=1", env=env, options=options(tmp_path, url.format(port=hook.port), private=False))
    crashed(one)
    wait_until(lambda: failed(one) >= 1, "it failed")
    assert hook.tries == [] and "alarm.webhook.private is false" in one.log()
    hook.close()


def test_no_redirect_is_followed(server, tmp_path):
    hook, target = Receiver(), Receiver()
    hook.answer = lambda handler: (302, {"Location": target.url}, b"")
    one = server(connect="sim://?control=1", options=options(tmp_path, hook))
    crashed(one)
    wait_until(lambda: failed(one) >= 1, "it failed")
    assert target.tries == [] and hook.told == []
    hook.close()
    target.close()


def test_a_large_answer_is_not_read(server, tmp_path):
    hook = Receiver()
    hook.answer = lambda handler: (200, {}, bytes(8 << 20))
    one = server(connect="sim://?control=1", options=options(tmp_path, hook))
    tenant, vm = crashed(one)
    tenant.run("PUT cloudvm/start", {"vm.id": vm})
    hook.hears("vm.crashed", "relieved", vm)
    assert len(hook.tries) == 2, "taken at once"
    hook.close()


def refused_start(tmp_path, *given):
    done = subprocess.run([DAEMON, "--data", str(tmp_path / "data"), "--connect", "sim://", "--listen", "127.0.0.1:0", *given],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    return done.stderr


def test_options_that_are_wrong(tmp_path):
    url = "http://192.0.2.1/x"
    good = options(tmp_path, url)
    assert "needs alarm.webhook.secret" in refused_start(tmp_path, "--alarm.webhook", url)
    for bad in ("ftp://x/", "file:///etc/passwd", "x", "http://", "gopher://x/"):
        assert "number 1 is no URL of http or https" in refused_start(tmp_path, *options(tmp_path, bad))
    assert "given twice" in refused_start(tmp_path, *options(tmp_path, url, url))
    secret = tmp_path / "hook.secret"
    secret.chmod(0o644)
    assert "can be read by others" in refused_start(tmp_path, *good)
    secret.chmod(0o600)
    secret.write_text("short")
    assert "at least 16 bytes" in refused_start(tmp_path, *good)
