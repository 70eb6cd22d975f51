"""The KVM platform's dialect on its own listener: its document, its codes, and refusals derived from its rows."""
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import threading

import pytest
from images import MIB
from servers import Servers
from daemon import Server
from starvirt import ROOT, dump_kinds, dump_routes, wait_until

ROUTES = dump_routes("kvm-platform")
with open(os.path.join(ROOT, "tests", "api-data", "kvm-platform.jsonl"), encoding="utf-8") as _f:
    (DOCUMENT,) = map(json.loads, _f)
CODES = {row["code"]: row["text_zh"] for row in DOCUMENT["errors"]}
NET = "5b0503ba-1af4-11ea-baa2-000c2902e1%02x"
NOBODY = "01900000-0000-7000-8000-000000000000"


def name_of(route):
    return f"{route['keys']['handler']}/{route['keys']['command']}"


class Platform:
    def __init__(self, server):
        self.server, self.token = server, server.admin.token
        (line,) = [line for line in server.said if "kvm-platform on " in line]
        self.address = line.rsplit(" ", 1)[1]

    def raw(self, body, token=None, header="X-Auth-Token", method="POST", path="/", type="application/json"):
        conn = http.client.HTTPConnection(self.address, timeout=60)
        headers = {"Content-Type": type} if type is not None else {}
        if token is not False:
            headers[header] = token or self.token
        conn.request(method, path, body if isinstance(body, (bytes, str)) else json.dumps(body), headers)
        reply = conn.getresponse()
        text = reply.read()
        conn.close()
        return reply.status, json.loads(text) if text else None

    def call(self, op, data=None, **how):
        handler, command = op.split("/")
        status, reply = self.raw({"command": command, "handler": handler, "data": data or {}}, **how)
        assert status == 200 and set(reply) == {"code", "msg", "data"} and reply["code"] in CODES, reply
        return reply

    def ok(self, op, data=None, **how):
        reply = self.call(op, data, **how)
        assert (reply["code"], reply["msg"]) == (0, CODES[0]), reply
        return reply["data"]

    def refused(self, code, error, op, data=None, **how):
        reply = self.call(op, data, **how)
        assert (reply["code"], reply["data"].get("error")) == (code, error), reply
        return reply


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    servers = Servers(tmp_path_factory.mktemp("kvm"))
    yield servers(connect="sim://?hosts=2&control=1", options=["--kvm-platform", "127.0.0.1:0", "--check-replies"])
    servers.finish()


@pytest.fixture(scope="module")
def kvm(server):
    return Platform(server)


@pytest.fixture(scope="module")
def vm(server):
    tenant = server.admin.tenant("kvm-tenant")
    model = server.admin.model(size=1)
    return tenant, tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)


@pytest.fixture(scope="module")
def described(server):
    """{handler/command: (schema of the reply, properties of data)}"""
    api = json.loads(server.admin.request("GET", "/kvm-platform/openapi.json").raw)
    return api


def network(n, **other):
    return {"network_id": NET % n, "network_type": "vlan", "physical_interface": "ens224", "vlan_id": str(n), **other}


# --- the document ---

def test_the_documented_operation_is_as_in_the_document():
    (route,) = [r for r in ROUTES if not r["extension"]]
    assert (route["method"], route["path"], route["keys"]) == (DOCUMENT["method"], "", DOCUMENT["discriminator"])
    wanted = {p["name"].removeprefix("data."): p["required"] for p in DOCUMENT["body"] if p["name"].startswith("data.")}
    assert {p["name"]: p["required"] for p in route["params"]} == wanted
    assert route["fields"] == [row["name"] for row in DOCUMENT["response"]["data"]]


def test_the_documents_example_works(kvm):
    status, reply = kvm.raw(DOCUMENT["example_request"])
    assert status == 200 and set(reply) == set(DOCUMENT["example_response"]) and reply["code"] == 0
    assert reply["msg"] == "成功" and set(reply["data"]) == {"name"} and len(reply["data"]["name"]) <= 15
    kvm.ok("NetworkHandler/delete", {"network_id": DOCUMENT["example_request"]["data"]["network_id"]})


