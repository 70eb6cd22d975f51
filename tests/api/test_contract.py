"""The program against the document: operations, parameters, reply fields, and the descriptions made of them."""
import json
import os
import re
import xml.etree.ElementTree

import pytest
from starvirt import BASE, ROOT, op_name

DATA = os.path.join(ROOT, "tests", "api-data")
OURS = {"app.token", "id", "vm.template.id"}  # reply fields of ours in operations of the document


def document(name):
    with open(os.path.join(DATA, name + ".jsonl"), encoding="utf-8") as f:
        return {op_name(route): route for route in map(json.loads, f)}


@pytest.fixture(scope="module")
def wanted():
    return {**document("starvcenter"), **document("extensions")}


@pytest.fixture(scope="module")
def served(routes):
    return {op_name(route): route for route in routes if route["served"]}


@pytest.fixture(scope="module")
def openapi(admin):
    reply = admin.request("GET", "/openapi.json")
    assert reply.status == 200 and reply.headers["Content-Type"].startswith("application/json")
    return json.loads(reply.raw)


def test_every_operation_is_there_and_no_other(routes, wanted):
    assert len(routes) == len(wanted) == 134
    assert {op_name(route) for route in routes} == set(wanted)


def test_no_fewer_operations_are_served_than_before(served):
    assert len(served) >= 34


def test_extensions_are_marked(routes):
    ours = set(document("extensions"))
    assert {op_name(route) for route in routes if route["extension"]} == ours


@pytest.mark.parametrize("key", ["section", "kind", "data"])
def test_served_operations_are_as_in_the_document(served, wanted, key):
    assert {op: route[key] for op, route in served.items()} == {op: wanted[op][key] for op in served}


def test_parameters_are_those_of_the_document(served, wanted):
    for op, route in served.items():
        assert route["params"] == wanted[op]["params"], op


def test_reply_fields_are_those_of_the_document(served, wanted):
    for op, route in served.items():
        fields = [field for field in route["fields"] if field not in set(wanted[op]["fields"])]
        assert set(fields) <= OURS, op
        assert [field for field in route["fields"] if field not in fields] == wanted[op]["fields"], op


def test_what_is_not_served_says_so_in_an_envelope(admin, routes):
    for route in routes:
        if route["served"]:
            continue
        op = op_name(route)
        params = {name: "x" for name in re.findall(r"\{(\w+)\}", op)}
        reply = admin.refused(op, params, "NOT_IMPLEMENTED")
        assert reply.status == 200 and reply.body["result"] == "1"
        assert reply.body["error"]["retry"] == "no"
        assert route["path"] in reply.text


def test_what_is_not_served_asks_for_a_token_first(admin, routes):
    op = next(op_name(route) for route in routes if not route["served"] and "{" not in route["path"])
    reply = admin.refused(op, code="TOKEN_INVALID", token="0" * 64)
    assert reply.body["result"] == "1003"


def nameless(op):
    """Two operations on one path may name its {part} differently; OpenAPI knows it by one name."""
    return re.sub(r"\{\w+\}", "{}", op)


def test_openapi_has_every_operation_once(openapi, routes):
    assert openapi["openapi"].startswith("3.1")
    found, ids = set(), []
    for path, item in openapi["paths"].items():
        assert path.startswith(BASE)
        for method, operation in item.items():
            if method in ("get", "post", "put", "delete"):
                found.add(nameless(f"{method.upper()} {path[len(BASE):]}"))
                ids.append(operation["operationId"])
                named = [p["name"] for p in operation.get("parameters", []) if p.get("in") == "path"]
                assert named == re.findall(r"\{(\w+)\}", path), path
    assert found == {nameless(op_name(route)) for route in routes}
    assert len(set(ids)) == len(ids) == len(routes)


def test_openapi_refers_only_to_what_it_has(openapi):
    def references(node):
        if isinstance(node, dict):
            yield from ([node["$ref"]] if "$ref" in node else [])
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    for reference in set(references(openapi)):
        node = openapi
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_openapi_stands_at_both_places(admin, openapi):
    assert json.loads(admin.request("GET", "/starvcenter/services/openapi.json").raw) == openapi


def test_wadl_has_every_method_once(admin, routes):
    reply = admin.request("GET", "/starvcenter/services?_wadl")
    assert reply.status == 200 and "xml" in reply.headers["Content-Type"]
    root = xml.etree.ElementTree.fromstring(reply.raw)
    space = {"w": "http://wadl.dev.java.net/2009/02"}
    methods = root.findall(".//w:method", space)
    assert len(methods) == len({method.get("id") for method in methods}) == len(routes)
    paths = {resource.get("path") for resource in root.findall(".//w:resource", space)}
    assert paths == {route["path"] for route in routes}


@pytest.mark.parametrize("lang,word", [("en", "create VMs and start them"), ("zh-CN", "开通云主机")])
def test_the_page_names_every_operation(admin, routes, lang, word):
    reply = admin.request("GET", "/starvcenter/services", headers={"Accept-Language": lang})
    text = reply.raw.decode()
    assert reply.status == 200 and reply.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert word in text and "<script" not in text
    for route in routes:
        assert route["path"] in text


def test_health_and_metrics(admin, cloud):
    assert admin.request("GET", "/healthz").raw == b"ok"
    found = cloud.metrics()
    assert found['starvirt_hosts{connected="true"}'] == 2
    assert found['starvirt_requests_total{method="",route="",outcome="ok"}'] > 0


def test_head_is_answered_without_a_body(admin):
    reply = admin.request("HEAD", "/healthz")
    assert reply.status == 200 and reply.raw == b""
