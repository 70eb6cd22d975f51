"""The command line: every command against a server, its exit codes, settings, completion, fsck."""
import contextlib
import http.server
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import threading

import pytest
from outside import fresh_net, router
from starvirt import BASE, CLI, DAEMON, cli, dump_routes, encode, op_name, unique, wait_until

SERVED = {op_name(route): route for route in dump_routes() if route["served"]}


@pytest.fixture
def run(cloud, tenant):
    """run("vm", "list"): as the tenant; fails loudly where success was meant."""
    def found(*argv, code=0, **how):
        how.setdefault("token", tenant.token)
        result = cli(*argv, server=cloud, **how)
        assert result.returncode == code, f"{argv}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result
    return found


def as_json(result):
    return json.loads(result.stdout)


# --------------------------------------------------------------------------------------------------- commands
def test_a_walk_through_the_life_of_a_vm(run, cloud, admin, model):
    vpc = as_json(run("vpc", "create", "net", "--json"))["data"]["vpc.id"]
    assert vpc in run("vpc", "list").stdout
    run("vpc", "modify", vpc, "vpc.name=other", "vpc.desc=two words")
    made = as_json(run("vm", "create", f"vnic.portgroupid={vpc}", "vm.vcpu.num=1", "vm.memory.mem=64",
                       f"vm.tenant.model={model}", "vm.name=web", "vm.num=2", "--json"))["data"]
    assert [row["vm.name"] for row in made] == ["web-1", "web-2"]
    vm = made[0]["vm.id"]
    followed = run("jobs", "follow", made[0]["jobstartid"])
    assert "start the VM: done" in followed.stdout and followed.stdout.endswith(f"{made[0]['jobstartid']}: done\n")
    run("jobs", "follow", made[1]["jobstartid"])
    table = run("vm", "list").stdout.splitlines()
    assert table[0].split()[:3] == ["vm.id", "vm.name", "vm.state"] and len(table) == 3
    assert table[1].split()[:3] == [vm, "web-1", "1"]
    assert re.search(r"^vm\.name +web-1$", run("vm", "show", vm).stdout, re.M)
    for words, state in ((["suspend"], "2"), (["resume"], "1"), (["restart"], "1"), (["shutdown"], "0"),
                         (["start"], "1"),
                         (["cpu", "2"], "1"), (["memory", "96"], "1"), (["destroy"], "0")):
        result = run("vm", words[0], vm, *words[1:], "--wait")
        assert "startid" in result.stdout and ": done" in result.stdout
        assert as_json(run("vm", "show", vm, "--json"))["data"]["vm.state"] == state
    run("vm", "modify", vm, "vm.name=renamed")
    assert "renamed" in run("vm", "list", "vm.name=REN").stdout
    assert "startid" in run("jobs", "list").stdout and "restart VM" in run("jobs", "list").stdout
    assert "vm.create" in run("events", "list").stdout
    assert "1 of 2" in run("vm", "list", "page.everypagenum=1").stderr
    for row in made:
        run("vm", "delete", row["vm.id"], "--wait")
    run("vpc", "delete", vpc)
    assert run("vm", "list", "--json").stdout == '{"result":"0","data":[],"dataCount":0}\n'


def test_pools_and_mappings(run, admin, model):
    who = admin.tenant()
    own = lambda *argv, **how: run(*argv, token=who.token, **how)  # noqa: E731
    pools = lambda *argv, **how: run("ippool", *argv, token=admin.token, **how)  # noqa: E731
    net = fresh_net()
    made = [as_json(pools("add", kind, f"{net}.{first}", f"{net}.{first}", f"{net}.1", "255.255.255.0",
                          "--json"))["data"]["pool.id"] for kind, first in (("outer", 10), ("share", 20))]
    assert all(found in pools("list").stdout for found in made)
    vpc = who.vpc()
    vm = who.vm(vnic_portgroupid=vpc, vm_tenant_model=model)
    gateway = router(who, vpc)
    assert f"{net}.20" in own("mapping", "ip", vm, f"vm.outer.ipaddress={net}.20").stdout
    nat = as_json(own("mapping", "port", "both", f"{net}.10", "8080", who.show(vm)["vm.ip"], "80",
                      "--json"))["data"]["nat.id"]
    assert re.search(rf"{net}\.10 +8080", own("mapping", "choices").stdout)
    assert "POOL_IN_USE" in pools("delete", made[0], code=1).stderr
    own("mapping", "delete", nat)
    (left,) = as_json(own("mapping", "list", "--json"))["data"]
    own("mapping", "delete", left["nat_id"])
    who.run("DELETE vroute/{vmId}", {"vmId": gateway})
    for found in made:
        pools("delete", found)