def test_it_is_described(described):
    text = json.dumps(described)
    for route in ROUTES:
        assert route["keys"]["handler"] in text and route["keys"]["command"] in text


def test_nothing_else_is_on_its_listener_and_it_is_on_no_other(kvm, server):
    status, reply = kvm.raw(b"", path="/starvcenter/services/cloudresource/cloudvm/model", method="GET")
    assert status == 404 and reply["code"] == -1
    assert server.admin.request("POST", "/").status == 404


# --- what clients get wrong ---

def test_a_body_without_a_type_is_json(kvm):
    body = json.dumps({"command": "query", "handler": "NetworkHandler", "data": {}})
    for type in (None, "", "application/json", " Application/JSON; charset=utf-8"):
        assert kvm.raw(body, type=type)[1]["code"] == 0
    assert kvm.raw(body, type="text/plain")[0] == 415


def test_ids_in_either_case(kvm, vm):
    _, guest = vm
    assert kvm.ok("VmHandler/query", {"vm_id": guest.upper()})["vm_id"] == guest
    made = kvm.ok("NetworkHandler/create", network(0xab, network_id=(NET % 0xab).upper()))
    (found,) = kvm.ok("NetworkHandler/query", {"network_id": NET % 0xab})["networks"]
    assert (found["network_id"], found["name"]) == (NET % 0xab, made["name"])
    kvm.refused(30006, "HOST_NETWORK_EXISTS", "NetworkHandler/create", network(0xab))
    kvm.ok("NetworkHandler/delete", {"network_id": (NET % 0xab).upper()})


def test_unknown_keys_are_a_warning_and_in_a_query_an_error(kvm):
    body = {"command": "query", "handler": "NetworkHandler", "data": {"netwrok_id": NET % 1}, "dat": 1}
    _, reply = kvm.raw(body)
    assert reply["code"] == 0 and reply["warning"] == "已忽略未知参数:dat, netwrok_id(是否指 network_id?)"
    status, reply = kvm.raw(body, path="/?x=1")
    assert (status, reply["code"], reply["data"]["error"], reply["data"]["field"]) == \
        (200, 30006, "PARAM_UNKNOWN", "x")


def test_full_width_commas_are_no_json_here(kvm):
    status, reply = kvm.raw('{"command":"query"，"handler":"NetworkHandler"}'.encode())
    assert reply["data"]["error"] == "BAD_JSON" and "U+FF0C" in reply["msg"]
    assert kvm.raw('{"command":"query","handler":"NetworkHandler",}')[1]["data"]["error"] == "BAD_JSON"


def test_not_found_names_the_value(kvm):
    reply = kvm.refused(30003, "HOST_NETWORK_NOT_FOUND", "NetworkHandler/delete", {"network_id": NET % 1})
    assert reply["msg"] == f"网络不存在:network_id={NET % 1}"


# --- networks ---

def test_networks_come_and_go(kvm):
    made = kvm.ok("NetworkHandler/create", network(1))["name"]
    kvm.ok("NetworkHandler/create", network(2))
    flat = kvm.ok("NetworkHandler/create", {"network_id": NET % 3, "network_type": "flat", "physical_interface": "eth9"})
    found = {row["network_id"]: row for row in kvm.ok("NetworkHandler/query")["networks"]}
    assert found[NET % 1]["name"] == made and found[NET % 1]["vlan_id"] == 1
    assert (found[NET % 3]["network_type"], found[NET % 3]["name"]) == ("flat", flat["name"])
    assert {NET % 1, NET % 2, NET % 3} <= {row["id"] for row in kvm.ok("HostHandler/network")["networks"]}
    for n in (1, 2, 3):
        kvm.ok("NetworkHandler/delete", {"network_id": NET % n})
    assert kvm.ok("NetworkHandler/query")["networks"] == []
    kvm.refused(30003, "HOST_NETWORK_NOT_FOUND", "NetworkHandler/delete", {"network_id": NET % 1})


