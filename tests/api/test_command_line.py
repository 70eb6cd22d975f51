"""starvirt, the command line: exit codes, tables, JSON, jobs followed, files sent, where settings come from."""
import json
import os

import pytest
from starvirt import cli, unique


def run(cloud, *argv, code=0, **how):
    done = cli(*argv, server=cloud, **how)
    assert done.returncode == code, (argv, done.stdout, done.stderr)
    return done


def data(cloud, *argv):
    return json.loads(run(cloud, "--json", *argv).stdout)["data"]


def test_a_vm_from_start_to_end(cloud, model):
    vpc = data(cloud, "vpc", "create", unique("net"))["vpc.id"]
    made = run(cloud, "--json", "vm", "create", f"vm.tenant.model={model}", "vm.vcpu.num=1", "vm.memory.mem=64",
               f"vnic.portgroupid={vpc}", "vm.num=2", "--wait").stdout
    vms = json.loads(made.splitlines()[0])["data"]
    assert len(vms) == 2 and all(f"{vm['jobstartid']}: done" in made for vm in vms)
    vm = vms[0]["vm.id"]
    table = run(cloud, "vm", "list").stdout.splitlines()
    assert table[0].split()[:3] == ["vm.id", "vm.name", "vm.state"]
    assert [line.split()[2] for line in table if vm in line] == ["1"]
    startid = run(cloud, "vm", "destroy", vm).stdout.split()[1]
    followed = run(cloud, "jobs", "follow", startid)
    assert "job done" in followed.stdout and followed.stdout.rstrip().endswith("done")
    assert data(cloud, "vm", "show", vm)["vm.state"] == "0"
    for vm in vms:
        run(cloud, "vm", "delete", vm["vm.id"], "--wait")
    run(cloud, "vpc", "delete", vpc)


def test_a_failed_job_is_a_failure(server):
    own = server(connect="sim://?fail=start:1")
    model = own.admin.model(size=1)
    done = cli("--wait", "vm", "create", f"vm.tenant.model={model}", "vm.vcpu.num=1", "vm.memory.mem=64",
               f"vnic.portgroupid={own.admin.vpc()}", server=own)
    assert done.returncode == 1 and "failed" in done.stderr


def test_refusals_exit_with_1(cloud):
    done = run(cloud, "vm", "show", "no-such-vm", code=1)
    assert "VM_NOT_FOUND" in done.stderr and not done.stdout
    done = run(cloud, "--json", "vm", "show", "no-such-vm", code=1)
    assert json.loads(done.stdout)["error"]["code"] == "VM_NOT_FOUND"
    assert "TOKEN_INVALID" in run(cloud, "vm", "list", token="ff" * 32, code=1).stderr
    run(cloud, "jobs", "follow", "no-such-job", code=1)
    assert "connect" in cli("vm", "list", "--server", "http://127.0.0.1:1", "--token", "x").stderr


@pytest.mark.parametrize("argv, says", [
    ((), "no command"), (("fly",), "fly"), (("vm", "start"), "usage"), (("call", "no/such"), "no operation"),
    (("call", "cloudvm/{vmId}"), "several operations"), (("vm", "list", "color=red"), "vm.name"),
    (("vm", "list", "vm.name"), "key=value"), (("vm", "list", "vm.name=a", "vm.name=b"), "twice"),
    (("--shout", "vm", "list"), "--shout"), (("vm", "list", "--server"), "needs a value"),
    (("vm", "modify", "x", "vm.name=@/no/such/file"), "No such file"), (("fsck",), "--data"),
])
def test_wrong_use_exits_with_2(cloud, argv, says):
    done = run(cloud, *argv, code=2)
    assert says in done.stderr and not done.stdout.startswith("{")


def test_names_cannot_steer_the_terminal(cloud, tenant):
    name = unique("red") + "\x1b[31m"
    made = tenant.call("POST cloudnetwork/vpc/create", {"vpc.name": name})
    if made.ok:
        assert "\x1b" not in run(cloud, "vpc", "list", token=tenant.token).stdout
    made = data(cloud, "tenant", "create", unique("中文"))
    row = [line for line in run(cloud, "tenant", "list").stdout.splitlines() if made["app.id"] in line]
    assert "中文" in row[0]


def test_values_come_from_files_and_stdin(cloud, tmp_path):
    (tmp_path / "name").write_text(unique("from-file"))
    vpc = data(cloud, "vpc", "create", "x", f"vpc.desc=@{tmp_path}/name")["vpc.id"]
    assert run(cloud, "vpc", "modify", vpc, "vpc.name=@-", input="from stdin\n").returncode == 0
    row = [v for v in data(cloud, "vpc", "list") if v["vpc.id"] == vpc][0]
    assert row["vpc.name"] == "from stdin" and row["vpc.desc"] == (tmp_path / "name").read_text()


def test_an_image_is_sent(cloud, tmp_path):
    image = tmp_path / "disk.raw"
    image.write_bytes(os.urandom(512) + bytes((3 << 20) - 512))
    made = run(cloud, "--json", "--wait", "template", "upload", str(image), unique("sent"), "format=raw").stdout
    template = json.loads(made.splitlines()[0])["data"]["template.id"]
    assert [t for t in data(cloud, "template", "list") if t["template.id"] == template]
    left = os.listdir(os.path.join(cloud.data, "upload"))
    assert not [name for name in left if name.startswith(".part-")], left
    run(cloud, "template", "delete", template, "--wait")


def test_a_repeated_call_is_harmless(cloud):
    key, name = unique("key"), unique("once")
    first = data(cloud, "--idempotency-key", key, "vpc", "create", name)
    assert data(cloud, "--idempotency-key", key, "vpc", "create", name) == first
    assert "IDEMPOTENCY_MISMATCH" in run(cloud, "--idempotency-key", key, "vpc", "create", "other", code=1).stderr
    run(cloud, "vpc", "delete", first["vpc.id"])


def test_settings_nearest_first(cloud, tmp_path):
    address = "http://%s:%d" % cloud.address
    (tmp_path / "starvirt").mkdir()
    (tmp_path / "starvirt" / "config").write_text(
        f"# where and who\nserver = {address}\ntoken-file = {cloud.data}/admin.token\nlang = zh\n")
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert cli("tenant", "list", env=home).returncode == 0
    assert "云主机不存在" in cli("vm", "show", "x", env=home).stderr
    assert "TOKEN_INVALID" in cli("tenant", "list", env={**home, "STARVIRT_TOKEN": "00"}).stderr
    assert cli("--token", cloud.admin.token, "tenant", "list", env={**home, "STARVIRT_TOKEN": "00"}).returncode == 0
    assert cli("--server", "http://127.0.0.1:1", "tenant", "list", env=home).returncode == 1
    (tmp_path / "starvirt" / "config").write_text("nonsense\n")
    assert cli("tenant", "list", env=home).returncode == 2


def test_the_shell_is_helped():
    def offers(*words):
        return cli("complete", "--", *words).stdout.split()
    assert offers("vp") == ["vpc"] and "call" in offers("")
    assert offers("vm", "st") == ["start"]
    assert "cloudvm/start" in offers("call", "cloudvm/st")
    assert offers("call", "PUT", "cloudvm/start", "") == ["vm.id="]
    assert "vm.vcpu.num=" in offers("vm", "create", "vm.v")
    assert cli("help", "vm", "create").stdout.startswith("POST cloudvm/create")
    assert cli("help", "cloudvm/start").stdout.startswith("PUT cloudvm/start")
    assert len(cli("operations").stdout.splitlines()) == 130
