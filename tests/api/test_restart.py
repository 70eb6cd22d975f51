"""Stopping and starting: what runs goes on, what is told stays told, a bad option is told before anything is
touched, a stop is clean whatever is under way."""
import concurrent.futures
import contextlib
import http.client
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

import pytest
from daemon import Server
from starvirt import DAEMON, Client, wait_until


def daemon(*argv, timeout=30, **how):
    return subprocess.run([DAEMON, *argv], capture_output=True, text=True, timeout=timeout, **how)


def everything(admin):
    ops = ["POST cloudTenant/search", "POST cloudvm/search", "GET cloudvm/model", "POST cloudnetwork/vpc/search",
           "POST cloudtemplate/search", "POST joblog/search", "POST resourcequota/search"]
    return {op: admin.ok(op).body for op in ops}


# ---------------------------------------------------------------------------------------- what stays as it was
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_vms_go_on_while_the_server_is_away(server, raw_image, how):
    one = server(connect="sim://?hosts=2")
    tenant = one.admin.tenant(cpu=20, memory=2000, storage=200, portgroup=3)
    vpc, model = tenant.vpc(), one.admin.model(template=one.admin.template(raw_image))
    vms = [tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model) for _ in range(4)]
    tenant.run("PUT cloudvm/destroy", {"vm.id": vms[1]})
    tenant.run("PUT cloudvm/suspend", {"vm.id": vms[2]})
    tenant.run("PUT cloudvm/cpu/modify", {"vm.id": vms[3], "vm.vcpu.num": 3})
    before, usable = everything(one.admin), tenant.usable()
    since = tenant.last_event()
    for _ in range(3):
        getattr(one, how)()
        one.start()
        assert everything(one.admin) == before and tenant.usable() == usable
    assert tenant.events(since) == [], "nothing happened"
    assert [tenant.show(vm)["vm.state"] for vm in vms] == ["1", "0", "2", "1"]
    tenant.run("PUT cloudvm/shutdown", {"vm.id": vms[0]})
    tenant.run("PUT cloudvm/resume", {"vm.id": vms[2]})
    for vm in vms:
        tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})


def test_a_vm_lost_while_the_server_was_away_is_told_and_can_be_started(server):
    """The journal of the simulator is the host's state; without it the host has nothing."""
    one = server()
    tenant = one.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=one.admin.model())
    since = tenant.last_event()
    one.stop()
    os.unlink(os.path.join(one.data, "sim", "host1.journal"))
    one.start()
    tenant.wait_event(lambda e: e["event.type"] == "vm.missing", since)
    assert tenant.show(vm)["vm.state"] == "0"
    job = tenant.follow(tenant.ok("PUT cloudvm/start", {"vm.id": vm}).startid)
    assert job.result == "1" and "the file of disk" in job.info
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})


@pytest.mark.parametrize("where", ["head", "middle", "last"])
def test_a_flipped_bit_in_a_hosts_journal_is_told_by_name(server, where):
    """Nothing behind it is thrown away, and no VM is taken for stopped; once the file is right again all is as before."""
    one = server(connect="sim://?hosts=1")
    tenant = one.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=one.admin.model())
    one.stop()
    path = os.path.join(one.data, "sim", "host1.journal")
    with open(path, "rb") as f:
        whole = f.read()
    at = {"head": 3, "middle": 60, "last": len(whole) - 1}[where]
    with open(path, "wb") as f:
        f.write(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1:])
    found = daemon("--data", one.data, "--connect", "sim://?hosts=1", "--listen", "127.0.0.1:0")
    assert found.returncode == 1 and "host1.journal is damaged at byte" in found.stderr.splitlines()[-1]
    with open(path, "rb") as f:
        assert len(f.read()) == len(whole)
    with open(path, "wb") as f:
        f.write(whole)
    one.start()
    assert tenant.show(vm)["vm.state"] == "1"