def test_flat_and_vlan_do_not_share_an_interface(kvm):
    kvm.ok("NetworkHandler/create", network(10))
    plain = {"network_id": NET % 11, "network_type": "flat", "physical_interface": "ens224"}
    kvm.refused(30006, "HOST_NETWORK_CLASH", "NetworkHandler/create", plain)
    kvm.refused(30006, "HOST_NETWORK_EXISTS", "NetworkHandler/create", network(10))
    kvm.refused(30006, "HOST_NETWORK_EXISTS", "NetworkHandler/create", network(12, vlan_id="10"))
    kvm.ok("NetworkHandler/create", {**plain, "namespace": "blue"})  # another interface of that name
    kvm.ok("NetworkHandler/delete", {"network_id": NET % 10})
    kvm.ok("NetworkHandler/delete", {"network_id": NET % 11})


@pytest.mark.parametrize("code,error,change", [
    (30001, "NET_TYPE", {"network_type": "vxlan"}),
    (30005, "NET_DEVICE_NAME", {"physical_interface": "e" * 16}),
    (30006, "PARAM_CHARS", {"physical_interface": "e/../x"}),
    (30006, "PARAM_CHARS", {"physical_interface": "-x"}),
    (30006, "PARAM_CHARS", {"namespace": "a b"}),
    (30006, "PARAM_FORMAT", {"network_id": "7"}),
    (30006, "PARAM_RANGE", {"vlan_id": "4095"}),
    (30006, "PARAM_RANGE", {"vlan_id": 0}),
    (30006, "PARAM_TYPE", {"vlan_id": "x"}),
    (30006, "PARAM_MISSING", {"vlan_id": None}),
    (30006, "PARAM_CONFLICT", {"network_type": "flat"}),
    (30006, "PARAM_MISSING", {"network_id": None}),
])
def test_what_a_network_must_not_be(kvm, code, error, change):
    kvm.refused(code, error, "NetworkHandler/create", network(20, **change))
    assert kvm.ok("NetworkHandler/query")["networks"] == []


@pytest.mark.parametrize("kind,step", [("network.create", "make"), ("network.delete", "remove")])
@pytest.mark.parametrize("when", ["before", "after", "recorded"])
def test_a_crash_loses_and_leaks_nothing(tmp_path, kind, step, when):
    assert dump_kinds()[kind]["steps"] == [step]
    command = kind.split(".")[1]
    server = Server(tmp_path / "data", options=["--kvm-platform", "127.0.0.1:0"]).start()
    if command == "delete":
        Platform(server).ok("NetworkHandler/create", network(1))
    server.stop()
    server.crash_point = f"{kind}:{step}:{when}"
    server.start()
    job = server.through_crash(lambda: Platform(server).raw({
        "command": command, "handler": "NetworkHandler",
        "data": network(1) if command == "create" else {"network_id": NET % 1}}))
    job = server.admin.follow(job["startid"])
    assert job.result == "0", job.info
    rows = Platform(server).ok("NetworkHandler/query")["networks"]
    assert [row["network_id"] for row in rows] == ([NET % 1] if command == "create" else [])
    assert server.finish() == []


# --- who asks ---

def test_login(kvm, vm):
    tenant, _ = vm
    assert kvm.ok("LoginHandler/login", {"username": "admin"})["admin"] is True
    assert kvm.ok("LoginHandler/login", {"username": "kvm-tenant"}, token=tenant.token)["admin"] is False
    kvm.refused(10002, "LOGIN_USER", "LoginHandler/login", {"username": "admin"}, token=tenant.token)
    kvm.refused(10001, "TOKEN_INVALID", "LoginHandler/login", {"username": "admin"}, token="0" * 64)
    kvm.ok("VmHandler/list", token="Bearer " + kvm.token, header="Authorization")


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_nothing_works_without_a_token(kvm, route):
    kvm.refused(10001, "TOKEN_MISSING", name_of(route), token=False)


@pytest.mark.parametrize("route", [r for r in ROUTES if r["role"] == "admin"], ids=name_of)
def test_a_tenant_may_not(kvm, vm, route):
    kvm.refused(30004, "ADMIN_ONLY", name_of(route), token=vm[0].token)


# --- refusals from the rows ---

BAD = {"str": [("a\x1bb", "PARAM_CHARS"), ({}, "PARAM_TYPE"), ([1], "PARAM_TYPE"), (True, "PARAM_TYPE"),
               ("x" * 1025, "PARAM_LENGTH")],
       "int": [("x", "PARAM_TYPE"), ("1.5", "PARAM_TYPE"), ("9" * 25, "PARAM_RANGE"), ({}, "PARAM_TYPE"),
               (True, "PARAM_TYPE")]}
