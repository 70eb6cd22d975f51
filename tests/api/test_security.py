"""Secrets, side ports, guessing, and names that would be commands, lines or paths elsewhere (threats 6, 11-17,
22-24, 28, 34). Images are in test_templates.py, tenants in test_isolation.py, HTTP in test_http.py."""
import concurrent.futures
import http.client
import json
import os
import re
import secrets
import time

import pytest
from starvirt import BASE, Client, cli, files_below, unique, wait_until

CREATE = "POST cloudvm/create"


def files_with(folder, words):
    """(file, word) of every file below the folder, and in the path of it."""
    found = []
    for path in files_below(folder):
        with open(path, "rb") as f:
            data = f.read()
        found += [(path, word) for word in words
                  if any(form in data
                         for form in (word.encode(), word.encode("utf-16-le"), word.encode().hex().encode()))]
        found += [(path, word) for word in words if word in path]
    return found


# ---------------------------------------------------------------------------------------------------- secrets
def canary():
    return "cn" + secrets.token_hex(3)  # the eight characters that VNC allows


def test_no_secret_is_in_any_file_or_line(server):
    """Planted in every place that takes one, through success, failure, crash and restart (threat 23)."""
    one = server(connect="sim://?control=1", options=["--log.level", "debug"])
    admin, tenant = one.admin, one.admin.tenant()
    vpc, model = tenant.vpc(), admin.model(size=1)
    params = {"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.vcpu.num": 1, "vm.memory.mem": 64}
    planted, replies = [], []

    def plant(key="vm.vncpasswd", **more):
        planted.append(canary())
        replies.append(tenant.call(CREATE, {**params, key: planted[-1], **more},
                                   headers={"Idempotency-Key": unique("key")}))
        return replies[-1]

    kept = plant().data[0]
    tenant.done(kept["jobstartid"])
    plant(**{"vm.vcpu.num": 0})
    plant("vm.account.pwd")
    plant("unknown.password")
    plant("vm.hyperv.enable")
    plant("vm.num")
    one.control("fail=define:1")
    failed = plant().data[0]
    assert tenant.follow(failed["jobstartid"]).result == "1"
    one.control("fail=define:0")
    one.control("delay=3s")
    crashing = plant().data[0]
    tenant.wait_line(crashing["jobstartid"], "prepare disks")
    one.kill()
    one.start()
    tenant.done(crashing["jobstartid"])
    tokens = [tenant.token, admin.ok("POST cloudTenant/token/create", {"app.id": tenant.id}).data["token.value"]]
    tenant.call("GET events", headers={"KEY_TOKEN": "x" + tenant.token})
    tenant.request("GET", f"/starvcenter/services/cloudresource/events?KEY_TOKEN={tenant.token}", None,
                   tenant.headers())
    for op in ("POST joblog/search", "GET events", "POST cloudvm/search"):
        replies.append(admin.ok(op))
    replies.append(admin.ok("POST cloudTenant/token/search"))
    texts = [json.dumps(reply.body) for reply in replies] + [one.log(), json.dumps(one.metrics())]
    texts += [open(f"/proc/{one.process.pid}/{name}", errors="replace").read() for name in ("cmdline", "environ")]
    for row in (kept, failed, crashing):
        for job in admin.ok("POST joblog/search", {"job.objid": row["vm.id"]}).data:
            texts += admin.follow(job["startid"]).lines
    for word in planted + tokens + [admin.token]:
        assert not any(word in text for text in texts), word
    assert "event=request" in one.log(), "the log was looked at"
    one.stop()
    found = files_with(one.data, planted + tokens + [admin.token])
    assert found == [(os.path.join(one.data, "admin.token"), admin.token)]


def test_a_secret_goes_with_its_vm(server):
    one = server()
    tenant = one.admin.tenant()
    vm = tenant.vm(**{"vnic.portgroupid": tenant.vpc(), "vm.tenant.model": one.admin.model(), "vm.vncpasswd": canary()})
    assert one.secrets() == [vm]
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    assert one.secrets() == []


