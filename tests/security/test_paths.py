"""Paths that lead elsewhere, files that were put there first, names that would be either (threats 6-8, 12)."""
import hashlib
import os
import stat
import subprocess

import pytest
from images import IMPORT, MIB, row_of, upload, uploads
from starvirt import DAEMON

EVIL_NAMES = ["../../x", "/etc/passwd", "-rf", "--help", "a\u2028b", "$(id)", "`id`", "; id", "a,b=c", "%s%n", "..",
              "."]


# ---------------------------------------------------------------------------------------------- paths of imports
def test_paths_that_cannot_be(admin, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in ("relative", "", "/nonexistent/x", str(tmp_path), str(tmp_path / "fifo"), "/dev/null", "/dev/zero",
                 "/" + "a" * 300, "-f", "/etc/\u202epasswd"):
        code = "PARAM_MISSING" if not path else "TEMPLATE_PATH"
        admin.refused(IMPORT, {"template.name": "t", "template.path": path}, code, "template.path")
    assert "template.url" in admin.refused(IMPORT, {"template.name": "t", "template.url": "http://127.0.0.1/x"},
                                           "UNSUPPORTED").text


def test_imports_stay_below_their_directories(server, tmp_path, raw_image):
    inside, outside = tmp_path / "in", tmp_path / "in-not"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "image").write_bytes(bytes(MIB))
    (inside / "link").symlink_to(outside / "image")
    (inside / "up").symlink_to(tmp_path)
    one = server(options=["--import.dirs", f"/nonexistent,{inside}/"])
    one.admin.template(str(inside / "image"))
    one.admin.template(str(inside / ".." / "in" / "image"))
    for path in (outside / "image", inside / "link", inside / "up" / "in-not" / "image", f"{inside}/../in-not/image",
                 raw_image):
        text = one.admin.refused(IMPORT, {"template.name": "t", "template.path": str(path)}, "TEMPLATE_PATH",
                                 "template.path").text
        assert "outside" in text