BAD["id"] = BAD["str"]


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_every_wrong_value_is_refused_by_its_name(kvm, route):
    good = {p["name"]: NOBODY if p["type"] == "id" else "vlan" for p in route["params"] if p["required"]}
    before = kvm.ok("NetworkHandler/query")
    for p in route["params"]:
        cases = BAD[p["type"]] + ([(None, "PARAM_MISSING"), ("", "PARAM_MISSING")] if p["required"] else [])
        for value, error in cases:
            reply = kvm.refused(30006, error, name_of(route), {**good, p["name"]: value})
            assert reply["data"]["field"] == p["name"] and p["name"] in reply["msg"], reply
    assert kvm.ok("NetworkHandler/query") == before


@pytest.mark.parametrize("body,code", [
    (b"", 30006), (b"{", 30006), (b"[]", 30006), (b"{}", 30006), (b'{"handler":"NetworkHandler"}', 30006),
    (b'{"handler":{},"command":[]}', 30004), (b'{"handler":"NetworkHandler","command":"create","data":[]}', 30006),
    (b'{"handler":"NetworkHandler","command":"drop"}', 30004), (b"[" * 100, 30006), (b"\xff", 30006),
])
def test_broken_bodies(kvm, body, code):
    status, reply = kvm.raw(body)
    assert status == 200 and reply["code"] == code and code in CODES, reply


# --- hosts and VMs ---

def test_hosts_are_told_of(kvm):
    for op, key in (("cpu", "hosts"), ("memory", "hosts"), ("hardware", "hosts"), ("storage", "storages")):
        assert len(kvm.ok(f"HostHandler/{op}")[key]) == 2, op
    host = kvm.ok("HostHandler/cpu")["hosts"][0]
    assert [row["host_id"] for row in kvm.ok("HostHandler/memory", {"host_id": host["host_id"]})["hosts"]] == [
        host["host_id"]]
    kvm.refused(30006, "HOST_NOT_FOUND", "HostHandler/cpu", {"host_id": NOBODY})
    up = {row["name"]: row["up"] for row in kvm.ok("HostHandler/services")["services"]}
    assert up == {"starvirtd": True, "none": True, "host1": True, "host2": True}


def test_before_a_host_has_told_of_itself(tmp_path):
    server = Server(tmp_path / "data", connect="qemu+unix:///system?socket=/nonexistent", hosts=0,
                    options=["--kvm-platform", "127.0.0.1:0"]).start()
    kvm = Platform(server)
    for op, code in (("cpu", 40001), ("memory", 40101), ("hardware", 40401)):
        kvm.refused(code, f"INFO_{op.upper()}", f"HostHandler/{op}")
    server.stop()


def test_a_vm_is_shut_down(kvm, vm, server):
    tenant, one = vm
    assert [row["vm_id"] for row in kvm.ok("VmHandler/list", token=tenant.token)["vms"]] == [one]
    assert kvm.ok("VmHandler/query", {"vm_id": one})["state"] == "running"
    assert kvm.ok("VmHandler/shutdown", {"vm_id": one}) == {"vm_id": one}
    shown = kvm.ok("VmHandler/query", {"vm_id": one})
    assert shown["state"] == "stopped" and shown["memory"] % MIB == 0
    tenant.run("PUT cloudvm/start", {"vm.id": one})
    for host in ("host1", "host2"):
        server.control("fail=shutdown:1", host)
    server.expect('result="HYPERVISOR"')
    kvm.refused(30009, "HYPERVISOR", "VmHandler/shutdown", {"vm_id": one})
    tenant.run("PUT cloudvm/suspend", {"vm.id": one})
    kvm.refused(30008, "VM_STATE", "VmHandler/shutdown", {"vm_id": one})
    kvm.refused(30007, "VM_NOT_FOUND", "VmHandler/shutdown", {"vm_id": NOBODY})
    other = server.admin.tenant("kvm-other")
    kvm.refused(30007, "VM_NOT_FOUND", "VmHandler/query", {"vm_id": one}, token=other.token)