def test_tenants_and_tokens(run, admin, cloud):
    name = unique("cli-中文")
    admin_run = lambda *argv, **how: run(*argv, token=admin.token, **how)  # noqa: E731
    made = as_json(admin_run("tenant", "create", name, "app.cpu.quota=4", "--json"))["data"]
    tenant = made["app.id"]
    assert re.search(r"^app\.token +[0-9a-f]{64}$", admin_run("tenant", "create", unique("cli")).stdout, re.M)
    assert name in admin_run("tenant", "list").stdout
    admin_run("tenant", "modify", tenant, "app.desc=d")
    admin_run("tenant", "quota", tenant, "cpu=2", "memory=1024", "storage=10", "ip=-1", "vpc=1")
    usage = admin_run("tenant", "usage", tenant).stdout
    assert re.search(r"^countCpu +2$", usage, re.M) and re.search(r"^outerIpSize +-1$", usage, re.M)
    token = as_json(admin_run("token", "create", tenant, "token.desc=ci", "--json"))["data"]
    assert "ci" in admin_run("token", "list",
                             tenant).stdout and token["token.value"] not in admin_run("token", "list").stdout
    assert run("vpc", "list", token=token["token.value"]).returncode == 0
    admin_run("token", "revoke", token["token.id"])
    assert "TOKEN_INVALID" in run("vpc", "list", token=token["token.value"], code=1).stderr
    admin_run("tenant", "delete", tenant)
    run("vpc", "list")  # a good token: this address is no guesser's


def test_templates_and_models(run, cloud, admin, raw_image, tmp_path):
    admin_run = lambda *argv, **how: run(*argv, token=admin.token, **how)  # noqa: E731
    imported = admin_run("template", "import", "by path", raw_image, "template.format=raw", "--wait")
    assert "import the image: done" in imported.stdout
    uploaded = as_json(run("template", "upload", raw_image, "by upload", "format=raw", "--json"))
    run("jobs", "follow", uploaded["startid"])
    assert not [name for name in os.listdir(os.path.join(cloud.data, "upload")) if name.startswith(".part-")]
    shown = run("template", "list").stdout
    assert "by upload" in shown and "ready" in shown
    type, value = unique("cli-type"), unique("cli-model")
    admin_run("model", "add", "tenant_type", "A type", type)
    entry = as_json(admin_run("model", "add", type, "A model", value, "--json"))["data"][0]
    template = as_json(admin_run("template", "list", "template.name=by path", "--json"))["data"][0]["template.id"]
    admin_run("model", "bind", value, f"vm.template.id={template}", "vm.sysdisk.size=2")
    assert "TEMPLATE_IN_USE" in admin_run("template", "delete", template, code=1).stderr
    assert type in run("model", "list").stdout
    admin_run("model", "delete", entry["id"])
    admin_run("template", "delete", template, "--wait")
    run("template", "delete", uploaded["data"]["template.id"], "--wait")
    missing = run("template", "upload", str(tmp_path / "nothing"), "x", code=1)
    assert "nothing" in missing.stderr