def test_no_core_file_is_written(cloud):
    """It would hold all secrets."""
    limits = open(f"/proc/{cloud.process.pid}/limits").read()
    assert re.search(r"Max core file size\s+0\s", limits)


def test_a_token_is_not_made_of_the_time(admin):
    made = [admin.ok("POST cloudTenant/create", {"app.name": unique("t")}).data["app.token"] for _ in range(8)]
    assert len({token[i:i + 8] for token in made for i in range(0, 64, 8)}) == 64, "no part of one is in another"


# -------------------------------------------------------------------------------------------------- side ports
PROXIED = [{}, {"X-Forwarded-For": "203.0.113.9"}, {"Forwarded": "for=127.0.0.1"}, {"Via": "1.1 proxy"},
           {"Host": "127.0.0.1:18081"}, {"Host": "localhost"}, {"X-Real-IP": "127.0.0.1"}]


@pytest.mark.parametrize("headers", PROXIED, ids=repr)
def test_metrics_are_for_admins(admin, tenant, headers):
    """A proxy on this machine need not say that it is one: who connects counts for nothing."""
    assert admin.request("GET", "/metrics", None, headers).status == 403
    reply = admin.request("GET", "/metrics", None, {**headers, "KEY_TOKEN": tenant.token})
    assert (reply.status, reply.code) == (403, "ADMIN_ONLY")
    reply = admin.request("GET", "/metrics", None, {**headers, "KEY_TOKEN": "0" * 64})
    assert (reply.status, reply.code) == (403, "TOKEN_INVALID")
    for name, value in (("KEY_TOKEN", ""), ("KEY-TOKEN", ""), ("Authorization", "bearer "), ("X-Auth-Token", "")):
        assert admin.request("GET", "/metrics", None, {**headers, name: value + admin.token}).status == 200, name
    assert admin.request("GET", "/healthz", None, headers).status == 200


def test_metrics_for_everybody_where_that_is_asked_for(server):
    one = server(options=["--metrics.public"])
    assert one.admin.request("GET", "/metrics", None, PROXIED[0]).status == 200


def test_metrics_on_a_listener_of_their_own(server):
    one = server(options=["--metrics.listen", "127.0.0.1:0"])
    place = next(line for line in one.said if "metrics on" in line).split()[-1]
    host, port = place.split(":")

    def get(path, method="GET", token=None):
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        connection.request(method, path, headers={"KEY_TOKEN": token} if token else {})
        reply = connection.getresponse()
        text = reply.read()
        connection.close()
        return reply.status, text

    assert get("/metrics")[0] == 200 and b"starvirt_hosts" in get("/metrics")[1]
    assert get("/healthz") == (200, b"ok")
    for path in ("/", "/openapi.json", "/starvcenter/services", BASE + "cloudvm/model", "/console/"):
        assert get(path, token=one.admin.token)[0] == 404, path
    assert get(BASE + "cloudvm/search", "POST", one.admin.token)[0] == 404
    assert one.admin.request("GET", "/metrics").status == 403, "the main one as ever"


def test_metrics_are_well_formed_and_name_nobody(cloud, admin, model):
    tenant = admin.tenant(unique("named-in-metrics"))
    vm = tenant.vm(**{"vnic.portgroupid": tenant.vpc(), "vm.tenant.model": model, "vm.name": "vm-named-in-metrics"})
    text = admin.request("GET", "/metrics", headers={"KEY_TOKEN": admin.token}).raw.decode()
    for word in (tenant.name, tenant.id, tenant.token, vm, "vm-named-in-metrics", cloud.data):
        assert word not in text
    told = {}
    for line in text.splitlines():
        if line.startswith("# "):
            _, what, name, rest = line.split(" ", 3)
            assert what in ("HELP", "TYPE") and (what, name) not in told
            told[what, name] = rest
            continue
        match = re.fullmatch(r'([a-z_]+)(\{(?:[a-z]+="[^"\\]*",?)*\})? (-?[0-9.e+]+)', line)
        assert match, line
        base = re.sub(r"_(bucket|sum|count)$", "", match.group(1))
        assert ("TYPE", match.group(1)) in told or ("TYPE", base) in told, line
    wait_until(lambda: cloud.metrics().get('starvirt_jobs_ended_total{kind="vm.install",result="0"}', 0) >= 1,
               "it counts")
    assert cloud.metrics()['starvirt_requests_total{method="POST",route="cloudvm/create",outcome="ok"}'] >= 1


