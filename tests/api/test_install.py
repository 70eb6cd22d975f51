"""`meson install` into a directory: what is there runs, and the unit, the configuration and the programs know of each
other."""
import os
import re
import shutil
import subprocess

import pytest
from daemon import Server
from starvirt import BUILD

pytestmark = pytest.mark.skipif(not shutil.which("meson"), reason="no meson")


def install(root):
    found = subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", str(root)],
                           capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    made = tmp_path_factory.mktemp("root")
    install(made)
    return made


def only(root, name, below=""):
    """The one file of that name."""
    (found,) = [path for path in root.rglob(name) if path.is_file() and below in str(path.parent)]
    return found


def test_each_part_is_there_once(root):
    for name, below in (("starvirtd", "sbin"), ("starvirt", "/bin"), ("starvirtd.service", "lib/systemd/system"),
                        ("starvirt.conf", "etc/starvirt"), ("starvirt.conf", "doc/starvirt/examples"),
                        ("starvirt", "bash-completion/completions"), ("LICENSE", "doc/starvirt"),
                        ("README.md", "doc/starvirt"), ("README.zh-CN.md", "doc/starvirt")):
        only(root, name, below)


def test_the_unit_starts_what_is_installed(root, tmp_path):
    unit = only(root, "starvirtd.service")
    program, config = re.search(r"^ExecStart=(\S+) --config (\S+)$", unit.read_text(), re.M).groups()
    assert os.access(f"{root}{program}", os.X_OK) and os.path.isfile(f"{root}{config}")
    assert "@" not in unit.read_text()
    if not shutil.which("systemd-analyze"):
        return
    here = tmp_path / "starvirtd.service"
    here.write_text(unit.read_text().replace(program, f"{root}{program}").replace(config, f"{root}{config}"))
    found = subprocess.run(["systemd-analyze", "verify", "--man=no", str(here)], capture_output=True, text=True, timeout=60)
    about_it = [line for line in found.stderr.splitlines() if "starvirtd.service" in line and "libvirtd.service" not in line]
    assert not about_it, found.stderr


def test_the_installed_server_runs_on_the_installed_configuration(root, tmp_path):
    one = Server(tmp_path / "data", daemon=str(only(root, "starvirtd", "sbin")),
                 options=["--config", str(only(root, "starvirt.conf", "etc"))])
    try:
        one.start()
        found = subprocess.run([only(root, "starvirt", "/bin"), "tenant", "list", "--token", one.admin.token,
                                "--server", "http://%s:%d" % one.address], capture_output=True, text=True, timeout=60)
        assert found.returncode == 0 and "app.id" in found.stdout, found.stderr
    finally:
        complaints = one.finish()
    assert not complaints


def test_every_option_of_the_sample_is_one(root):
    known = subprocess.run([only(root, "starvirtd", "sbin"), "--help"], capture_output=True, text=True, check=True).stdout
    sample = only(root, "starvirt.conf", "etc").read_text()
    named = re.findall(r"^(?:# )?([a-z][a-z._-]*) = ", sample, re.M)
    assert len(named) > 8 and all(f"  --{name} " in known for name in named), named


def test_the_shell_loads_the_completion(root):
    script = only(root, "starvirt", "completions")
    found = subprocess.run(["bash", "--norc", "-c", f'source "{script}" && complete -p starvirt'], capture_output=True,
                           text=True, timeout=30)
    assert found.returncode == 0 and "_starvirt" in found.stdout, found.stderr


def test_a_configuration_in_use_stays(root):
    config = only(root, "starvirt.conf", "etc")
    sample = only(root, "starvirt.conf", "examples")
    before = sample.read_text()
    config.write_text("# mine\n")
    sample.write_text("# of the version before\n")
    install(root)
    assert config.read_text() == "# mine\n" and sample.read_text() == before
    config.unlink()
    install(root)
    assert config.read_text() == before
