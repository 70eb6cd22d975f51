"""Paths as people give them to the programs: relative, with blanks, through links, in a file; and those of the API."""
import os
import shutil

import pytest
from images import row_of
from starvirt import CLI, cli, unique

IMPORT = "POST cloudtemplate/import"


def in_folder(folder):
    return ["env", "-C", str(folder)]


@pytest.fixture
def start(server, tmp_path):
    """start(options, data=...): a server whose working directory is tmp_path/"here"; `data` is what the test knows it
    to be, from the root."""
    (tmp_path / "here").mkdir()

    def started(*options, data, **how):
        how.setdefault("connect", "sim://?control=1")
        return server(data=data, prefix=in_folder(tmp_path / "here"), options=options, **how)
    return started


def backed_up(one):
    """A VM of a new tenant, and where the files of a backup of it, made while it runs, lie."""
    tenant = one.admin.tenant()
    vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=one.admin.model(size=1))
    reply = tenant.ok("POST cloudvm/backup/create", {"backup.vmid": vm, "backup.name": "one"})
    tenant.done(reply.startid)
    tenant.run("PUT cloudvm/backup/restore", {"backup.id": reply.data["backup.id"]})
    return reply.data["backup.id"]


@pytest.mark.parametrize("given, whole", [
    ("cloud", "here/cloud"), ("./cloud/", "here/cloud"), ("../a b/new", "here/../a b/new"), ("link", "here/link"),
    ("link/../new", "here/link/../new"),
])
def test_a_relative_data_directory(start, tmp_path, given, whole):
    """Everything that is told of it is from the root, as it was given: links and ".." are the machine's business."""
    (tmp_path / "a b").mkdir()
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "here").joinpath("link").symlink_to(tmp_path / "real" / "deep")
    data = str(tmp_path / whole)
    one = start("--data", given, data=data)
    backup = backed_up(one)
    assert os.listdir(os.path.join(data, "backups", backup))
    one.tellable.add(one.data)
    (images,) = {row["storage.location"] for row in one.admin.ok("POST cloudstorage/search").data}
    assert images == data + "/images"


def test_other_directories(start, tmp_path):
    data = str(tmp_path / "data")
    one = start("--backup.dir", "to keep", "--hv.image_dir=./pictures", data=data)
    backup = backed_up(one)
    assert os.listdir(tmp_path / "here" / "to keep" / backup)
    (images,) = {row["storage.location"] for row in one.admin.ok("POST cloudstorage/search").data}
    assert images == str(tmp_path / "here" / "pictures")


def test_a_file_of_options_names_what_lies_beside_it(start, tmp_path):
    """Whatever the working directory is: a service's is the root."""
    folder = tmp_path / "etc" / "cloud"
    folder.mkdir(parents=True)
    (folder / "starvirt.conf").write_text('data = "../my data"\nbackup.dir = kept\nimport.dirs = images, /srv/images\n')
    image = folder / "images" / "x.raw"
    image.parent.mkdir()
    image.write_bytes(bytes(1 << 20))
    one = start("--config", "../etc/cloud/starvirt.conf", data=str(folder / ".." / "my data"), data_option=False)
    assert os.listdir(folder / "kept" / backed_up(one))
    one.admin.template(str(image), **{"template.format": "raw"})


def test_directories_of_imports_may_be_links(server, tmp_path, raw_image):
    """They are compared as the machine resolves them, as the file is."""
    (tmp_path / "images").mkdir()
    (tmp_path / "beside").mkdir()
    (tmp_path / "offered").symlink_to("images")
    for folder in ("images", "beside"):
        shutil.copy(raw_image, tmp_path / folder / "x.raw")
    (tmp_path / "images" / "out.raw").symlink_to(tmp_path / "beside" / "x.raw")
    one = server(options=["--import.dirs", f"{tmp_path}/offered/../offered/, {tmp_path}/none yet"])
    for path in ("offered", "images"):
        one.admin.template(str(tmp_path / path / "x.raw"), **{"template.format": "raw"})
    for path in ("beside/x.raw", "images/out.raw", "offered/../beside/x.raw"):
        one.admin.refused(IMPORT, {"template.name": unique("t"), "template.path": str(tmp_path / path)},
                          "TEMPLATE_PATH", "template.path")
    (tmp_path / "none yet").mkdir()
    shutil.copy(raw_image, tmp_path / "none yet")
    one.admin.template(str(tmp_path / "none yet" / os.path.basename(raw_image)), **{"template.format": "raw"})