def swapped(server, tmp_path, point, swap, **more):
    """An import whose source is swapped while the server is away; its job."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "image").write_bytes(b"\0good".ljust(MIB, b"\0"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "image").write_bytes(b"\0evil".ljust(MIB, b"\0"))
    one = server(options=["--import.dirs", str(tmp_path / "in")], crash_point=point)
    params = {"template.name": "t", "template.path": str(tmp_path / "in" / "sub" / "image"), "template.format": "raw",
              **more}
    job = one.admin.follow(one.through_crash(lambda: one.admin.ok(IMPORT, params), swap)["startid"])
    assert job.result == "1", "what came in is not what was let in"
    assert row_of(one.admin, job["job.objid"])["template.state"] == "failed"
    return job


POINTS = ["template.import:check:before", "template.import:check:recorded"]


@pytest.mark.parametrize("point", POINTS)
def test_a_directory_that_leads_elsewhere_meanwhile(server, tmp_path, point):
    def swap():
        (tmp_path / "in" / "sub").rename(tmp_path / "in" / "old")
        (tmp_path / "in" / "sub").symlink_to(tmp_path / "out")

    assert "outside" in swapped(server, tmp_path, point, swap).info


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("what", ["link", "fifo", "directory"])
def test_a_file_that_is_none_any_more(server, tmp_path, point, what):
    """In particular none that the server would wait at for ever."""
    path = tmp_path / "in" / "sub" / "image"

    def swap():
        path.unlink()
        if what == "link":
            path.symlink_to(tmp_path / "in" / "other")
            (tmp_path / "in" / "other").write_bytes(bytes(MIB))
        else:
            os.mkfifo(path) if what == "fifo" else path.mkdir()

    swapped(server, tmp_path, point, swap)


@pytest.mark.parametrize("point", POINTS)
def test_another_content_than_was_checked(server, tmp_path, point):
    """Threat 8: the checksum holds for what is read, not for what was read first."""
    path = tmp_path / "in" / "sub" / "image"
    good = hashlib.md5(b"\0good".ljust(MIB, b"\0")).hexdigest()
    job = swapped(server, tmp_path, point, lambda: path.write_bytes((tmp_path / "out" / "image").read_bytes()),
                  **{"template.md5": good})
    assert "checksum" in job.info


# --------------------------------------------------------------------------------------------- files put there first
def starts(data):
    """The outcome of a start that must fail, as text."""
    done = subprocess.run([DAEMON, "--data", str(data), "--connect", "sim://", "--network", "none", "--listen",
                           "127.0.0.1:0"], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "listening" not in done.stdout
    return done.stderr


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o722])
def test_a_directory_that_others_may_write_in(tmp_path, mode):
    """Whoever may, could plant what the server is going to open."""
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(mode)
    assert "others may write" in starts(data)
    assert os.listdir(data) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a directory away")
def test_a_directory_of_somebody_else(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 65534, 65534)
    assert "others may write" in starts(data)


@pytest.mark.parametrize("planted", ["file", "link", "hard link"])
def test_the_first_token_is_written_into_no_file_that_was_there(server, tmp_path, planted):
    data, mine = tmp_path / "data0", tmp_path / "mine"
    data.mkdir(mode=0o711)
    mine.write_text("mine")
    mine.chmod(0o666)
    if planted == "file":
        (data / "admin.token.new").write_text("")
        (data / "admin.token.new").chmod(0o666)
        reader = open(data / "admin.token.new")
    elif planted == "link":
        (data / "admin.token.new").symlink_to(mine)
        reader = open(mine)
    else:
        os.link(mine, data / "admin.token.new")
        reader = open(mine)
    one = server(data=data)
    with reader:
        assert one.admin.token not in reader.read()
    there = os.lstat(data / "admin.token")
    assert stat.S_ISREG(there.st_mode) and there.st_mode & 0o777 == 0o600 and there.st_nlink == 1
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", ["sim/host1.journal", "sim/templates.journal", "secrets/key", "lock"])
def test_links_to_elsewhere_are_not_followed(tmp_path, name):
    data, mine = tmp_path / "data", tmp_path / "mine"
    (data / os.path.dirname(name)).mkdir(parents=True, mode=0o711)
    data.chmod(0o711)
    mine.write_text("mine" * 100)
    (data / name).symlink_to(mine)
    starts(data)
    assert mine.read_text() == "mine" * 100


def test_nothing_is_written_elsewhere(server, tmp_path):
    """No temporary file in a place of all: there is none in TMPDIR, and uploads cannot be guessed."""
    place = tmp_path / "tmp"
    place.mkdir(mode=0o500)
    one = server(env={"TMPDIR": str(place)})
    tenant = one.admin.tenant()
    seen = set()
    for _ in range(3):
        reply = upload(tenant, bytes(2 * MIB), format="raw")
        seen.update(uploads(one))
        tenant.done(reply.startid)
    tenant.vm(vnic_portgroupid=tenant.vpc(), vm_template_id=reply.data["template.id"])
    assert os.listdir(place) == [] and uploads(one) == []
    assert all(len(name.replace(".part-", "")) == 32 for name in seen)
    for where, folders, files in os.walk(one.data):
        for path in [os.path.join(where, one_name) for one_name in folders + files]:
            assert os.stat(path).st_mode & 0o022 == 0, f"others may write {path}"
    for name in ("secrets", "upload", "sim", "admin.token", "starvirt.db"):
        assert os.stat(os.path.join(one.data, name)).st_mode & 0o077 == 0, name


# --------------------------------------------------------------------------------------- names of what has a file
@pytest.fixture(scope="module")
def vm(cloud, admin, model):
    tenant = admin.tenant()
    return tenant, tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)


def files(cloud):
    return sorted(os.path.relpath(os.path.join(where, name), cloud.data)
                  for where, _, names in os.walk(cloud.data) for name in names if "starvirt.db" not in name)


@pytest.mark.parametrize("name", EVIL_NAMES, ids=ascii)
@pytest.mark.parametrize("what", ["snapshot", "backup"])
def test_copies_are_not_named_after_their_names(cloud, vm, what, name):
    tenant, machine = vm
    before = files(cloud)
    made = tenant.ok(f"POST cloudvm/{what}/create", {f"{what}.vmid": machine, f"{what}.name": name,
                                                     f"{what}.desc": name})
    tenant.done(made.startid)
    (row,) = [row for row in tenant.ok(f"GET cloudvm/{what}/{{vmId}}", {"vmId": machine}).data
              if row[f"{what}.id"] == made.data[f"{what}.id"]]
    assert (row[f"{what}.name"], row[f"{what}.desc"]) == (name, name)
    assert not any(name in path for path in set(files(cloud)) - set(before) if len(name) > 2)
    tenant.ok(f"DELETE cloudvm/{what}/{{{what}Id}}", {f"{what}Id": row[f"{what}.id"]})
    assert files(cloud) == before


# ------------------------------------------------------------------------------------------ locations of storages
LOCATIONS = {
    "dir": ["relative", "..", "-o", "/srv/a/../../etc", "/srv/./a", "/srv//a", "/", "/etc", "/proc/self", "/dev/shm",
            "/srv/a\nb", "/srv/a\n", "/srv/a\x7f", "\n/srv/a", "host:/a", "file:///srv/a"],
    "nfs": ["relative", "/srv/a", "..", "-x:/y", "host:/a/../b", "h;id:/a", "$(id):/a", "http://x", "host:/a,b=c",
            "host:/a b", "host:/a\n", "host\n:/a", "host:/a\nb", "ho st:/a", ":/a", "host:", "host:a"],
}


@pytest.mark.parametrize("type,location", [(t, where) for t, all_of_it in LOCATIONS.items() for where in all_of_it],
                         ids=ascii)
def test_locations_that_are_none(admin, type, location):
    """They become arguments of mount and texts of a definition: refused before."""
    reply = admin.refused("POST cloudstorage/add", {"storage.name": "x", "storage.type": type,
                                                    "storage.location": location})
    assert reply.field == "storage.location" and reply.code in ("PARAM_FORMAT", "PARAM_CHARS", "STORAGE_PATH")


@pytest.mark.parametrize("key", ["storage.ceph.monitorip", "storage.ceph.poolname", "storage.ceph.user",
                                 "storage.ceph.key"])
@pytest.mark.parametrize("value", ["-x", "a b", "a\nb", "a'b", "<a>", "../a", "a;b", "@", "a:b@c"])
def test_words_of_ceph_that_are_none(admin, key, value):
    params = {"storage.name": "x", "storage.type": "ceph", "storage.location": "ceph",
              "storage.ceph.monitorip": "192.0.2.1", "storage.ceph.poolname": "pool", "storage.ceph.user": "user",
              "storage.ceph.key": "QUFBQUFBQUFBQUFBQUFBQQ==", key: value}
    reply = admin.refused("POST cloudstorage/add", params)
    assert reply.field == key and reply.code in ("PARAM_FORMAT", "PARAM_CHARS"), reply
    assert value not in (reply.text or "") or key != "storage.ceph.key", "the key is told to nobody"
