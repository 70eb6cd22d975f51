"""Is it the database that was here last? One that is not is refused by name and left as it is; a kill never makes one so."""
import contextlib
import os
import re
import shutil
import sqlite3
import subprocess

import pytest
from starvirt import Client, unique, wait_until


def refused(server):
    """What a start that is refused says; the server ends with 1."""
    found = subprocess.run(server.argv(), capture_output=True, text=True, timeout=60)
    assert found.returncode == 1, found
    return next(line for line in found.stderr.splitlines() if line.startswith("starvirtd: "))


def files(server):
    """Database and log, byte for byte. The index of the log is no part of it."""
    found = {}
    for name in ("starvirt.db", "starvirt.db-wal", "starvirt.mark"):
        path = os.path.join(server.data, name)
        found[name] = open(path, "rb").read() if os.path.exists(path) else None
    return found


def once(server, option):
    """A start with an option, which the next one does not need any more."""
    server.options.append(option)
    server.start().stop()
    server.options.remove(option)
    return server.start()


@pytest.fixture
def cloud(server):
    made = server()
    tenant = made.admin.tenant("first")
    tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=made.admin.model(size=1))
    return made


@pytest.fixture
def doomed(cloud):
    """One whose database and hosts will not agree any more."""
    yield cloud
    if cloud.running:
        cloud.stop()
    cloud.erase()


def names(server):
    return [t["app.name"] for t in server.admin.ok("POST cloudTenant/search", {}).data]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_same_database_starts(cloud, end):
    for n in range(5):
        getattr(cloud, end)()
        cloud.start()
        assert "first" in names(cloud)
        cloud.admin.tenant(f"more-{n}")


@pytest.mark.parametrize("how", ["missing", "empty", "no schema"])
@pytest.mark.parametrize("mark", [True, False], ids=["mark", "traces"])
def test_a_database_that_is_gone(doomed, how, mark):
    doomed.stop()
    path = os.path.join(doomed.data, "starvirt.db")
    os.unlink(path)
    if how == "empty":
        open(path, "w").close()
    if how == "no schema":
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE event(seq)"), db.execute("DROP TABLE event")
    if not mark:  # a directory of an earlier version
        os.unlink(os.path.join(doomed.data, "starvirt.mark"))
    said = refused(doomed)
    assert ("is missing" if how == "missing" else "is empty") in said and "--new-cloud" in said
    assert re.search(r"starvirt\.mark tells of \d+ commits" if mark else "secrets/key, admin.token", said), said
    assert how != "missing" or not os.path.exists(path), "nothing is made"
    once(doomed, "--new-cloud")
    assert names(doomed) == ["admin"]


def test_a_database_that_is_older(doomed, tmp_path):
    with doomed.database() as now, sqlite3.connect(tmp_path / "backup.db") as then:
        now.backup(then)
    doomed.admin.tenant("later")
    doomed.stop()
    for name in ("starvirt.db", "starvirt.db-wal", "starvirt.db-shm"):
        os.unlink(os.path.join(doomed.data, name))
    shutil.copy(tmp_path / "backup.db", os.path.join(doomed.data, "starvirt.db"))
    before = files(doomed)
    said = refused(doomed)
    assert re.search(r"ends at commit \d+, \d+ are missing", said) and "--accept-old-database" in said
    after = files(doomed)
    assert after["starvirt.db"] == before["starvirt.db"] and after["starvirt.mark"] == before["starvirt.mark"]
    once(doomed, "--accept-old-database")
    assert sorted(names(doomed)) == ["admin", "first"]


@pytest.mark.parametrize("how", ["cut", "gone", "spoiled"])
def test_a_log_that_lost_its_end(doomed, how):
    doomed.admin.tenant("later")
    doomed.kill()
    wal = os.path.join(doomed.data, "starvirt.db-wal")
    size = os.path.getsize(wal)
    assert size > 8192
    if how == "cut":
        os.truncate(wal, size - 4096)
    elif how == "gone":
        os.truncate(wal, 0)
    else:
        with open(wal, "r+b") as f:
            f.seek(size // 2)
            f.write(b"\xff" * 64)
    before = files(doomed)
    said = refused(doomed)
    assert re.search(r"ends at commit \d+, \d+ are missing|is empty", said), said
    assert files(doomed) == before, "what is left of it is for whoever looks"


def test_another_clouds_database(doomed, server):
    other = server()
    other.stop(), doomed.stop()
    shutil.copy(os.path.join(other.data, "starvirt.db"), os.path.join(doomed.data, "starvirt.db"))
    assert "another cloud" in refused(doomed)


@pytest.mark.parametrize("mark", [b"", b"starvirt-mark 1 ", b"\0" * 70, b"nonsense\n" * 10])
def test_a_mark_that_cannot_be_read_refuses_nothing(cloud, mark):
    cloud.kill()
    with open(os.path.join(cloud.data, "starvirt.mark"), "wb") as f:
        f.write(mark)
    cloud.start()


def test_a_new_directory_may_hold_what_is_not_ours(server, tmp_path):
    data = tmp_path / "fresh"
    (data / "images" / "lost+found").mkdir(parents=True)
    (data / "images" / "debian.qcow2").write_bytes(b"x")
    os.chmod(data, 0o711)
    server(data=data)


def test_a_spoiled_page_is_told(doomed):
    """In the log, in the metrics and in the health; the server serves on."""
    doomed.stop()
    path = os.path.join(doomed.data, "starvirt.db")
    with sqlite3.connect(path) as db:
        page, size = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'backup_disk'").fetchone()[0], 4096
    with open(path, "r+b") as f:
        f.seek((page - 1) * size)
        f.write(b"\xff" * size)
    doomed.sick = None
    doomed.start()
    wait_until(lambda: doomed.metrics()["starvirt_db_damaged"] == 1, "it is found")
    reply = Client(doomed).request("GET", "/healthz")
    assert reply.status == 503 and b"damaged" in reply.raw
    assert doomed.admin.ok("POST cloudTenant/search", {}).data
    assert "event=db.damaged" in doomed.log()


def test_a_sound_file_is_told(cloud):
    wait_until(lambda: cloud.metrics()["starvirt_db_inspected"] == 1, "it was looked through")
    assert cloud.metrics()["starvirt_db_damaged"] == 0


def test_the_log_of_a_server_that_is_killed_again_and_again(server):
    """It starts over with each start: on a small disk it would take all the room."""
    one = server()
    wal = os.path.join(one.data, "starvirt.db-wal")
    for _ in range(3):
        for _ in range(20):
            one.admin.tenant()
        one.kill()
        assert os.path.getsize(wal) > 100 << 10
        one.start()
        assert os.path.getsize(wal) < 100 << 10
