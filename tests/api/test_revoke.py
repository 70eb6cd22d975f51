"""What was begun with a token ends with it, within a second and with a word, whatever it is and however the token
goes; what was accepted goes on."""
import base64
import http.client
import re
import socket
import threading
import time

import pytest
from console import Refused, Screen, WebSocket, address
from images import uploads
from servers import Servers
from starvirt import BASE, Client, unique, wait_until

ISSUE, REVOKE = "POST cloudTenant/token/create", "DELETE cloudTenant/token/{tokenId}"
CODES = {"revoked": "TOKEN_INVALID", "tenant": "TOKEN_INVALID", "expired": "TOKEN_EXPIRED"}
LIFE_S = 3


class Bearer(Client):
    """A tenant that owns nothing; its token may everything, so that all can be begun with it, and ends by `cause`."""

    def __init__(self, place, cause):
        owner = place.admin.tenant()
        asked = {"app.id": owner.id, "token.role": "admin"}
        if cause == "expired":
            asked["token.expire"] = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + LIFE_S))
        made = place.admin.ok(ISSUE, asked).data
        super().__init__(place.server, made["token.value"])
        self.place, self.cause, self.owner, self.id = place, cause, owner.id, made["token.id"]

    def end(self):
        if self.cause == "revoked":
            self.place.admin.ok(REVOKE, {"tokenId": self.id})
        elif self.cause == "tenant":
            self.place.admin.ok("DELETE cloudTenant/{appId}", {"appId": self.owner})


class Place:
    def __init__(self, server):
        self.server, self.admin = server, server.admin
        self.tenant = self.admin.tenant()
        self.model = self.admin.model(size=1)
        self.vm = self.tenant.vm(**{"vnic.portgroupid": self.tenant.vpc(), "vm.tenant.model": self.model})

    def figure(self, name):
        return self.server.metrics()[name]

    def waiting(self, supply):
        return self.figure('starvirt_supply_used{supply="%s"}' % supply)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    servers = Servers(tmp_path_factory.mktemp("revoke"))
    yield Place(servers(connect="sim://?control=1"))
    servers.finish()


class Asked(threading.Thread):
    """A request on a thread of its own."""

    def __init__(self, call):
        super().__init__()
        self.reply, self.took = None, None
        self.fn = call
        self.start()

    def run(self):
        begin = time.monotonic()
        self.reply = self.fn()
        self.took = time.monotonic() - begin

    def wait(self):
        self.join(30)
        assert self.reply is not None, "it was not answered"
        return self.reply


CAUSES = list(CODES)


# ------------------------------------------------------------------------------------------- requests that wait
@pytest.mark.parametrize("cause", CAUSES)
def test_a_long_poll(place, cause):
    bearer = Bearer(place, cause)
    last = place.admin.last_event()
    asked = Asked(lambda: bearer.call("GET events", query={"since": last + 1000, "wait": 60}))
    wait_until(lambda: place.waiting("long_polls") == 1, "it waits")
    bearer.end()
    reply = asked.wait()
    assert (reply.body["result"], reply.code) == ("1003", CODES[cause])
    assert place.waiting("long_polls") == 0


@pytest.mark.parametrize("cause", CAUSES)
def test_a_request_that_a_job_answers(place, cause):
    """Its job was accepted and goes on; what that makes is not for who has no token any more."""
    bearer = Bearer(place, cause)
    place.server.control("hang=1")
    try:
        asked = Asked(lambda: bearer.call("POST cloudvm/setvncpwd", {"vm.id": place.vm}))
        wait_until(lambda: place.waiting("parked") == 1, "it waits")
        bearer.end()
        reply = asked.wait()
    finally:
        place.server.control("hang=0")
    assert (reply.body["result"], reply.code, reply.body["error"]["retry"]) == ("1003", "TOKEN_ENDED", "unknown")
    place.admin.done(re.search("[0-9a-f-]{36}", reply.text).group())


