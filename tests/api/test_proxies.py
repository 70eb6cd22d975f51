"""Behind proxies: whose request it is, and what the cloud takes that a proxy makes of a request."""
import contextlib
import re
import subprocess

import pytest
from starvirt import BASE, DAEMON, Client

A, B = "203.0.113.9", "203.0.113.10"


def logged_client(server, request):
    """Of a request, as the log has it."""
    line = next(line for line in server.log().splitlines() if "event=request" in line and f'"{request}"' in line)
    return re.search(r' client="([^"]*)"', line)[1]


def client_of(server, headers):
    reply = Client(server).request("GET", "/healthz", None, headers)
    assert reply.status == 200
    return logged_client(server, reply.headers["X-Request-Id"])


SAID = [
    ({}, "127.0.0.1"), ({"X-Forwarded-For": A}, A), ({"x-forwarded-for": f"{B},\t{A}:443 "}, A),
    ({"X-Forwarded-For": f"{A}, 127.0.0.2"}, A), ({"X-Forwarded-For": "2001:db8::1"}, "2001:db8::1"),
    ({"X-Forwarded-For": "unknown"}, "127.0.0.1"), ({"Forwarded": f"for={A};proto=http"}, A),
    ({"Forwarded": 'proto=http;For="[2001:db8::1]:4711", for=127.0.0.3'}, "2001:db8::1"),
    ({"Forwarded": "for=_hidden"}, "127.0.0.1"), ({"X-Forwarded-For": A, "Forwarded": f"for={B}"}, "127.0.0.1"),
    ({"X-Real-IP": A}, "127.0.0.1"), ({"Via": f"1.1 {A}"}, "127.0.0.1"),
]


def test_whose_request_it_is(server):
    trusting, not_trusting = server(options=["--trusted-proxies", "127.0.0.0/8,2001:db8::/128"]), server()
    other = server(options=["--trusted-proxies", "127.0.0.2, 10.0.0.0/8"])
    for headers, client in SAID:
        assert client_of(trusting, headers) == client, headers
        assert client_of(not_trusting, headers) == client_of(other, headers) == "127.0.0.1", headers


def test_lines_of_a_proxy_are_one_list(server):
    one = server(options=["--trusted-proxies", "127.0.0.1"])
    with one.socket() as s:
        s.sendall(f"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {B}\r\nConnection: close\r\n"
                  f"X-Forwarded-For:{A}\r\n\r\n".encode())
        answer = s.makefile("rb").read().decode()
    assert logged_client(one, re.search(r"X-Request-Id: (\S+)", answer)[1]) == A


def guess(server, n, **headers):
    return [Client(server).call("GET cloudvm/model", token=f"{i:064x}", headers=headers).status for i in range(n)]


def test_who_guesses_behind_a_proxy_waits_alone(server):
    one = server(options=["--trusted-proxies", "127.0.0.1"])
    forwarded = {"X-Forwarded-For": A}
    assert guess(one, 21, **forwarded) == [200] * 20 + [429]
    assert guess(one, 1, **{"X-Forwarded-For": f"{B}, {A}"}) == [429], "whatever it says itself"
    assert guess(one, 1, **{"Forwarded": f"for={A}"}) == [429]
    assert guess(one, 20, **{"X-Forwarded-For": B}) == [200] * 20
    assert guess(one, 20) == [200] * 20, "nor the proxy"
    assert Client(one, one.admin.token).call("GET cloudvm/model", headers=forwarded).ok


def test_an_address_that_nobody_vouches_for_is_not_believed(server):
    one = server()
    assert guess(one, 20, **{"X-Forwarded-For": A}) == [200] * 20
    assert guess(one, 1, **{"X-Forwarded-For": B}) == [429]


@pytest.mark.parametrize("trusted,kept", [("127.0.0.1", 56), ("10.0.0.1", 32)])
def test_a_proxy_is_many_clients(server, trusted, kept):
    """An address has at most half of the places to itself."""
    one = server(options=["--trusted-proxies", trusted, "--connections", "64"])
    request = f"GET {BASE}cloudvm/model HTTP/1.1\r\nHost: x\r\nKEY_TOKEN: {one.admin.token}\r\n\r\n".encode()
    alive = 0
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(one.socket()) for _ in range(56)]
        for s in sockets:
            with contextlib.suppress(OSError):
                s.sendall(request)
                alive += bool(s.recv(1))
    assert alive == kept if kept == 56 else alive <= kept + 4


@pytest.mark.parametrize("value", ["proxy.example", "10.0.0.1/8", "10.0.0.0/33", "[::1]", "10.0.0.1:80"])
def test_what_is_no_address(tmp_path, value):
    done = subprocess.run([DAEMON, "--data", str(tmp_path / "data"), "--trusted-proxies", value], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == 2 and f"trusted.proxies: '{value}' is not like" in done.stderr
    assert not (tmp_path / "data").exists()


# ------------------------------------------------------------------------------------------------ the token's name
def test_a_name_with_an_underscore_may_have_a_hyphen(tenant, cloud):
    for name in ("KEY_TOKEN", "KEY-TOKEN", "key-token", "Key-Token"):
        assert Client(cloud).call("GET cloudvm/model", headers={name: tenant.token}).ok, name
    both = Client(cloud).call("GET cloudvm/model", headers={"KEY_TOKEN": tenant.token, "KEY-TOKEN": tenant.token})
    assert both.ok
    reply = Client(cloud).call("GET cloudvm/model", headers={"KEY_TOKEN": tenant.token, "KEY-TOKEN": "0" * 64})
    assert (reply.status, reply.code) == (400, "BAD_REQUEST")
