"""Refusals derived from the rows: for every served operation and every parameter of it a missing, mistyped,
too small, too large, too long or unlisted value fails, names that wire key, and changes nothing."""
import json
import re

import pytest
from servers import Servers
from starvirt import BASE, Client, dump_routes, op_name

ID = "01900000-0000-7000-8000-000000000000"
SERVED = [route for route in dump_routes() if route["served"]]
FORMATS = {"ipv4": "198.51.100.9", "pem": "-----BEGIN X-----\n-----END X-----"}
RAW_BODY = {"POST cloudtemplate/upload"}


class Param:
    def __init__(self, name, schema, place, required):
        self.name, self.schema, self.place, self.required = name, schema, place, required

    def good(self):
        """Any value of the right form; what it names need not exist."""
        schema = self.schema
        if "enum" in schema:
            return schema["enum"][0]
        if schema["type"] == "integer":
            return schema.get("minimum", 1)
        if schema["type"] == "boolean":
            return True
        if schema["type"] == "array":
            return []
        if schema.get("format") in FORMATS:
            return FORMATS[schema["format"]]
        if "pattern" in schema:
            return "2099-01-01 00:00:00"
        if schema.get("format") == "ipv4":
            return "10.255.255.9"
        return ID

    def bad(self):
        """(value, code): one of each kind of wrong."""
        schema = self.schema
        cases = []
        if "enum" in schema:
            cases.append(("no-such", "PARAM_ENUM"))
        elif schema["type"] == "integer":
            cases += [("x", "PARAM_TYPE"), ("1.5", "PARAM_TYPE"), ("9" * 25, "PARAM_RANGE")]
            if "minimum" in schema:
                cases.append((schema["minimum"] - 1, "PARAM_RANGE"))
            if "maximum" in schema:
                cases.append((schema["maximum"] + 1, "PARAM_RANGE"))
        elif schema["type"] == "boolean":
            cases += [("yes", "PARAM_TYPE"), ("1", "PARAM_TYPE")]
        elif schema["type"] == "array":
            cases += [("x", "PARAM_TYPE"), ([{}] * (schema["maxItems"] + 1), "PARAM_RANGE")]
        elif schema.get("format") == "ipv4":
            cases += [("10.0.0", "PARAM_FORMAT"), ("10.0.0.256", "PARAM_FORMAT"), ("2001:db8::1", "PARAM_FORMAT")]
        elif schema.get("format") == "pem":
            cases += [("no PEM", "PARAM_FORMAT"), ("x" * (schema["maxLength"] + 1), "PARAM_LENGTH"),
                      ("a\x1bb", "PARAM_CHARS")]
        elif self.good() != ID:
            cases += [("tomorrow", "PARAM_FORMAT"), ("2099-02-30 00:00:00", "PARAM_FORMAT")]
        else:
            if self.place != "path":  # there, the path is too long before its part is
                cases.append(("x" * (schema["maxLength"] + 1), "PARAM_LENGTH"))
            cases.append(("a\x1bb", "PARAM_CHARS"))
        if self.place == "body":  # elsewhere all is text
            texts = schema.get("items", {}).get("type") == "string"  # of which a number may be one
            cases += [({}, "PARAM_TYPE"), ([True if texts else 1], "PARAM_TYPE")]
            if schema.get("type") != "boolean":
                cases.append((True, "PARAM_TYPE"))
        if self.required and self.place != "path":
            cases += [("", "PARAM_MISSING"), (None, "PARAM_MISSING")]
        return cases


def params_of(paths, route):
    """Paths that differ only in the name of their {part} are one to OpenAPI, with {id}; here each has its own."""
    path = BASE + route["path"]
    names = re.findall(r"\{(\w+)\}", path)
    operation = paths[path if path in paths else re.sub(r"\{\w+\}", "{id}", path)][route["method"].lower()]
    found = [Param(names[0] if p["in"] == "path" else p["name"], p["schema"], p["in"], p["required"])
             for p in operation.get("parameters", []) if "name" in p and p["in"] in ("path", "query")]
    form = operation.get("requestBody", {}).get("content", {}).get("application/x-www-form-urlencoded")
    if form:
        schema = form["schema"]["properties"]["KEY_PARAM"]["contentSchema"]
        found += [Param(name, part, "body", name in schema.get("required", []))
                  for name, part in schema["properties"].items()]
    return found


@pytest.fixture(scope="module")
def world(server_of_module):
    """A server with one of everything, which is not to change."""
    admin = server_of_module.admin
    tenant = admin.tenant("watched", cpu=10, memory=10000, storage=1000, portgroup=10, outerip=10)
    model = admin.model()
    tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)
    api = json.loads(admin.request("GET", "/openapi.json").raw)
    return admin, tenant, api


@pytest.fixture(scope="module")
def server_of_module(tmp_path_factory):
    servers = Servers(tmp_path_factory.mktemp("negative"))
    yield servers()
    servers.finish()


