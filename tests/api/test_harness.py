"""The harness itself: what it must notice, it notices."""
import os
import socket

import pytest
from daemon import Server
from starvirt import Refused


def finish(server):
    """finish() takes servers to task and is the only one that may see these fail."""
    found = server.finish()
    server.erase()
    return "\n".join(found)


@pytest.fixture
def lone(tmp_path):
    made = Server(tmp_path / "data").start()
    yield made
    if made.running:
        made.kill()


@pytest.mark.parametrize("line", [
    "==123==ERROR: AddressSanitizer: heap-use-after-free",
    "../core/x.c:3:4: runtime error: signed integer overflow",
    "WARNING: ThreadSanitizer: data race (pid=1)",
    "starvirtd: core/x.c:3: f: Assertion `false' failed.",
    'ts=2026-01-01T00:00:00.000Z level=error event=sync error="x"',
])
def test_bad_lines_of_the_log_are_reported(lone, line):
    with open(lone.stderr, "a") as log:
        log.write(line + "\n")
    assert line in finish(lone)


def test_expected_errors_are_not_reported(lone):
    lone.expect(r"event=sync\b")
    with open(lone.stderr, "a") as log:
        log.write('ts=2026-01-01T00:00:00.000Z level=error event=sync error="x"\n')
    assert finish(lone) == ""


def test_a_line_cut_short_is_not_judged_but_the_next_is(lone):
    bad = 'ts=2026-01-01T00:00:00.001Z level=error event=sync error="x"'
    with open(lone.stderr, "a") as log:
        log.write(f"ts=2026-01-01T00:00:00.000Z level=error {bad}\n")
    assert lone.complaints() == [bad]
    lone.expect("event=sync")
    assert lone.finish() == []


def test_a_server_that_died_is_reported(lone):
    lone.process.kill()
    lone.process.wait()
    assert "ended by itself with -9" in finish(lone)


def test_open_jobs_are_reported(tmp_path):
    lone = Server(tmp_path / "data", connect="sim://?control=1").start()
    lone.control("delay=60s")
    tenant = lone.admin.tenant()
    made = tenant.create(vnic_portgroupid=tenant.vpc(), vm_tenant_model=lone.admin.model()).data[0]
    lone.kill()
    assert f"open job ('{made['jobstartid']}'" in finish(lone)


def test_breaches_are_reported(lone):
    lone.admin.tenant()
    lone.stop()
    import sqlite3
    with sqlite3.connect(lone.data + "/starvirt.db") as db:
        db.execute("UPDATE tenant SET used_vcpus = 1")
    assert "used_vcpus" in finish(lone)


def test_a_refusal_is_an_error_where_success_was_meant(lone):
    with pytest.raises(Refused, match="VM_NOT_FOUND"):
        lone.admin.ok("PUT cloudvm/start", {"vm.id": "x"})
    with pytest.raises(AssertionError, match="was not refused"):
        lone.admin.refused("GET cloudvm/model")
    assert finish(lone) == ""


def test_a_socket_and_a_launcher_are_handed_to_the_server(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(tmp_path / "data", listen_fd=listener.fileno(), prefix=["env", "HANDED=over"]).start()
        assert server.address == listener.getsockname()
        environment = open(f"/proc/{server.process.pid}/environ").read()
        assert "HANDED=over" in environment
    assert finish(server) == ""


def test_a_restart_keeps_the_clients(lone):
    tenant = lone.admin.tenant()
    lone.restart()
    assert tenant.vpc()
    lone.kill()
    lone.start()
    assert len(tenant.ok("POST cloudnetwork/vpc/search").data) == 1
    assert finish(lone) == ""
    assert not os.path.exists(lone.data)
