"""Starting the server, and the programs' standard streams: what is wrong is told by option, value and what would be
right, before anything is touched, with an exit code that says whose fault it is."""
import os
import re
import resource
import shutil
import signal
import socket
import subprocess

import pytest
from starvirt import CLI, DAEMON, cli, wait_until

BY_OPTION, BY_MACHINE = 2, 1  # exit codes


def daemon(*argv, env=None, prefix=(), **how):
    how.setdefault("timeout", 60)
    return subprocess.run([*prefix, DAEMON, *argv], capture_output=True, text=True, env={**os.environ, **(env or {})}, **how)


def whole(told, says):
    """`told` with the path of `says` in full: a long one is shown by its end."""
    paths = re.split("[ :]", says)
    return re.sub("…([^ :]+)", lambda m: next((path for path in paths if path.endswith(m[1])), m[0]), told)


@pytest.fixture
def refused(tmp_path):
    """refused(2, "words", "--option", "value"): does not start, and says so in one line."""
    def check(code, says, *argv, data=tmp_path / "data", **how):
        found = daemon("--data", str(data), "--connect", "sim://", "--listen", "127.0.0.1:0", *argv, **how)
        told = [line for line in found.stderr.splitlines() if not line.startswith("ts=")]
        assert found.returncode == code and found.stdout == "" and len(told) == 1, found
        assert told[0].startswith("starvirtd: ") and says in whole(told[0], says), told[0]
        return found
    return check


# In front of a program that root starts: file modes count for it as for anybody.
AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"] if os.geteuid() == 0 else []