@pytest.mark.parametrize("how", ["relative", "moved"])
def test_rows_of_another_data_directory(server, tmp_path, how):
    """An upload that waits to be imported is found, whatever its row calls the directory: rows of earlier versions are
    relative to a working directory that nobody knows any more, and a directory may have been moved."""
    one = server(data=tmp_path / "old", crash_point="template.import:check:before")
    reply = one.admin.call("POST cloudtemplate/upload", query={"name": "waits", "format": "raw"}, body=bytes(1 << 20),
                           type="application/octet-stream")
    one.crashed()
    one.crash_point = None
    if how == "relative":
        with one.database("rw") as db:
            for table, column in (("template", "source"), ("storage", "location")):
                db.execute(f"UPDATE {table} SET {column} = replace({column}, ?, 'some/data')", (one.data,))
            db.commit()
        assert one.start().admin.done(reply.startid)
        return
    shutil.move(one.data, tmp_path / "new")
    two = server(data=tmp_path / "new")
    two.admin.done(reply.startid)
    assert row_of(two.admin, reply.data["template.id"])["template.state"] == "ready"
    assert os.listdir(two.data + "/upload") == []


# ------------------------------------------------------------------------------------------------------ the API
def test_paths_of_the_api_are_from_the_root(server):
    """Relative to what, a client cannot know."""
    one = server()
    one.tellable.add(one.data)
    host = one.admin.ok("POST cloudstorage/search").data[0]["storage.hostid"]
    for path in ("images/x.raw", "./x.raw", "~/x.raw", "x.raw"):
        reply = one.admin.refused(IMPORT, {"template.name": "t", "template.path": path}, "TEMPLATE_PATH",
                                  "template.path")
        assert "not an absolute path" in reply.text, reply.text
        params = {"storage.name": "s", "storage.type": "dir", "storage.location": path, "storage.hostid": host}
        reply = one.admin.refused("POST cloudstorage/add", params, "PARAM_FORMAT", "storage.location")
        assert "/path/of/a/directory" in reply.text, reply.text


# ------------------------------------------------------------------------------------------------ the command line
def test_fsck_of_a_relative_directory(server, tmp_path):
    one = server(data=tmp_path / "my data")
    one.stop()
    (tmp_path / "link").symlink_to("my data")
    for given in ("my data", "./link/", "link/../my data"):
        found = cli("fsck", "--data", given, "--connect", "sim://", prefix=in_folder(tmp_path))
        assert found.returncode == 0 and found.stdout.startswith(str(tmp_path)), found.stdout + found.stderr
    wrong = cli("fsck", "--data", "none", prefix=in_folder(tmp_path))
    assert wrong.returncode == 1 and str(tmp_path / "none") in wrong.stderr


def test_files_of_the_command_line(cloud, tenant, tmp_path, raw_image):
    """A flag's path is relative to the working directory, one of the settings to where the settings lie."""
    settings = tmp_path / "etc" / "starvirt"
    settings.mkdir(parents=True)
    (tmp_path / "here").mkdir()
    for folder in (settings, tmp_path / "here"):
        (folder / "my token").write_text(tenant.token + "\n")
    shutil.copy(raw_image, tmp_path / "here" / "an image")
    address = "http://%s:%d" % cloud.address
    (settings / "config").write_text(f"server = {address}\ntoken-file = my token\n")

    def run(*argv, **env):
        found = cli(*argv, env=env, prefix=in_folder(tmp_path / "here"))
        assert found.returncode == 0, found.stderr
        return found.stdout

    run("vpc", "list", XDG_CONFIG_HOME=str(tmp_path / "etc"))
    run("vpc", "list", STARVIRT_SERVER=address, STARVIRT_TOKEN_FILE="my token")
    run("vpc", "list", "--token-file", "./my token", STARVIRT_SERVER=address)
    run("template", "upload", "an image", "relative", "format=raw", "--wait", "--token-file=my token",
        STARVIRT_SERVER=address)
    home = cli("vpc", "list", "--token-file", "~/token", env={"STARVIRT_SERVER": address})
    assert home.returncode == 2 and home.stderr == "starvirt: --token-file: only a shell knows what ~ is\n"
    (settings / "config").write_text("token-file = none\n")
    wrong = cli("vpc", "list", env={"XDG_CONFIG_HOME": str(tmp_path / "etc")})
    assert wrong.returncode == 2 and wrong.stderr == f"starvirt: {settings}/none: No such file or directory\n"


def test_the_working_directory_is_gone(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    found = cli("fsck", "--data", "x", prefix=["sh", "-c", f'cd "{gone}" && rmdir "{gone}" && exec "$@"', "sh"])
    assert found.returncode == 2 and "--data: is relative, and the working directory is gone" in found.stderr
    assert CLI not in found.stderr