def test_a_token_that_ends_while_its_request_waits(kvm, vm, server):
    """The job was accepted and goes on; its client is told by the code of a token that is not good."""
    tenant, one = vm
    if kvm.ok("VmHandler/query", {"vm_id": one})["state"] != "running":
        tenant.run("PUT cloudvm/resume", {"vm.id": one})
    made = server.admin.ok("POST cloudTenant/token/create", {"app.id": tenant.id}).data
    for host in ("host1", "host2"):
        server.control("hang=1", host)
    replies = []
    asking = threading.Thread(target=lambda: replies.append(
        kvm.call("VmHandler/shutdown", {"vm_id": one}, token=made["token.value"])))
    asking.start()
    wait_until(lambda: server.metrics()['starvirt_supply_used{supply="parked"}'] == 1, "it waits")
    server.admin.ok("DELETE cloudTenant/token/{tokenId}", {"tokenId": made["token.id"]})
    asking.join(30)
    for host in ("host1", "host2"):
        server.control("hang=0", host)
    (reply,) = replies
    assert (reply["code"], reply["data"]["error"]) == (10001, "TOKEN_ENDED")
    job = re.search("[0-9a-f-]{36}", json.dumps(reply)).group()
    server.admin.follow(job)


def test_every_reply_was_as_described(server):
    """All that came before this one in the file."""
    assert server.metrics()["starvirt_bad_replies_total"] == 0, server.log()[-2000:]


# --- the Linux engine, in a network namespace of its own ---

class Inside(Platform):
    """The server is in the namespace, and so is curl."""

    def __init__(self, server, enter):
        super().__init__(server)
        self.enter = enter

    def raw(self, body, **_):
        out = subprocess.run([*self.enter, "curl", "-s", "-w", "\n%{http_code}", "-H", f"X-Auth-Token: {self.token}",
                              "-H", "Content-Type: application/json", "-d", json.dumps(body),
                              f"http://{self.address}/"], capture_output=True, text=True, check=True, timeout=60).stdout
        text, _, status = out.rpartition("\n")
        return int(status), json.loads(text)


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_networks_on_a_real_interface(tmp_path):
    with contextlib.ExitStack() as stack:
        holder = stack.enter_context(subprocess.Popen(["unshare", "-n", "sleep", "600"]))
        stack.callback(holder.kill)
        mine = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != mine, "the namespace is there")
        enter = ["nsenter", "-t", str(holder.pid), "-n", "--"]

        def run(*argv):
            return subprocess.run([*enter, *argv], capture_output=True, text=True, check=True).stdout

        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "eth9", "type", "veth", "peer", "name", "wire")
        outside = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server = Server(tmp_path / "data", network="linux", prefix=enter, listen_fd=outside.fileno(),
                        options=["--kvm-platform", "127.0.0.1:18080"])
        stack.callback(lambda: server.process and server.kill())
        kvm = Inside(server.start(), enter)
        vlan = network(1, physical_interface="eth9")
        for code, error, change in ((30003, "NET_DEVICE_NOT_FOUND", {"physical_interface": "nosuch"}),
                                    (30004, "NET_DEVICE_UNUSABLE", {"physical_interface": "lo"}),
                                    (30002, "NETNS_NOT_FOUND", {"namespace": "nosuch"})):
            kvm.refused(code, error, "NetworkHandler/create", {**vlan, **change})
        assert kvm.ok("NetworkHandler/query")["networks"] == []
        bridge = kvm.ok("NetworkHandler/create", vlan)["name"]
        assert bridge in run("ip", "-d", "link") and "starvirt" in run("tc", "filter", "show", "dev", "eth9", "ingress")

        server.kill()
        run("ip", "link", "del", bridge)
        kvm = Inside(server.start(), enter)
        assert bridge in run("ip", "-d", "link")  # mended by the start
        kvm.ok("NetworkHandler/delete", {"network_id": NET % 1})
        assert "svh" not in run("ip", "link") and "svp" not in run("ip", "link")
        assert run("tc", "filter", "show", "dev", "eth9", "ingress") == ""
        assert server.finish() == []