def test_the_first_page_is_safe_to_look_at(admin):
    reply = admin.request("GET", "/starvcenter/services")
    assert reply.headers["X-Frame-Options"] == "DENY" and reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "'none'" in reply.headers["Content-Security-Policy"] and reply.headers["Cache-Control"] == "no-store"
    one, other = (admin.request("GET", "/healthz").headers["X-Request-Id"] for _ in range(2))
    assert one and one != other


# --------------------------------------------------------------------------------------------------- guessing
def test_guessing_tokens_is_slowed_down(server):
    one = server()
    guess = Client(one, "0" * 64)
    for i in range(20):
        reply = guess.call("GET cloudvm/model", token=f"{i:064x}")
        assert (reply.status, reply.code) == (200, "TOKEN_INVALID"), i
    reply = guess.call("GET cloudvm/model")
    assert (reply.status, reply.code) == (429, "TOO_MANY_REQUESTS") and int(reply.headers["Retry-After"]) >= 1
    assert reply.body["error"]["retry"] == "safe"
    assert re.search(r'level=warn .*event=tokens\.wrong .*client="127\.0\.0\.1"', one.log())
    assert guess.request("GET", "/healthz").status == 200
    assert guess.call("GET cloudvm/model", token="").code == "TOKEN_MISSING"
    assert guess.call("GET cloudvm/model", token=one.admin.token).ok, "nobody else waits for that"
    wait_until(lambda: guess.call("GET cloudvm/model").code == "TOKEN_INVALID", "the wait is over", 10)
    assert guess.call("GET cloudvm/model").status == 429, "a good token starts nobody anew"


def test_good_tokens_never_wait(server):
    """Whoever else at their address sends wrong ones, however many."""
    one = server()
    tenant, guess = one.admin.tenant(), Client(one)
    for i in range(60):
        wrong = guess.call("GET cloudvm/model", token=f"{i:064x}")
        assert wrong.code == ("TOKEN_INVALID" if i < 20 else "TOO_MANY_REQUESTS"), i
        assert tenant.call("GET cloudvm/model").ok and guess.call("GET cloudvm/model", token=one.admin.token).ok
        assert guess.request("GET", "/metrics", headers={"KEY_TOKEN": one.admin.token}).status == 200
    assert tenant.vpc() and one.admin.tenant()


def test_the_wait_grows(server):
    one = server()
    guess = Client(one, "0" * 64)
    waits = []
    for _ in range(2):
        wait_until(lambda: guess.call("GET cloudvm/model").status == 429, "it is slowed down", 20)
        waits.append(int(guess.call("GET cloudvm/model").headers["Retry-After"]))
        wait_until(lambda: guess.call("GET cloudvm/model").status == 200, "it may try again", 20)
    assert waits == [1, 2]


@pytest.mark.race
def test_guessing_from_many_connections_is_guessing_from_one_address(server):
    one = server()

    def guess(i):
        return Client(one, f"{i:064x}").call("GET cloudvm/model").status

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = list(pool.map(guess, range(200)))
    assert 20 <= found.count(200) <= 20 + 16 and found.count(429) == 200 - found.count(200)