def test_others_go_on(place):
    """Another token of the same tenant, and the same requests of it."""
    first = Bearer(place, "revoked")
    second = place.admin.ok(ISSUE, {"app.id": first.owner}).data
    other = Client(place.server, second["token.value"])
    last = place.admin.last_event()
    stays = Asked(lambda: other.call("GET events", query={"since": last + 1000, "wait": 60}))
    goes = [Asked(lambda: first.call("GET events", query={"since": last + 1000, "wait": 60})) for _ in range(3)]
    wait_until(lambda: place.waiting("long_polls") == 4, "they wait")
    first.end()
    assert {asked.wait().code for asked in goes} == {"TOKEN_INVALID"}
    assert place.waiting("long_polls") == 1
    place.admin.ok(REVOKE, {"tokenId": place.admin.ok(ISSUE, {"app.id": first.owner}).data["token.id"]})
    other.vpc()
    assert place.waiting("long_polls") == 1 and stays.reply is None
    place.admin.ok(REVOKE, {"tokenId": second["token.id"]})
    assert stays.wait().code == "TOKEN_INVALID"


@pytest.mark.parametrize("cause", CAUSES)
def test_who_lost_a_token_is_no_guesser(place, cause):
    """However many polls end with a token, the address is not made to wait for it."""
    bearer = Bearer(place, cause)
    last = place.admin.last_event()
    asked = [Asked(lambda: bearer.call("GET events", query={"since": last + 1000, "wait": 60})) for _ in range(30)]
    wait_until(lambda: place.waiting("long_polls") == 30, "they wait")
    bearer.end()
    assert {a.wait().code for a in asked} == {CODES[cause]}
    assert place.admin.call("GET events").ok


# ------------------------------------------------------------------------------------------- consoles
@pytest.mark.parametrize("cause", CAUSES)
def test_the_address_of_a_console(place, cause):
    bearer = Bearer(place, cause)
    where = address(bearer, place.vm)
    bearer.end()
    if cause == "expired":
        wait_until(lambda: bearer.call("GET events").code == "TOKEN_EXPIRED", "it expired")
    with pytest.raises(Refused) as caught:
        WebSocket(place.server, where)
    assert caught.value.status == 403 and CODES[cause].encode() in base64.b64decode(caught.value.body)


@pytest.mark.parametrize("cause", CAUSES)
def test_an_open_console(place, cause):
    bearer = Bearer(place, cause)
    with WebSocket(place.server, address(bearer, place.vm)) as ws, \
            WebSocket(place.server, address(place.tenant, place.vm)) as other:
        Screen(ws)
        bearer.end()
        closed = ws.until_closed()
        assert (closed.code, closed.reason) == (4004, CODES[cause])
        Screen(other)
    wait_until(lambda: place.figure("starvirt_consoles") == 0, "all are gone")


# ------------------------------------------------------------------------------------------- uploads
@pytest.mark.parametrize("cause", CAUSES)
def test_an_upload(place, cause):
    """Told though its client says nothing; nothing of it stays."""
    bearer = Bearer(place, cause)
    templates = place.admin.ok("POST cloudtemplate/search").count
    s = socket.create_connection(place.server.address, timeout=30)
    s.sendall((f"POST {BASE}cloudtemplate/upload?name=late&format=raw HTTP/1.1\r\nHost: x\r\nKEY_TOKEN: {bearer.token}"
               "\r\nContent-Type: application/octet-stream\r\nContent-Length: 1048576\r\n\r\n").encode() + b"x" * 4096)
    wait_until(lambda: uploads(place.server), "it comes in")
    ended = place.figure("starvirt_token_ends_total")
    bearer.end()
    wait_until(lambda: place.figure("starvirt_token_ends_total") > ended, "its token is gone")
    reply = http.client.HTTPResponse(s)
    reply.begin()
    assert CODES[cause].encode() in base64.b64decode(reply.read())
    s.close()
    wait_until(lambda: not uploads(place.server), "its file goes")
    assert place.admin.ok("POST cloudtemplate/search").count == templates


# ------------------------------------------------------------------------------------------- what is being accepted
def test_nothing_is_accepted_after_a_revocation(place):
    """Writes of a token that is revoked meanwhile: whatever was answered with a token's failure left nothing."""
    bearer = Bearer(place, "revoked")
    made, refused = [], []

    def go_on():
        while not refused:
            reply = bearer.call("POST cloudnetwork/vpc/create", {"vpc.name": unique("late")})
            if reply.ok:
                made.append(reply.data["vpc.id"])
            else:
                refused.append(reply.code)

    threads = [threading.Thread(target=go_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(made) > 20, "they go on")
    bearer.end()
    for thread in threads:
        thread.join(30)
    assert set(refused) == {"TOKEN_INVALID"}
    other = Client(place.server, place.admin.ok(ISSUE, {"app.id": bearer.owner}).data["token.value"])
    assert other.ok("POST cloudnetwork/vpc/search").count == len(made)