LISTS = ["POST cloudTenant/search", "POST cloudTenant/token/search", "POST cloudvm/search", "GET cloudvm/model",
         "POST cloudnetwork/vpc/search", "POST cloudtemplate/search", "POST joblog/search", "GET events",
         "POST resourcequota/search", "POST cloudslb/search", "POST cloudslb/realnode/search",
         "POST cloudip/pool/search", "POST vroute/Mapping/search", "POST vroute/search"]


def picture(admin, tenant):
    """All that can be seen; when a token was used last is no change."""
    found = {op: admin.ok(op).body for op in LISTS}
    for row in found["POST cloudTenant/token/search"]["data"]:
        del row["token.lastused"]
    found["usable"] = tenant.usable()
    return json.dumps(found, sort_keys=True)


def send(client, op, params, values, name=None, value=None):
    """Good values for all that is required, and this one."""
    path, query, body = {}, {}, {}
    place = {"path": path, "query": query, "body": body}
    for p in params:
        if p.required:
            place[p.place][p.name] = values.get(p.name, p.good())
        if p.name == name:
            if value is None and p.place != "body":
                place[p.place].pop(p.name, None)
            else:
                place[p.place][p.name] = value
    if op in RAW_BODY:
        return client.call(op, path, query=query, body=b"not an image", type="application/octet-stream")
    return client.call(op, {**path, **body}, query=query)


@pytest.mark.parametrize("route", SERVED, ids=op_name)
def test_every_wrong_value_is_refused_by_its_name(world, route):
    admin, tenant, api = world
    op = op_name(route)
    params = params_of(api["paths"], route)
    assert {p.name for p in params} >= {p["name"] for p in route["params"]}
    before = picture(admin, tenant)
    for p in params:
        for value, code in p.bad():
            reply = send(admin, op, params, {}, p.name, value)
            assert reply.status == 200 and reply.body, f"{p.name}={value!r}: {reply!r}"
            assert (reply.code, reply.field) == (code, p.name), f"{p.name}={value!r}: {code} expected, got {reply!r}"
            assert p.name in reply.text and reply.body["result"] == "1"
    assert picture(admin, tenant) == before


def test_enough_is_derived(world):
    """A change of the descriptions must not leave this file with nothing to do."""
    _, _, api = world
    rows = [p for route in SERVED for p in params_of(api["paths"], route)]
    assert len(rows) >= 90 and sum(len(p.bad()) for p in rows) >= 350
    kinds = {code for p in rows for _, code in p.bad()}
    assert kinds == {"PARAM_MISSING", "PARAM_TYPE", "PARAM_RANGE", "PARAM_LENGTH", "PARAM_CHARS", "PARAM_ENUM",
                     "PARAM_FORMAT"}


@pytest.mark.parametrize("route", SERVED, ids=op_name)
def test_nothing_works_without_a_token(world, route):
    admin, tenant, api = world
    params = params_of(api["paths"], route)
    reply = send(Client(admin.server), op_name(route), params, {})
    assert (reply.status, reply.body["result"], reply.code) == (200, "1003", "TOKEN_MISSING")


ADMIN_ONLY = [route for route in SERVED if route["role"] == "admin"]


def test_these_are_for_admins():
    assert {op_name(route) for route in ADMIN_ONLY} == {
        "POST cloudTenant/create", "POST cloudTenant/search", "PUT cloudTenant/modify", "DELETE cloudTenant/{appId}",
        "POST cloudTenant/token/create", "POST cloudTenant/token/search", "DELETE cloudTenant/token/{tokenId}",
        "PUT resourcequota/modify", "POST cloudvm/addVhostModelAndType", "DELETE cloudvm/delVhostModelAndType/{id}",
        "POST cloudvm/model/bind", "POST cloudstorage/search", "POST cloudstorage/add", "PUT cloudstorage/modify",
        "POST cloudip/pool/add", "POST cloudip/pool/search", "DELETE cloudip/pool/{poolId}",
        "PUT cloudnetwork/check", "POST cloudhost/search", "POST cloudhost/add", "PUT cloudhost/modify",
        "PUT cloudhost/mending", "DELETE cloudhost/{hostId}",
        "POST cloudalarm/threshold/search", "PUT cloudalarm/threshold/modify",
        "PUT cloudstorage/refresh", "DELETE cloudstorage/{storageId}", "POST cloudvm/vdisk/create/pv"}


@pytest.mark.parametrize("route", ADMIN_ONLY, ids=op_name)
def test_a_tenant_may_not(world, route):
    """Even what would be its own to change, and before its parameters are looked at."""
    admin, tenant, api = world
    params = params_of(api["paths"], route)
    own = {p.name: tenant.id for p in params if p.name in ("app.id", "appId", "tenantId", "tenant.id")}
    before = picture(admin, tenant)
    for values in ({}, own):
        reply = send(tenant, op_name(route), params, values)
        assert (reply.status, reply.body["result"], reply.code) == (200, "1", "ADMIN_ONLY")
    if any(p.place == "body" for p in params):
        assert tenant.call(op_name(route), {p.name: "x" for p in params if p.place == "path"}).code == "ADMIN_ONLY"
    assert picture(admin, tenant) == before