def test_a_domain_that_nobody_knows_is_reported_and_never_touched(server):
    one = server()
    tenant = one.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=one.admin.model())
    one.stop()
    kept = one.data + ".journal"
    shutil.copyfile(os.path.join(one.data, "sim", "host1.journal"), kept)
    one.start()
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    one.stop()
    shutil.copyfile(kept, os.path.join(one.data, "sim", "host1.journal"))  # it is back, by whatever way
    os.unlink(kept)
    since = one.admin.last_event() if one.running else 0
    one.start()
    event = one.admin.wait_event(lambda e: e["event.type"] == "host.unknown_domain", since)
    assert event["event.content"] == vm
    tenant.refused("GET cloudvm/{vmId}", {"vmId": vm}, "VM_NOT_FOUND")
    one.stop()
    assert f"domain without a VM {vm}" in one.fsck()
    os.unlink(os.path.join(one.data, "sim", "host1.journal"))


def test_hosts_of_another_uri_are_not_the_same_hosts(server):
    one = server(connect="sim://?hosts=1")
    tenant = one.admin.tenant()
    vpc = tenant.vpc()
    vm = tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=one.admin.model())
    one.stop()
    was, one.connect = one.connect, ["sim://?hosts=1&cpus=4"]
    one.start()
    assert tenant.show(vm)["vm.state"] == "-1"
    one.expect('result="HOST_DOWN"')
    tenant.refused("PUT cloudvm/destroy", {"vm.id": vm}, "HOST_DOWN")
    one.stop()
    one.connect = was
    one.start()
    assert tenant.show(vm)["vm.state"] == "1"


# ---------------------------------------------------------------------------------------------------- stopping
@pytest.mark.race
def test_a_stop_with_work_under_way(server):
    """Steps under way end, the rest goes on at the next start; clients are told, and refused when it is over."""
    one = server(connect="sim://?control=1", options=["--jobs.slots_per_host", "2"])
    tenant = one.admin.tenant()
    vpc, model = tenant.vpc(), one.admin.model()
    one.control("delay=500ms")
    made = tenant.create(**{"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.num": 10}).data
    tenant.wait_line(made[0]["jobstartid"], "prepare disks")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        kept = Client(one, tenant.token)
        kept.ok("POST cloudvm/search")  # its connection is there before
        begin = time.monotonic()
        address = one.address
        stop = pool.submit(one.stop)
        wait_until(lambda: "event=server.stopping" in one.log(), "it stops")
        with contextlib.suppress(OSError, http.client.HTTPException):  # cut off by now
            reply = kept.call("POST cloudvm/search")
            assert (reply.status, reply.code, reply.headers["Connection"]) == (503, "SHUTTING_DOWN", "close")
        with pytest.raises(OSError):
            socket.create_connection(address, 5).recv(1)
        stop.result()
    assert time.monotonic() - begin < 10
    assert one.open_jobs(), "most had not begun"
    one.start()
    for row in made:
        tenant.done(row["jobstartid"])
    assert tenant.ok("POST cloudvm/search", {"vm.state": 1}).count == 10


def test_a_stop_with_a_hung_host(server):
    """Nobody is waited for longer than the limit, and nothing is lost."""
    one = server(connect="sim://?control=1", options=["--hv.call_limit", "3"])
    tenant = one.admin.tenant()
    row = tenant.create(vnic_portgroupid=tenant.vpc(), vm_tenant_model=one.admin.model())
    tenant.done(row.data[0]["jobstartid"])
    one.control("hang=1")
    startid = tenant.ok("PUT cloudvm/destroy", {"vm.id": row.data[0]["vm.id"]}).startid
    tenant.wait_line(startid, "power off …")
    begin = time.monotonic()
    one.stop()
    assert time.monotonic() - begin < 15
    one.expect("HOST_TIMEOUT")
    one.start()
    assert tenant.follow(startid).result in ("0", "1")


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_signals_that_stop(server, which):
    one = server()
    one.process.send_signal(which)
    assert one.process.wait(30) == 0
    one.process.stdout.close()
    one.process = None
    assert "event=server.stopped" in one.log()