def test_an_upload_says_how_far_it_is(cloud, tenant, tmp_path):
    """On a terminal, and only there; every percent once, to the end."""
    path = tmp_path / "image"
    path.write_bytes(bytes(8 << 20))
    ours, theirs = pty.openpty()
    env = {"PATH": os.environ["PATH"], "STARVIRT_SERVER": "http://%s:%d" % cloud.address, "STARVIRT_TOKEN": tenant.token}
    argv = [CLI, "template", "upload", str(path), "with a bar", "format=raw"]
    process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    text = b""
    with contextlib.suppress(OSError):  # a terminal that nobody has any more
        while part := os.read(ours, 4096):
            text += part
    os.close(ours)
    out, _ = process.communicate()
    assert process.returncode == 0, text
    shown = [int(number) for number in re.findall(rb"\] +(\d+)% ", text)]
    assert shown == sorted(set(shown)) and shown[-1] == 100 and b"image" in text
    assert b"%" not in out
    silent = subprocess.run(argv, env=env, capture_output=True, check=True)
    assert silent.stderr == b""


def test_what_no_row_knows_is_told(run):
    """The command's own rows know it first; a server of other rows says it in its reply."""
    assert "vpc.nmae" in run("call", "POST", "cloudnetwork/vpc/create", "vpc.nmae=x", code=2).stderr

    class Other(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = encode({"result": "0", "data": {"vpc.id": "v"}, "warning": "ignored: vpc.desc\x1b[2J"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
        thread = threading.Thread(target=other.handle_request)
        thread.start()
        result = run("vpc", "create", "net", env={"STARVIRT_SERVER": "http://127.0.0.1:%d" % other.server_port})
        thread.join()
    assert result.stderr == "starvirt: ignored: vpc.desc?[2J\n" and "ignored" not in result.stdout


def test_an_upload_that_is_refused_while_it_comes(server, tmp_path):
    """What the server said is told, however much was still to be sent."""
    one = server()
    tenant, fifo = one.admin.tenant(), str(tmp_path / "image")
    os.mkfifo(fifo)
    env = {"PATH": os.environ["PATH"], "STARVIRT_SERVER": "http://%s:%d" % one.address, "STARVIRT_TOKEN": tenant.token}
    process = subprocess.Popen([CLI, "template", "upload", fifo, "x"], env=env, stderr=subprocess.PIPE, text=True)
    with open(fifo, "wb") as f, contextlib.suppress(BrokenPipeError):
        f.write(bytes(2 << 20))
        f.flush()
        wait_until(lambda: os.listdir(os.path.join(one.data, "upload")), "it began")
        token = one.admin.ok("POST cloudTenant/token/search", {"app.id": tenant.id}).data[0]["token.id"]
        one.admin.ok("DELETE cloudTenant/token/{tokenId}", {"tokenId": token})
        wait_until(lambda: not os.listdir(os.path.join(one.data, "upload")), "it ended")
        f.write(bytes(4 << 20))
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and "TOKEN_INVALID" in err


def test_call_does_every_operation(run, tenant, tmp_path):
    vpc = tenant.vpc()
    assert vpc in run("call", "cloudnetwork/vpc/search").stdout
    assert vpc in run("call", "POST", "cloudnetwork/vpc/search", "page.startnum=1", "page.everypagenum=30").stdout
    note = tmp_path / "note"
    note.write_text("from a file\nof two lines")
    run("call", "cloudnetwork/vpc/modify", f"vpc.id={vpc}", f"vpc.desc=@{note}")
    assert tenant.ok("POST cloudnetwork/vpc/search").data[0]["vpc.desc"] == "from a file\nof two lines"
    run("call", "cloudnetwork/vpc/modify", f"vpc.id={vpc}", "vpc.desc=@-", input="from stdin")
    assert tenant.ok("POST cloudnetwork/vpc/search").data[0]["vpc.desc"] == "from stdin"
    run("call", "cloudnetwork/vpc/modify", f"vpc.id={vpc}", "vpc.name=a=b&c+d 名")
    assert tenant.ok("POST cloudnetwork/vpc/search").data[0]["vpc.name"] == "a=b&c+d 名"
    assert "VM_NOT_FOUND" in run("call", "GET", "cloudvm/{vmId}", "vmId=x", code=1).stderr
    assert "since" in run("help", "events").stdout
    for op in SERVED:
        method, path = op.split(" ")
        shown = run("help", "call", method, path).stdout
        assert shown.startswith(f"{method} {path}"), op


def test_operations_are_listed(run):
    everything = run("operations").stdout.splitlines()
    assert len(everything) == len(dump_routes()) + len(dump_routes("kvm-platform"))
    assert all("vpc" in line for line in run("operations", "vpc").stdout.splitlines())


def test_an_idempotency_key(run, tenant):
    first = run("vpc", "create", "once", "--idempotency-key", "k", "--json").stdout
    assert run("vpc", "create", "once", "--idempotency-key", "k", "--json").stdout == first
    assert tenant.ok("POST cloudnetwork/vpc/search").count == 1
    assert "IDEMPOTENCY_MISMATCH" in run("vpc", "create", "twice", "--idempotency-key", "k", code=1).stderr


# ------------------------------------------------------------------------------------------ failures, exit codes
@pytest.mark.parametrize("argv", [
    [], ["nonsense"], ["vm"], ["vm", "nonsense"], ["vm", "show"], ["call"], ["call", "nonsense"],
    ["call", "cloudvm/start", "stray"],
    ["call", "BREW", "cloudvm/start"], ["jobs", "follow"], ["--nonsense"], ["vm", "list", "--token"],
    ["vm", "list", "--json=1"],
    ["completion", "fish"], ["fsck"], ["vm", "show", "a", "b"],
    ["call", "cloudvm/start", "nokey=1"],
], ids=" ".join)
def test_wrong_use_is_2(run, argv):
    result = run(*argv, code=2)
    assert result.stdout == "" or argv in ([], ["vm"], ["vm", "nonsense"])


@pytest.mark.parametrize("argv, says", [
    ((), "no command"), (("fly",), "fly"), (("vm", "start"), "usage"), (("call", "no/such"), "no operation"),
    (("call", "cloudvm/{vmId}"), "several operations"), (("vm", "list", "color=red"), "vm.name"),
    (("vm", "list", "vm.name"), "key=value"), (("vm", "list", "vm.name=a", "vm.name=b"), "twice"),
    (("--shout", "vm", "list"), "--shout"), (("vm", "list", "--server"), "needs a value"),
    (("vm", "modify", "x", "vm.name=@/no/such/file"), "No such file"), (("fsck",), "--data"),
], ids=lambda words: " ".join(words) if isinstance(words, tuple) else None)
def test_wrong_use_is_told_what_was_wrong(run, argv, says):
    assert says in run(*argv, code=2).stderr


def test_refusals_are_1_and_name_the_error(run):
    result = run("vm", "show", "x", code=1)
    assert result.stderr == "starvirt: VM_NOT_FOUND: no such VM: vmId=x\n" and result.stdout == ""
    refused = run("vm", "show", "x", "--json", code=1)
    assert as_json(refused)["error"]["code"] == "VM_NOT_FOUND"
    assert "TOKEN_INVALID" in run("vm", "list", token="ff" * 32, code=1).stderr
    run("jobs", "follow", "no-such-job", code=1)


def test_languages(run):
    assert "云主机不存在" in run("vm", "show", "x", "--lang", "zh", code=1).stderr
    assert "no such VM" in run("vm", "show", "x", "--lang", "en", code=1, env={"LC_ALL": "zh_CN.UTF-8"}).stderr
    assert "云主机不存在" in run("vm", "show", "x", code=1, env={"LC_ALL": "zh_CN.UTF-8"}).stderr


def test_a_job_that_fails_is_1(server):
    one = server(connect="sim://?control=1")
    tenant = one.admin.tenant()
    vpc, model = tenant.vpc(), one.admin.model()
    one.control("fail=start:1")
    result = cli("vm", "create", f"vnic.portgroupid={vpc}", "vm.vcpu.num=1", "vm.memory.mem=64",
                 f"vm.tenant.model={model}",
                 "--wait", server=one, token=tenant.token)
    assert result.returncode == 1 and "failed: hypervisor error: simulated fault in start" in result.stderr
    assert "undoing: start the VM" in result.stdout


def test_nobody_is_there(tmp_path):
    result = cli("vm", "list", env={"STARVIRT_SERVER": "http://127.0.0.1:1", "STARVIRT_TOKEN": "x"})
    assert result.returncode == 1 and result.stderr.startswith("starvirt: ")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                                    b"HTTP/1.1 502 Bad\r\n\r\n<html>\x1b[31m",
                                    b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ne30=e30=", b"garbage\r\n\r\n", b""])
def test_somebody_else_is_there(answer):
    import socket
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(answer)
        thread = threading.Thread(target=serve)
        thread.start()
        result = cli("vm", "list", env={"STARVIRT_SERVER": "http://127.0.0.1:%d" % listener.getsockname()[1],
                                        "STARVIRT_TOKEN": "x"})
        thread.join()
    assert result.returncode == 1 and result.stdout == "" and "\x1b" not in result.stderr and result.stderr


def test_follow_survives_a_restart_of_the_server(server, tmp_path):
    one = server(connect="sim://?control=1", listen="127.0.0.1:0")
    one.stop()
    one.listen = "127.0.0.1:%d" % one.address[1]  # the same address again
    one.start()
    tenant = one.admin.tenant()
    vpc, model = tenant.vpc(), one.admin.model()
    one.control("hang=1")
    row = tenant.create(vnic_portgroupid=vpc, vm_tenant_model=model).data[0]
    tenant.wait_line(row["jobstartid"], "prepare disks")
    env = {**os.environ, "STARVIRT_SERVER": "http://%s:%d" % one.address, "STARVIRT_TOKEN": tenant.token,
           "LC_ALL": "C.UTF-8"}
    follower = subprocess.Popen([CLI, "jobs", "follow", row["jobstartid"]], env=env, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
    assert "accepted" in follower.stdout.readline()
    one.kill()
    one.start()
    out, err = follower.communicate(timeout=60)
    assert follower.returncode == 0 and "resumed at step" in out and out.endswith(": done\n"), err


def test_follow_can_be_interrupted(server):
    one = server(connect="sim://?control=1")
    tenant = one.admin.tenant()
    vpc, model = tenant.vpc(), one.admin.model()
    one.control("hang=1")
    row = tenant.create(vnic_portgroupid=vpc, vm_tenant_model=model).data[0]
    env = {**os.environ, "STARVIRT_SERVER": "http://%s:%d" % one.address, "STARVIRT_TOKEN": tenant.token}
    follower = subprocess.Popen([CLI, "jobs", "follow", row["jobstartid"]], env=env, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True,
                                # a shell's background job inherits that it ignores interrupts
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    assert follower.wait(20) != 0
    follower.communicate()
    one.control("hang=0")
    tenant.done(row["jobstartid"])


# ---------------------------------------------------------------------------------------------------- settings
def configured(tmp_path, text):
    folder = tmp_path / "starvirt"
    folder.mkdir()
    (folder / "config").write_text(text)
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def test_settings_from_a_file(cloud, tenant, tmp_path):
    token = tmp_path / "token"
    token.write_text(tenant.token + "\n")
    server = "http://%s:%d" % cloud.address
    env = configured(tmp_path, f"# mine\nserver = {server}\ntoken-file = {token}\njson = true\nlang = zh\n")
    result = cli("vpc", "list", env=env)
    assert result.returncode == 0 and as_json(result)["dataCount"] == 0
    assert "云主机不存在" in cli("vm", "show", "x", env=env).stdout + cli("vm", "show", "x", env=env).stderr


def test_what_is_nearer_wins(cloud, admin, tenant, tmp_path):
    env = configured(tmp_path, "server = http://127.0.0.1:1\ntoken = nonsense\n")
    env["STARVIRT_SERVER"] = "http://%s:%d" % cloud.address
    env["STARVIRT_TOKEN"] = tenant.token
    assert "ADMIN_ONLY" in cli("tenant", "list", env=env).stderr
    assert cli("tenant", "list", "--token", admin.token, env=env).returncode == 0
    env["STARVIRT_TOKEN_FILE"] = os.path.join(cloud.data, "admin.token")
    del env["STARVIRT_TOKEN"]
    assert cli("tenant", "list", env=env).returncode == 0
    assert cli("--server", "http://127.0.0.1:1", "tenant", "list", env=env).returncode == 1


@pytest.mark.parametrize("text", ["nonsense = 1\n", "server\n", "idempotency-key = x\n"])
def test_bad_settings_are_2(tmp_path, text):
    result = cli("vm", "list", env=configured(tmp_path, text))
    assert result.returncode == 2 and "config:1:" in result.stderr


# -------------------------------------------------------------------------------------------------- completion
def completed(*words):
    """What the shell would offer for the last word."""
    line = "starvirt " + " ".join(words)
    script = (f'source <("{CLI}" completion bash)\nstarvirt() {{ "{CLI}" "$@"; }}\n'
              f"COMP_LINE={json.dumps(line)} COMP_POINT={len(line)}\n_starvirt\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n")
    found = subprocess.run(["bash", "--norc", "-euo", "pipefail", "-c", "set +e; compopt() { :; }\n" + script],
                           capture_output=True, text=True,
                           timeout=30, env={"PATH": os.environ["PATH"]})
    assert found.stderr == "" and found.returncode == 0, found.stderr
    return found.stdout.split()


def test_completion():
    assert {"vm", "vpc", "tenant", "call", "completion"} <= set(completed(""))
    assert completed("te") == ["tenant", "template"] or completed("te") == ["template", "tenant"]
    assert {"create", "start", "delete"} <= set(completed("vm", ""))
    assert "cloudnetwork/vpc/create" in completed("call", "cloudnetwork/v")
    assert "vm.vcpu.num=" in completed("call", "cloudvm/create", "vm.")
    assert "vm.name=" in completed("vm", "modify", "x", "vm.n")
    assert {"qcow2", "raw", "vmdk"} == set(completed("call", "cloudtemplate/import", "template.format="))


def test_help_needs_no_server():
    for argv in (["--help"], ["help"], ["vm", "create", "--help"], ["help", "cloudvm/create"], ["--version"]):
        result = cli(*argv)
        assert result.returncode == 0 and result.stdout and result.stderr == ""
    assert cli("help", "vm", "create").stdout.startswith("POST cloudvm/create")
    assert cli("complete", "--", "vm", "st").stdout.split() == ["start"], "what the shell asks"


# ------------------------------------------------------------------------------------------ what is no UTF-8
BAD = b"caf\xe9"


@pytest.mark.parametrize("argv,says", [
    ((b"vm", b"create", b"vm.name=" + BAD), "argument 3: not UTF-8: vm.name=caf\\xe9"),
    ((b"call", b"cloudvm/search", b"vm.name=\xff\xfe"), "argument 3: not UTF-8: vm.name=\\xff\\xfe"),
    ((b"vm", b"show", b"\xed\xa0\x80"), "argument 3: not UTF-8: \\xed\\xa0\\x80"), ((BAD,), "argument 1: not UTF-8"),
    ((b"vm", b"list", b"--idempotency-key", BAD), "argument 4: not UTF-8"),
    ((b"vm", b"list", b"--idempotency-key=" + BAD), "argument 3: not UTF-8"),
    ((b"--" + BAD,), "argument 1: not UTF-8"), ((b"vm", b"create", b"vm.name=@/tmp/" + BAD), "argument 3: not UTF-8"),
    ((b"--", b"vm", b"show", BAD), "argument 4: not UTF-8"), ((b"operations", BAD), "argument 2: not UTF-8"),
    ((b"vm", b"list", b"--token-file", b"/tmp/" + BAD), "argument 4: not UTF-8: /tmp/caf\\xe9"),
], ids=repr)
def test_arguments_are_utf8(cloud, argv, says):
    """Else they would be another text on their way."""
    done = cli(*argv, server=cloud)
    assert done.returncode == 2 and says in done.stderr and done.stdout == "", done.stderr


def test_values_from_elsewhere_are_utf8(cloud, run, tmp_path):
    (tmp_path / "value").write_bytes(BAD)
    done = run("vm", "modify", "x", f"vm.name=@{tmp_path}/value", code=2)
    assert done.returncode == 2 and "not UTF-8" in done.stderr
    done = cli("vm", "list", server=cloud, env={"STARVIRT_SERVER": os.fsdecode(BAD)})
    assert done.returncode == 2 and "STARVIRT_SERVER: not UTF-8: caf\\xe9" in done.stderr
    (tmp_path / "starvirt").mkdir()
    (tmp_path / "starvirt" / "config").write_bytes(b"lang = " + BAD + b"\n")
    done = cli("vm", "list", env={"XDG_CONFIG_HOME": str(tmp_path)})
    assert done.returncode == 2 and "lang: not UTF-8" in done.stderr


@pytest.mark.parametrize("argv,says", [
    ((b"--data", b"/tmp/" + BAD), "argument 2: not UTF-8: /tmp/caf\\xe9"),
    ((b"--listen=" + BAD,), "argument 1: not UTF-8: --listen=caf\\xe9"), ((BAD,), "argument 1: not UTF-8"),
    ((b"--kvm-platform", BAD), "argument 2: not UTF-8"),
], ids=repr)
def test_options_of_the_server_are_utf8(argv, says):
    done = subprocess.run([DAEMON, *argv], capture_output=True, timeout=30)
    assert done.returncode == 2 and says in done.stderr.decode(), done.stderr


def test_the_servers_file_is_utf8(tmp_path):
    for text, says in ((b"data = /tmp/" + BAD, "data: not UTF-8"), (BAD + b" = x", "a name: not UTF-8"),
                       (b"kvm-platform = " + BAD, "kvm-platform: not UTF-8")):
        (tmp_path / "conf").write_bytes(text + b"\n")
        done = subprocess.run([DAEMON, "--config", tmp_path / "conf"], capture_output=True, timeout=30)
        assert done.returncode == 2 and says in done.stderr.decode(), done.stderr


# -------------------------------------------------------------------------------------------------------- fsck
def test_fsck(server):
    one = server()
    tenant = one.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=one.admin.model())
    running = cli("fsck", "--data", one.data)
    assert running.returncode == 0 and "0 breaches" in running.stdout, "also beside a server"
    one.stop()
    both = cli("fsck", "--data", one.data, "--connect", "sim://")
    assert both.returncode == 0, both.stdout + both.stderr
    with sqlite3.connect(one.data + "/starvirt.db") as db:
        db.execute("UPDATE tenant SET used_memory = used_memory + 1 WHERE id = ?", (tenant.id,))
    broken = cli("fsck", "--data", one.data)
    assert broken.returncode == 1 and "used_memory" in broken.stdout and "1 breach\n" in broken.stdout
    with sqlite3.connect(one.data + "/starvirt.db") as db:
        db.execute("UPDATE tenant SET used_memory = used_memory - 1 WHERE id = ?", (tenant.id,))
    journal = os.path.join(one.data, "sim", "host1.journal")
    with open(journal, "rb") as f:
        kept = f.read()
    os.unlink(journal)
    lost = cli("fsck", "--data", one.data, "--connect", "sim://")
    assert lost.returncode == 1 and f"no domain of VM {vm}" in lost.stdout and "no volume of disk" in lost.stdout
    with open(journal, "wb") as f:
        f.write(kept)


@pytest.mark.parametrize("argv", [["--data", "/nonexistent"], ["--data", "/etc"]], ids=" ".join)
def test_fsck_of_nothing(argv):
    result = cli("fsck", *argv)
    assert result.returncode == 1 and result.stderr.startswith("starvirt: ")


def test_the_wire_is_what_a_plain_client_sends(cloud, tenant):
    """What the command line sends, curl could: the README's claim."""
    curl = subprocess.run(["curl", "-sS", "-H", f"KEY_TOKEN: {tenant.token}", "--data-urlencode",
                           "KEY_PARAM=eyJ2cGMubmFtZSI6ImN1cmwifQ==",
                           "http://%s:%d%scloudnetwork/vpc/create" % (*cloud.address, BASE)], capture_output=True,
                          text=True, timeout=30)
    assert curl.returncode == 0
    assert [row["vpc.name"] for row in tenant.ok("POST cloudnetwork/vpc/search").data] == ["curl"]