# ------------------------------------------------------------------------------------------------------- options
@pytest.mark.parametrize("argv, says", [
    (["--lisetn", "x"], "unknown option 'lisetn'; did you mean 'listen'?"),
    (["--backup_dirs=x"], "did you mean 'backup.dir'?"),
    (["--frobnicate"], "unknown option 'frobnicate'; see starvirtd --help"),
    (["--crash-point", "here"], "crash-point here: expected KIND:STEP:"),
    (["--connect", "gopher://x"], "connect gopher://x: no driver for this hypervisor URI, expected qemu:///system"),
    (["--connect", "qemu:///sytem"], "connect qemu:///sytem: expected /system at its end, as in qemu:///system"),
    (["--connect", "qemu://host"], "connect qemu://host: expected /system"),
    (["--connect", "qemu:system"], "connect qemu:system: expected qemu:///system"),
    (["--connect", "qemu+shs://a/system"], "connect qemu+shs://a/system: its transport is none of tls, unix, ssh"),
    (["--connect", "sim://?hosts=many"], "connect sim://?hosts=many: sim://: hosts= takes"),
    (["--listen", "localhost:18081"], "listen localhost:18081: not a numeric address; 127.0.0.1"),
    (["--listen", "18081"], "listen 18081: has no port, expected ADDRESS:PORT such as 127.0.0.1:18081"),
    (["--listen", "127.0.0.1"], "has no port, expected ADDRESS:PORT"),
    (["--listen", "[::1]"], "has no port, expected ADDRESS:PORT"),
    (["--listen", "::1:18081"], "an IPv6 address stands in brackets: [::1]:18081"),
    (["--listen", "127.0.0.1:"], "the port is a number from 0 to 65535"),
    (["--listen", "127.0.0.1:65536"], "the port is a number from 0 to 65535"),
    (["--listen", "127.0.0.1:http"], "the port is a number from 0 to 65535"),
    (["--listen", "127.0.0.256:1"], "not a numeric address"),
    (["--listen", "http://127.0.0.1:18081"], "listen http://127.0.0.1:18081: is a URL, expected ADDRESS:PORT"),
    (["--kvm-platform", "18082"], "kvm-platform 18082: has no port"),
    (["--config", "/"], "/: Is a directory"),
    (["--config", "/no/such.conf"], "/no/such.conf: No such file or directory"),
], ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_a_wrong_option_is_told_with_what_would_be_right(refused, tmp_path, argv, says):
    refused(BY_OPTION, says, *argv)
    if argv[0] not in ("--connect", "--crash-point"):
        assert not (tmp_path / "data").exists(), "told before anything is touched"


@pytest.mark.parametrize("text, says", [
    ("listn = 127.0.0.1:1\n", ":1: unknown option 'listn'; did you mean 'listen'?"),
    ("\n\nvpc.prefix = 40\n", ":3: vpc.prefix: '40' is not a number from 16 to 29"),
    ("threads = 1\nthreads = 2\n", ":2: threads: given twice"),
    ("config = x\n", ":1: config: only on the command line"),
    ("data = ~/cloud\n", ":1: data: '~/cloud' only a shell knows what ~ is"),
])
def test_a_wrong_line_of_a_file_is_named_however_long_its_path(refused, tmp_path, text, says):
    folder = tmp_path.joinpath(*["folder" * 10] * 3)
    folder.mkdir(parents=True)
    (folder / "starvirt.conf").write_text(text)
    refused(BY_OPTION, f"{folder}/starvirt.conf{says}", "--config", str(folder / "starvirt.conf"))


def test_a_file_that_may_not_be_read_is_named(refused, tmp_path):
    secret = tmp_path / "x.conf"
    secret.write_text("")
    secret.chmod(0)
    refused(BY_OPTION, f"{secret}: Permission denied", "--config", str(secret), prefix=AS_ANYBODY)


# --------------------------------------------------------------------------------------------------- the machine
def test_addresses_that_the_machine_does_not_give(refused, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = "127.0.0.1:%d" % busy.getsockname()[1]
        refused(BY_MACHINE, f"listen {address}: Address already in use", "--listen", address)
        refused(BY_MACHINE, f"kvm-platform {address}: Address already in use", "--kvm-platform", address)
    refused(BY_MACHINE, "listen 192.0.2.1:0: Cannot assign requested address", "--listen", "192.0.2.1:0")
    assert not (tmp_path / "data").exists(), "told before anything is touched"


def test_a_data_directory_that_cannot_be_used(refused, server, tmp_path):
    (tmp_path / "file").write_text("")
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    refused(BY_MACHINE, f"{tmp_path}/file: is not a directory", data=tmp_path / "file")
    refused(BY_MACHINE, f"{tmp_path}/file/x: Not a directory", data=tmp_path / "file" / "x")
    refused(BY_MACHINE, f"{tmp_path}/a/b: the directory it would be in is not there", data=tmp_path / "a" / "b")
    refused(BY_MACHINE, f"{open_to_all}: others may write in it", data=open_to_all)
    one = server(data=tmp_path / "taken")
    refused(BY_MACHINE, f"the data directory is used by another process: {one.data}", data=one.data)
    closed = tmp_path / "closed"
    closed.mkdir(0o500)
    refused(BY_MACHINE, f"{closed}/x: Permission denied", data=closed / "x", prefix=AS_ANYBODY)


def test_too_few_descriptors(refused):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
    refused(BY_MACHINE, "128 file descriptors are too few: at least 592", preexec_fn=few)


def test_fewer_descriptors_than_connections_are_logged(server):
    one = server(prefix=["prlimit", "--nofile=1000:1000"])
    assert 'event=server.few_descriptors limit="1000"' in one.log()


@pytest.mark.parametrize("zone", ["Mars/Base", "Asia", "../etc/passwd", "/etc/passwd", "CST", "Asia/Shanghai ", "8", "<+8"])
def test_a_zone_that_is_none_is_refused(refused, tmp_path, zone):
    """The C library would take it for UTC, and every time the API tells would be wrong."""
    refused(BY_OPTION, f"TZ '{zone}' is no time zone of this machine, such as Asia/Shanghai", env={"TZ": zone})
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("zone, hours", [
    ("", 0), ("UTC", 0), ("Asia/Shanghai", 8), (":Asia/Shanghai", 8), ("/usr/share/zoneinfo/Asia/Shanghai", 8),
    ("CST-8", 8), ("<+08>-8", 8), ("CET-1CEST,M1.1.0/0,M12.5.0/24", None),
])
def test_zones(server, zone, hours):
    one = server(env={"TZ": zone})
    import datetime
    shown = one.admin.ok("POST cloudTenant/search").data[0]["app.createtime"]
    made = datetime.datetime.strptime(shown, "%Y-%m-%d %H:%M:%S")
    away = (made - datetime.datetime.utcnow()).total_seconds() / 3600
    assert hours is None or abs(away - hours) < 0.2


# ---------------------------------------------------------------------------------------------------------- HTTPS
@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    """Certificates good and bad, and keys, as files of a folder."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl")
    folder = tmp_path_factory.mktemp("certs")

    def openssl(*argv):
        subprocess.run(["openssl", *argv], check=True, capture_output=True, cwd=folder)

    for name, days in (("server", 365), ("other", 365), ("old", 1), ("soon", 3)):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key",
                "-out", name + ".pem", "-days", str(days), "-subj", "/CN=" + name, "-addext",
                "subjectAltName=IP:127.0.0.1" if name != "other" else "subjectAltName=DNS:elsewhere.example")
    openssl("x509", "-in", "old.pem", "-signkey", "old.key", "-days", "-1", "-out", "old.pem")
    openssl("ec", "-in", "server.key", "-aes128", "-passout", "pass:x", "-out", "locked.key")
    (folder / "empty").write_text("")
    (folder / "text").write_text("hello\n")
    good = (folder / "server.pem").read_text()
    (folder / "broken.pem").write_text(good[:100] + "\n-----END CERTIFICATE-----\n")
    key = (folder / "server.key").read_text()
    (folder / "broken.key").write_text(key[:60] + "\n-----END PRIVATE KEY-----\n")
    (folder / "large").write_bytes(bytes(300000))
    return folder


@pytest.mark.parametrize("cert, key, option, says", [
    ("none", "server.key", "tls-cert", "No such file or directory"),
    ("server.pem", "none", "tls-key", "No such file or directory"),
    (".", "server.key", "tls-cert", "Is a directory"),
    ("server.pem", ".", "tls-key", "Is a directory"),
    ("empty", "server.key", "tls-cert", "is empty"),
    ("server.pem", "empty", "tls-key", "is empty"),
    ("text", "server.key", "tls-cert", "has no certificate in PEM form"),
    ("server.key", "server.pem", "tls-cert", "has no certificate in PEM form"),
    ("server.pem", "server.pem", "tls-key", "has no private key in PEM form"),
    ("broken.pem", "server.key", "tls-cert", "its certificate cannot be read: "),
    ("server.pem", "broken.key", "tls-key", "its key cannot be read: "),
    ("server.pem", "locked.key", "tls-key", "has a passphrase"),
    ("server.pem", "other.key", "tls-key", "belongs to another certificate than the first of the chain"),
    ("large", "server.key", "tls-cert", "is too large for PEM"),
])
def test_files_of_https_that_do_not_serve(refused, certs, tmp_path, cert, key, option, says):
    path = os.path.normpath(certs / (cert if option == "tls-cert" else key))
    refused(BY_OPTION, f"{option} {path}: {says}", "--tls-cert", str(certs / cert), "--tls-key", str(certs / key))
    assert not (tmp_path / "data").exists(), "told before anything is touched"


def test_a_key_that_may_not_be_read(refused, certs, tmp_path):
    for name in ("server.pem", "server.key"):
        shutil.copy(certs / name, tmp_path)
        (tmp_path / name).chmod(0o644 if name == "server.pem" else 0)
    refused(BY_OPTION, f"tls-key {tmp_path}/server.key: Permission denied", "--tls-cert", str(tmp_path / "server.pem"),
            "--tls-key", str(tmp_path / "server.key"), prefix=AS_ANYBODY)


@pytest.mark.parametrize("name, event", [("old", "tls.expired"), ("soon", "tls.expires_soon"), ("server", None)])
def test_a_certificate_out_of_date_serves_and_is_logged(server, certs, name, event):
    """Whether it counts is the client's to say; an API that is gone after a restart helps nobody."""
    one = server(options=["--tls-cert", str(certs / f"{name}.pem"), "--tls-key", str(certs / f"{name}.key")],
                 tls=None, start=False)
    import ssl
    one.tls = ssl.create_default_context()
    one.tls.check_hostname, one.tls.verify_mode = False, ssl.CERT_NONE
    one.start()
    logged = [line for line in one.log().splitlines() if "event=tls." in line]
    assert [event] == [line.split("event=")[1].split()[0] for line in logged] if event else not logged


def test_the_command_line_says_what_it_needs_to_trust(server, certs, tmp_path):
    one = server(options=["--tls-cert", str(certs / "server.pem"), "--tls-key", str(certs / "server.key")],
                 tls=str(certs / "server.pem"))
    address = "https://127.0.0.1:%d" % one.address[1]

    def call(url, *argv):
        return cli("vpc", "list", "--server", url, "--token", one.admin.token, *argv)

    assert call(address, "--cacert", str(certs / "server.pem")).returncode == 0
    for argv, says in (((), "--cacert FILE"), (("--cacert", str(certs / "other.pem")), "--cacert FILE"),
                       (("--cacert", str(certs / "none")), "--cacert has to name a file of certificates")):
        found = call(address, *argv)
        assert found.returncode == 1 and found.stdout == "" and says in found.stderr, found.stderr
        assert found.stderr.startswith(f"starvirt: {address}: ")
    plain = call(address.replace("https", "http"))
    assert plain.returncode == 1 and "speaks https://" in plain.stderr, plain.stderr


def test_the_command_line_and_a_certificate_of_another_name(server, certs):
    one = server(options=["--tls-cert", str(certs / "other.pem"), "--tls-key", str(certs / "other.key")], start=False)
    import ssl
    one.tls = ssl.create_default_context(cafile=str(certs / "other.pem"))
    one.tls.check_hostname = False
    one.start()
    found = cli("vpc", "list", "--server", "https://127.0.0.1:%d" % one.address[1], "--token", one.admin.token,
                "--cacert", str(certs / "other.pem"))
    assert found.returncode == 1 and "the certificate is for another name" in found.stderr, found.stderr


def test_the_command_line_and_a_server_without_https(cloud, admin):
    found = cli("vpc", "list", "--server", "https://127.0.0.1:%d" % cloud.address[1], "--token", admin.token)
    assert found.returncode == 1 and "speaks http://" in found.stderr, found.stderr
    nobody = cli("vpc", "list", "--server", "http://127.0.0.1:1", "--token", admin.token)
    assert nobody.returncode == 1 and "is starvirtd running?" in nobody.stderr, nobody.stderr


# ---------------------------------------------------------------------------------------------- standard streams
PRINTS = [[DAEMON, "--help"], [DAEMON, "--version"], [DAEMON, "--dump-routes"], [DAEMON, "--dump-kinds"],
          [CLI, "--help"], [CLI, "help"], [CLI, "--version"], [CLI, "operations"], [CLI, "completion", "bash"],
          [CLI, "complete", "--", "vm", ""], [CLI, "help", "vm", "create"], [CLI, "help", "cloudvm/create"],
          [CLI, "help", "vm"], [CLI, "vm", "list"], [CLI, "vm", "list", "--json"], [CLI, "vpc", "create", "a"],
          [CLI, "jobs", "follow", "STARTID"], [CLI, "fsck", "--data", "DATA"]]


def name_of(argv):
    return " ".join([os.path.basename(argv[0]), *argv[1:]])


@pytest.fixture(scope="module")
def called(cloud, admin, model):
    """called(argv, stdout=...): as a tenant with a VM, whose job is STARTID."""
    tenant = admin.tenant()
    made = tenant.create(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model).data[0]
    tenant.done(made["jobstartid"])
    env = {**os.environ, "STARVIRT_SERVER": "http://%s:%d" % cloud.address, "STARVIRT_TOKEN": tenant.token,
           "XDG_CONFIG_HOME": "/nonexistent"}
    stands_for = {"STARTID": made["jobstartid"], "DATA": cloud.data}

    def call(argv, **how):
        return subprocess.run([stands_for.get(word, word) for word in argv], stderr=subprocess.PIPE, text=True,
                              env=env, timeout=60, **how)
    return call


@pytest.mark.parametrize("argv", PRINTS, ids=name_of)
def test_output_that_is_lost_is_told(called, argv):
    program = os.path.basename(argv[0])
    assert called(argv, stdout=subprocess.DEVNULL).returncode == 0
    with open("/dev/full", "w") as full:
        lost = called(argv, stdout=full)
    assert lost.returncode == 1 and lost.stderr.startswith(f"{program}: standard output: "), lost
    closed = called(argv, preexec_fn=lambda: os.close(1))
    assert closed.returncode == 1 and closed.stderr.startswith(f"{program}: standard output: "), closed


@pytest.mark.parametrize("argv", PRINTS, ids=name_of)
@pytest.mark.parametrize("pipe", ["default", "ignored"])
def test_a_reader_that_has_gone_is_no_news(called, argv, pipe):
    """Whether or not who started it has signals of broken pipes ignored."""
    reader, writer = os.pipe()
    os.close(reader)
    how = signal.SIG_IGN if pipe == "ignored" else signal.SIG_DFL
    found = called(argv, stdout=writer, restore_signals=False, preexec_fn=lambda: signal.signal(signal.SIGPIPE, how))
    os.close(writer)
    assert found.returncode == (1 if pipe == "ignored" else -signal.SIGPIPE) and found.stderr == "", found


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_a_server_without_standard_streams(server, tmp_path, closed):
    """No file of its own, such as the database, may become one of them: what is logged would be written into it."""
    one = server(data=tmp_path / "data")
    listen = "127.0.0.1:%d" % one.address[1]
    one.stop()
    process = subprocess.Popen([DAEMON, "--data", one.data, "--connect", "sim://", "--listen", listen,
                                "--log.level", "debug"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=lambda: [os.close(fd) for fd in closed])
    try:
        def serves():
            assert process.poll() is None, "it ended"
            try:
                socket.create_connection(one.address, 5).close()
            except ConnectionRefusedError:
                return False
            return True
        wait_until(serves, "it serves")
        for fd in range(3):
            assert os.readlink(f"/proc/{process.pid}/fd/{fd}") == "/dev/null"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert one.fsck() == ""


def test_a_server_whose_output_nobody_reads(server, tmp_path):
    """It serves; where it listens was asked for by nobody."""
    one = server(data=tmp_path / "data")
    one.stop()
    with open("/dev/full", "w") as full, open(tmp_path / "log", "w") as log:
        process = subprocess.Popen([DAEMON, "--data", one.data, "--connect", "sim://", "--listen", "127.0.0.1:0"],
                                   stdout=full, stderr=log)
    wait_until(lambda: "event=server.ready" in (tmp_path / "log").read_text(), "it is ready")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


# ---------------------------------------------------------------------------------------------- failed starts
@pytest.mark.parametrize("uris", [["sim://?hosts=8", "sim://"], ["sim://?hosts=8", "gopher://x"]], ids=" ".join)
def test_a_start_that_fails_late_ends_cleanly(tmp_path, uris):
    """What was opened before is closed in order: hypervisors have threads by then."""
    connect = [part for uri in uris for part in ("--connect", uri)]
    for _ in range(3):
        found = daemon("--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", *connect)
        assert found.returncode in (BY_MACHINE, BY_OPTION) and "Sanitizer" not in found.stderr, found.stderr