def test_a_broken_pipe_is_no_end(server):
    one = server()
    one.process.send_signal(signal.SIGPIPE)
    assert one.admin.ok("POST cloudvm/search").ok


@pytest.mark.race
def test_many_starts_and_stops(server):
    """Each in a fraction of a second, none with a complaint."""
    one = server()
    begin = time.monotonic()
    for _ in range(20):
        one.restart()
    assert time.monotonic() - begin < 30
    assert one.admin.ok("POST cloudTenant/search").count == 1, "one admin, made once"


def test_nothing_is_leaked_over_many_requests(server):
    """Threat 32, in small: descriptors and memory of a server that has done everything often."""
    one = server()
    tenant = one.admin.tenant()
    vpc, model = tenant.vpc(), one.admin.model()

    def turn(n):
        for _ in range(n):
            vm = tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model)
            tenant.refused("PUT cloudvm/restart", {"vm.id": "x"})
            tenant.ok("POST cloudvm/search", {"vm.name": "x"})
            tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
            with one.socket() as s:
                s.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
                s.recv(1000)
        wait_until(lambda: one.metrics()["starvirt_connections"] <= 4, "connections are closed")
        return one.metrics()

    turn(5)
    before = turn(5)
    after = turn(30)
    assert after["process_open_fds"] <= before["process_open_fds"] + 3
    # a job is over a moment before its worker is
    wait_until(lambda: one.metrics()["starvirt_jobs_open{state=\"running\"}"] == 0, "no job runs")


# ---------------------------------------------------------------------------------------------------- starting
@pytest.mark.parametrize("argv,word", [
    (["--nonsense"], "nonsense"), (["--listen"], "needs a value"), (["--listen", "nowhere"], "ADDRESS:PORT"),
    (["--listen", "127.0.0.1:99999"], "65535"), (["--listen", "example.com:80"], "numeric"),
    (["--network", "carrier-pigeon"], "none, sim, linux, ovn"),
    (["--vpc.supernet", "10.0.0.1/8"], "supernet"), (["--vpc.prefix", "8"], "prefix"),
    (["--jobs.slots_per_host", "0"], "slots"), (["--jobs.requeue=perhaps"], "requeue"),
    (["--tls-cert", "/x"], "tls-key"),
    (["--config", "/nonexistent"], "nonexistent"), (["stray"], "stray"),
    (["--threads", "9999999999999999999999"], "threads"), (["--data", ""], "data"),
], ids=lambda v: " ".join(v) if isinstance(v, list) else v)
def test_bad_options(tmp_path, argv, word):
    data = tmp_path / "data"
    found = daemon("--data", str(data), "--listen", "127.0.0.1:0", "--connect", "sim://", *argv)
    assert found.returncode == 2 and word in found.stderr and found.stdout == ""
    assert found.stderr.startswith("starvirtd: ") and found.stderr.count("\n") == 1
    assert not (data / "admin.token").exists()


