"""The blocks of both READMEs, pasted into one shell as they stand, twice on one directory. Addresses, the data
directory and the build directory are the test's own."""
import os
import re
import socket
import subprocess

import pytest
from starvirt import BUILD, ROOT

LANGUAGES = ["README.md", "README.zh-CN.md"]
# What a block begins with, and why it is not run here.
ELSEWHERE = {
    "scripts/run": "builds, and runs for minutes: stage `first` of scripts/test runs it, in a sandbox and with --sim",
    "meson setup build-usr": "changes the machine: test_install.py installs into a directory",
    "ip link add br-outer": "changes the machine: unit/test_net_router.c has such a bridge in a sandbox",
}


def blocks(name):
    with open(os.path.join(ROOT, name)) as f:
        return re.findall(r"^```sh\n(.*?)^```$", f.read(), re.M | re.S)


def free_address():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return "127.0.0.1:%d" % s.getsockname()[1]


def run_here(name, folder):
    """The blocks that are run, adapted, one after the other."""
    main, second = free_address(), free_address()
    text = "\n".join(block for block in blocks(name) if not block.startswith(tuple(ELSEWHERE)))
    for ours, theirs in (("--connect sim://", f"--connect sim:// --listen {main}"), ("127.0.0.1:18081", main),
                         ("127.0.0.1:18082", second), ("/tmp/cloud", f"{folder}/cloud"), ("build/", f"{BUILD}/")):
        assert ours in text
        text = text.replace(ours, theirs)
    return f"export STARVIRT_SERVER=http://{main}\n{text}"


def paste(text):
    """Into a shell that goes on after what fails, as one at a terminal does."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("STARVIRT_", "LC_", "LANG"))}
    env.update(XDG_CONFIG_HOME="/nonexistent", LC_ALL="C.UTF-8")
    return subprocess.run(["bash", "--norc", "-s"], input=text, capture_output=True, text=True, timeout=120, env=env)


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_blocks_can_be_pasted_twice(name, tmp_path):
    """All of them, to the end of the server and the proof; and once more with what is there."""
    text = run_here(name, tmp_path)
    for time in (1, 2):
        found = paste(text)
        said, out = found.stderr, found.stdout
        assert said == "" and found.returncode == 0, said + out
        assert out.count('"result":"0"') == 5 and '"error"' not in out, out
        assert re.search(r"^[0-9a-f-]+: done$", out, re.M) and "disk vda is ready, 20 GB\n" in out, "the job was followed"
        states = re.findall(r"^[0-9a-f-]{36} +\S+ +(\S+) ", out, re.M)
        assert len(states) == 2, out  # each time another tenant
        assert '"code":' in out and out.splitlines()[-1] == f"{tmp_path}/cloud: 0 breaches", out


def test_a_server_that_is_there_already_is_used(tmp_path):
    """Pasted once more while it runs, the first block tells so in the log and the rest goes on."""
    text = run_here(LANGUAGES[0], tmp_path)
    start, rest = text.split("\nBASE=", 1)
    rest, end = rest.split("\nkill ", 1)
    twice = "\n".join([start, "BASE=" + rest, start, "BASE=" + rest, "kill " + end])
    found = paste(twice)
    assert found.stderr == "" and '"error"' not in found.stdout, found.stderr + found.stdout
    assert "Address already in use" in (tmp_path / "cloud.log").read_text()
    assert found.stdout.splitlines()[-1] == f"{tmp_path}/cloud: 0 breaches"


def test_both_languages_are_in_step():
    """The same blocks, but for what is said to people, and the same sections."""
    def bare(block):
        block = re.sub(r"#.*", "", block.replace(' -H "Accept-Language: en"', ""))
        return re.sub(r"[^\x00-\x7f]+|Application server", "X", block).split()
    english, chinese = ([bare(block) for block in blocks(name)] for name in LANGUAGES)
    assert english == chinese
    sections = []
    for name in LANGUAGES:
        with open(os.path.join(ROOT, name)) as f:
            sections.append(re.findall(r"^#+(?= )", f.read(), re.M))
    assert sections[0] == sections[1]


def test_a_block_is_run_or_it_is_said_why_not():
    for name in LANGUAGES:
        left_out = [block for block in blocks(name) if block.startswith(tuple(ELSEWHERE))]
        assert len(left_out) == len(ELSEWHERE)
        with open(os.path.join(ROOT, name)) as f:
            assert set(re.findall(r"^```(\w*)$", f.read(), re.M)) <= {"sh", "nginx", ""}, "nothing is run by another name"
