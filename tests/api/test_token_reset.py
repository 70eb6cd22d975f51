"""starvirt token reset: another admin.token for whoever owns the data directory, whether the server runs or not."""
import concurrent.futures
import fcntl
import os
import re
import socket
import stat

import pytest
from starvirt import Client, cli

OPERATION = "GET cloudvm/model"


def token_file(server):
    return os.path.join(server.data, "admin.token")


def in_file(server):
    with open(token_file(server)) as f:
        return f.read().strip()


def reset(server, revoked=1):
    """The token that is in the file then; the command said what it did."""
    done = cli("token", "reset", "--data", server.data)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{server.data}/admin.token: a new administrator's token; revoked of those before it: {revoked}\n"
    assert stat.S_IMODE(os.stat(token_file(server)).st_mode) == 0o600
    assert not os.path.exists(token_file(server) + ".new")
    token = in_file(server)
    assert re.fullmatch("[0-9a-f]{64}", token) and token not in done.stdout
    return token


def good(server, token):
    return Client(server, token).call(OPERATION).ok


def tokens(server, token):
    rows = Client(server, token).ok("POST cloudTenant/token/search").data
    return [(row["token.role"], row["token.desc"]) for row in rows]


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "there"])
def test_of_a_running_server(server, lost):
    one = server()
    old, issued = one.admin.token, one.admin.ok("POST cloudTenant/token/create", {
        "app.id": one.admin.ok("POST cloudTenant/search", {"app.name": "admin"}).data[0]["app.id"],
        "token.role": "admin", "token.desc": "of somebody"}).data["token.value"]
    tenant = one.admin.tenant()
    if lost:
        os.unlink(token_file(one))
    new = reset(one)
    assert new != old and good(one, new) and not good(one, old), "at once"
    assert good(one, issued) and good(one, tenant.token), "what was issued by hand stays"
    assert Client(one, new).call("POST cloudTenant/search").ok
    assert re.search(r'level=warn .*event=token\.reset .*revoked="1"', one.log())
    assert any(event["event.type"] == "token.reset" for event in Client(one, new).events())
    one.admin.token = newest = reset(one)
    assert not good(one, new) and good(one, newest)
    assert sorted(tokens(one, newest)) == sorted([("admin", "token reset"), ("admin", "of somebody"), ("tenant", "")])
    one.stop()
    one.start()
    assert good(one, newest) and in_file(one) == newest, "a start makes no other"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_of_a_stopped_server(server, how):
    one = server()
    tenant = one.admin.tenant()
    old = one.admin.token
    getattr(one, how)()
    os.unlink(token_file(one))
    first = reset(one)
    second = reset(one)
    one.start()
    assert one.admin.token == second and good(one, second) and good(one, tenant.token)
    assert not good(one, first) and not good(one, old)


def test_when_no_administrator_has_a_token_left(server):
    """All were revoked but the file's, and that is gone."""
    one = server()
    os.unlink(token_file(one))
    one.admin.token = reset(one)
    assert tokens(one, one.admin.token) == [("admin", "token reset")]


@pytest.mark.race
def test_many_at_once(server):
    """While others use the API: every one is told that it was done, and exactly one token is good in the end."""
    one = server()
    seen, old = [], one.admin.token
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        running = [pool.submit(cli, "token", "reset", "--data", one.data) for _ in range(6)]
        while not all(task.done() for task in running):
            seen.append(in_file(one))
            assert Client(one, old).call(OPERATION).code in (None, "TOKEN_INVALID", "TOO_MANY_REQUESTS")
    assert [task.result().returncode for task in running] == [0] * 6, [task.result().stderr for task in running]
    one.admin.token = in_file(one)
    assert tokens(one, one.admin.token) == [("admin", "token reset")]
    assert not any(good(one, token) for token in set(seen) - {one.admin.token})


def test_who_has_the_directory_and_does_not_listen_is_waited_for(server):
    """A server that starts or stops just now."""
    one = server()
    one.stop()
    with open(os.path.join(one.data, "lock")) as lock, concurrent.futures.ThreadPoolExecutor(1) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        task = pool.submit(cli, "token", "reset", "--data", one.data)
        tried = concurrent.futures.wait([task], 1).done
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert not tried and task.result().returncode == 0, task.result().stderr
    one.start()
    assert good(one, in_file(one))


def test_a_long_path(server, tmp_path):
    """Longer than the address of a socket may be."""
    folder = tmp_path
    while len(str(folder)) < 300:
        folder = folder / ("d" * 60)
    folder.mkdir(parents=True)
    one = server(data=folder / "data")
    old = one.admin.token
    one.admin.token = reset(one)
    assert good(one, one.admin.token) and not good(one, old)


def test_what_has_none(tmp_path):
    done = cli("token", "reset", "--data", str(tmp_path))
    assert done.returncode == 1 and "starvirt.db" in done.stderr and os.listdir(tmp_path) == []
    done = cli("token", "reset", "--data", str(tmp_path / "none"))
    assert done.returncode == 1 and not (tmp_path / "none").exists()
    done = cli("token", "reset")
    assert done.returncode == 2 and "--data" in done.stderr


def test_the_socket_is_for_the_owner_and_knows_its_words(server):
    one = server()
    path = os.path.join(one.data, "control")
    assert stat.S_IMODE(os.stat(path).st_mode) & 0o077 == 0

    def ask(text):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(text)
            s.shutdown(socket.SHUT_WR)
            return s.makefile("rb").read()

    assert ask(b"x") == b"1 this server does not know 'x'" and ask(b"") == b""
    assert len(ask(b"y" * 200)) < 100
    assert ask(b"token-reset\n") == b"0 1"
    one.admin.token = in_file(one)
    one.stop()
    assert not os.path.exists(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_root_does_it_for_the_owner(server, tmp_path):
    one = server()
    one.stop()
    for name in os.listdir(one.data) + ["."]:
        os.chown(os.path.join(one.data, name), 65534, 65534)
    reset(one)
    st = os.stat(token_file(one))
    assert (st.st_uid, st.st_gid) == (65534, 65534)
    for name in os.listdir(one.data) + ["."]:
        os.chown(os.path.join(one.data, name), 0, 0)