# ------------------------------------------------------------------------------------------- names and injection
EVIL = ["; rm -rf /", "$(id)", "`id`", "| cat /etc/passwd", "--help", "-o", "../../../etc/passwd", "a/b", "..",
        "%s%n%x", "' OR '1'='1", "'; DROP TABLE vm; --", "<script>alert(1)</script>", "]]></name><x/>", "&lt;",
        "\\u0000",
        "{{7*7}}", "${jndi:ldap://x}",
        "\u202e\u2066", "\ufeff", "a=b", "#", "🙂", "é", "ﷺ", "CON", "nul", "\\", '"', "x" * 128]


@pytest.mark.parametrize("name", EVIL, ids=ascii)
def test_a_name_is_only_a_name(cloud, tenant, model, name):
    before = set(os.listdir(cloud.data))
    vpc = tenant.vpc(name, **{"vpc.desc": name})
    vm = tenant.vm(**{"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.name": name})
    tenant.ok("PUT cloudvm/modify", {"vm.id": vm, "vm.desc": name})
    row = tenant.show(vm)
    assert (row["vm.name"], row["vm.desc"]) == (name, name)
    assert [r["vpc.name"] for r in tenant.ok("POST cloudnetwork/vpc/search").data] == [name]
    assert tenant.ok("POST cloudvm/search", {"vm.name": name}).count == 1
    upload = tenant.ok("POST cloudtemplate/upload", query={"name": name, "format": "raw"}, body=bytes(1 << 20),
                       type="application/octet-stream")
    assert tenant.done(upload.startid)["job.objname"] == name
    events = [e["event.content"] for e in tenant.events()]
    assert name in events
    assert set(os.listdir(cloud.data)) == before, "no file is named after it"
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})


def test_lines_and_keys_do_not_forge_the_log(cloud, tenant):
    """The harness would find a line that is none, or one of an error."""
    forged = "x\nts=1 level=error event=forged"
    tenant.vpc(**{"vpc.desc": forged})
    tenant.ok("POST cloudvm/search", {forged: 1, "a\" level=error x=\"": 2, "tab\t\x1b[31m": 3})
    tenant.request("GET", "/starvcenter/services/cloudresource/%0ats=1%20level=error", None, tenant.headers())
    tenant.call("POST cloudvm/search", headers={"Accept-Language": "en\x1b[31m", "Content-Type": "x\x7f"}, body=b"x")
    log = cloud.log()
    assert "\nts=1 " not in log and "\x1b" not in log and 'level=error x=""' not in log


@pytest.mark.parametrize("op,key", [("POST cloudvm/search", "vm.name"), ("POST cloudvm/search", "vm.id"),
                                    ("POST cloudvm/search", "vm.ip"),
                                    ("POST joblog/search", "job.objid"),
                                    ("POST cloudtemplate/search", "template.name")])
def test_searches_do_not_take_sql(tenant, op, key):
    for text in ("' OR 1=1 --", "%' OR '%'='", "\\' OR 1=1 --", "x') UNION SELECT hash FROM token --", '" OR ""="'):
        reply = tenant.call(op, {key: text})
        assert reply.ok and reply.count == 0


def test_the_command_line_shows_names_without_obeying_them(cloud, tenant, model):
    vpc = tenant.vpc("\u009b31m evil \u202e")
    tenant.vm(**{"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.name": "tab\u0080here"})
    shown = "".join(cli(what, "list", server=cloud, token=tenant.token).stdout for what in ("vm", "vpc"))
    assert "evil" in shown and "here" in shown
    assert not any(ord(char) < 32 and char != "\n" or 0x7f <= ord(char) < 0xa0 for char in shown)


def test_the_command_line_takes_its_token_from_where_nobody_looks(cloud, tmp_path):
    """A token in the argument list can be seen by all; from a file or the environment it works as well."""
    path = tmp_path / "token"
    path.write_text(cloud.admin.token + "\n")
    found = cli("tenant", "list", "--token-file", str(path), server=cloud, env={"STARVIRT_TOKEN": ""})
    assert found.returncode == 0 and "admin" in found.stdout