@pytest.mark.parametrize("uris,code,word", [
    (["sim://?hosts=0"], 2, "hosts="), (["sim://?nonsense=1"], 2, "nonsense"), (["sim://elsewhere"], 2, "sim://"),
    (["sim://?hang=host2"], 2, "hang="), (["gopher://x"], 2, "no driver"), (["sim://", "gopher://x"], 2, "no driver"),
    (["sim://", "sim://"], 1, "journal is used"),
], ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_hypervisors(tmp_path, uris, code, word):
    connect = [part for uri in uris for part in ("--connect", uri)]
    found = daemon("--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", *connect)
    last = found.stderr.splitlines()[-1]
    assert found.returncode == code and last.startswith("starvirtd: ") and word in last and found.stdout == ""


def test_help_and_version():
    found = daemon("--help")
    assert found.returncode == 0 and "--listen ADDRESS:PORT" in found.stdout and "crash" not in found.stdout
    assert daemon("--version").stdout.startswith("starvirtd ")


def test_options_from_a_file_and_the_command_line_wins(server, tmp_path):
    config = tmp_path / "starvirtd.conf"
    config.write_text('# a comment\n\nnetwork = none\nvpc.supernet="10.7.0.0/16"\n  vpc.prefix = 26 \n'
                      "listen = 127.0.0.1:1\n")
    one = server(options=["--config", str(config), "--vpc.prefix", "27"])
    tenant = one.admin.tenant()
    tenant.vpc()
    assert tenant.ok("POST cloudnetwork/vpc/search").data[0]["vpc.cidr"].startswith("10.7.")
    assert tenant.ok("POST cloudnetwork/vpc/search").data[0]["vpc.cidr"].endswith("/27")


@pytest.mark.parametrize("text,word", [("nonsense = 1\n", ":1: "), ("\nlisten\n", ":2: "), ("threads = x\n", "threads"),
                                       ("config = x\n", "config"), ("threads = 1\nthreads = 2\n", "twice")])
def test_bad_files(tmp_path, text, word):
    config = tmp_path / "starvirtd.conf"
    config.write_text(text)
    found = daemon("--data", str(tmp_path / "data"), "--connect", "sim://", "--config", str(config))
    assert found.returncode == 2 and word in found.stderr


def test_an_address_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        found = daemon("--data", str(tmp_path / "data"), "--connect", "sim://", "--listen",
                       "127.0.0.1:%d" % busy.getsockname()[1])
    assert found.returncode == 1 and "in use" in found.stderr
    assert not (tmp_path / "data").exists(), "told before anything is touched"


def test_a_data_directory_in_use(server):
    one = server()
    found = daemon("--data", one.data, "--connect", "sim://", "--listen", "127.0.0.1:0")
    assert found.returncode == 1 and "used by another process" in found.stderr
    assert one.admin.ok("POST cloudvm/search").ok


def test_a_database_of_a_newer_program(server):
    one = server()
    one.stop()
    with sqlite3.connect(one.data + "/starvirt.db") as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute("PRAGMA user_version = 999")
    found = daemon("--data", one.data, "--connect", "sim://", "--listen", "127.0.0.1:0")
    assert found.returncode == 1 and "999" in found.stderr
    with sqlite3.connect(one.data + "/starvirt.db") as db:
        db.execute(f"PRAGMA user_version = {version}")
    one.start()


def test_a_data_directory_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("x")
    found = daemon("--data", str(tmp_path / "file" / "data"), "--connect", "sim://", "--listen", "127.0.0.1:0")
    assert found.returncode != 0 and found.stderr.startswith("starvirtd: ")


def test_ipv6(server):
    if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("no IPv6")
    one = server(listen="[::1]:0")
    assert one.address[0] == "::1" and one.admin.ok("POST cloudvm/search").ok


def test_a_socket_handed_over_serves_across_restarts(tmp_path):
    """Who connects while nobody serves is served by the next."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = Server(tmp_path / "data", listen_fd=listener.fileno()).start()
        one.stop()
        with socket.create_connection(listener.getsockname(), 10) as early:
            early.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            one.start()
            assert early.recv(4096).endswith(b"ok")
    assert one.finish() == []


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
def test_https(server, tmp_path):
    import ssl
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days",
                    "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"], check=True,
                   capture_output=True)
    one = Server(tmp_path / "data", options=["--tls-cert", cert, "--tls-key", key], hosts=0, tls=cert).start()
    context = ssl.create_default_context(cafile=cert)
    connection = http.client.HTTPSConnection(*one.address, context=context, timeout=30)
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b"ok"
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        plain = http.client.HTTPConnection(*one.address, timeout=30)
        plain.request("GET", "/healthz")
        assert b"ok" not in plain.getresponse().read()
        raise ConnectionError("an answer without HTTPS")
    assert one.admin.ok("POST cloudvm/search").ok
    assert one.finish() == []
