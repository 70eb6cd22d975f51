"""The envelope: every tolerance that real clients need and every refusal."""
import base64
import json

import pytest
from starvirt import BASE, ENCODINGS, encode, form_body, multipart, unique

FORM = "application/x-www-form-urlencoded"
CREATE = "POST cloudnetwork/vpc/create"
SEARCH = "POST cloudvm/search"
SOME_ID = "0190A0b0-0000-7000-8000-00000000000a"


def name_of(client, vpc):
    rows = {row["vpc.id"]: row["vpc.name"] for row in client.ok("POST cloudnetwork/vpc/search").data}
    return rows[vpc]


# --------------------------------------------------------------------------------------------- tolerances
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["plain", "名称 with blanks", "ÿ?>~~>?ÿ" * 12])  # the last has + and / in Base64
def test_encodings(tenant, encoding, name):
    if name.startswith("ÿ"):
        assert {"+", "/"} & set(encode({"vpc.name": name}))
    made = tenant.ok(CREATE, {"vpc.name": name}, encoding=encoding).data
    assert made["vpc.name"] == name == name_of(tenant, made["vpc.id"])


@pytest.mark.parametrize("type", [
    FORM, FORM + "; charset=UTF-8", FORM.upper(), FORM + ";charset=iso-8859-1", f" {FORM} ; x=y"])
def test_content_types(tenant, type):
    tenant.ok(CREATE, type=type, body=form_body({"vpc.name": "x"})[1])


def test_multipart_as_curl_and_java_send_it(tenant):
    text = encode({"vpc.name": "x"})
    quoted, body = multipart([("KEY_TOKEN", "repeated"), ("KEY_PARAM", text)], boundary="a b")
    tenant.ok(CREATE, body=body, type=quoted.replace("a b", '"a b"'))
    body = (f"preamble\r\n--B\r\nContent-Type: text/plain; charset=UTF-8\r\n"
            f"content-disposition: form-data; name=KEY_PARAM\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            f"{text}\r\n--B--\r\nepilogue")
    tenant.ok(CREATE, body=body.encode(), type="multipart/form-data; boundary=B")


@pytest.mark.parametrize("key", ["vpc.name", " vpc.name", "vpc.name*", "vpc.name *", "\tvpc.name * "])
def test_keys_are_trimmed(tenant, key):
    assert tenant.ok(CREATE, {key: "trimmed"}).data["vpc.name"] == "trimmed"


@pytest.mark.parametrize("start,size", [(1, 5), ("1", "5")])
def test_numbers_may_be_strings(tenant, start, size):
    tenant.ok(SEARCH, {"page.startnum": start, "page.everypagenum": size})


@pytest.mark.parametrize("value", [True, "true", "TRUE", False, "false"])
def test_booleans_may_be_strings(tenant, value):
    """Understood: what is refused is another parameter."""
    tenant.refused("POST cloudvm/create", {"vm.hyperv.enable": value, "vm.vcpu.num": 1, "vm.memory.mem": 1},
                   "PARAM_MISSING", "vnic.portgroupid")


def test_a_number_is_a_name(tenant):
    assert tenant.ok(CREATE, {"vpc.name": 42}).data["vpc.name"] == "42"


@pytest.mark.parametrize("value", [None, ""])
def test_null_and_empty_are_absent(tenant, value):
    assert tenant.ok(CREATE, {"vpc.name": value}).data["vpc.name"].startswith("vpc-")


def test_unknown_keys_are_ignored_and_logged(tenant, cloud):
    key = unique("unknown")
    tenant.ok(CREATE, {key: {"deep": [1]}, "vpc.name": "x"})
    assert f'unknown="{key}"' in cloud.log()


def test_blanks_around_the_object(tenant):
    tenant.ok(CREATE, ' \r\n{ "vpc.name" : "x" }\n\t ')


def test_a_body_on_get_and_delete_is_read_and_none_is_needed(tenant):
    vpc = tenant.vpc()
    tenant.ok("GET cloudvm/model", {"ignored": 1})
    tenant.refused("DELETE cloudvm/{vmId}", {"vmId": vpc, "ignored": 1}, "VM_NOT_FOUND", "vmId")
    tenant.ok(SEARCH)
    tenant.ok(SEARCH, body=b"", type=FORM)
    tenant.ok(SEARCH, body=b"KEY_PARAM=", type=FORM)
    tenant.ok(SEARCH, {})


@pytest.mark.parametrize("path", [
    "cloudvm/search/", "cloudvm//search", "%20cloudvm/search%20", "cloudvm/se%61rch", "cloud%20vm/search"])
def test_paths_as_the_document_prints_them(tenant, path):
    assert tenant.request("POST", BASE + path, None, tenant.headers()).ok


# ------------------------------------------------------------------------------------------------- replies
def test_replies_are_one_line_of_base64(tenant):
    reply = tenant.ok(CREATE, {"vpc.name": "x" * 100, "vpc.desc": "y" * 900})
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/plain; charset=UTF-8"
    assert reply.headers["X-Content-Type-Options"] == "nosniff" and reply.headers["Cache-Control"] == "no-store"
    assert b"\n" not in reply.raw and len(reply.raw) % 4 == 0
    assert base64.b64encode(base64.b64decode(reply.raw)) == reply.raw


def test_values_are_strings_and_only_counts_are_numbers(tenant, model):
    vpc = tenant.vpc()
    vm = tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model)
    reply = tenant.ok(SEARCH)
    assert reply.body["dataCount"] == 1 and list(reply.body) == ["result", "data", "dataCount"]
    assert all(isinstance(value, str) for value in reply.data[0].values())
    assert all(type(value) is int for value in tenant.usable().values())
    assert tenant.show(vm)["vm.reboot.enable"] == "true"


def test_data_is_there_even_where_nothing_is_returned(tenant):
    vpc = tenant.vpc()
    assert tenant.ok("PUT cloudnetwork/vpc/modify", {"vpc.id": vpc, "vpc.name": "n"}).body == {"result": "0",
                                                                                               "data": ""}
    assert tenant.ok(SEARCH).body == {"result": "0", "data": [], "dataCount": 0}


def test_times_are_of_the_servers_zone(server):
    import datetime
    one = server(env={"TZ": "Asia/Shanghai"})
    tenant = one.admin.tenant()
    tenant.vpc()
    text = tenant.ok("POST cloudnetwork/vpc/search").data[0]["vpc.createtime"]
    told = datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S")
    utc = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    assert abs(told - utc - datetime.timedelta(hours=8)) < datetime.timedelta(minutes=2)


def test_failures_are_in_the_readers_language(tenant):
    params = {"vm.id": "x"}
    english = tenant.refused("PUT cloudvm/start", params, "VM_NOT_FOUND")
    assert english.text == "no such VM: vm.id=x"
    for language, chinese in [("", True), ("fr, zh;q=0.5, en;q=0.4", True), ("zh;q=0.5, en", False), ("de, en-GB", False), ("en", False)]:
        headers = {"Accept-Language": language}
        text = tenant.refused("PUT cloudvm/start", params, "VM_NOT_FOUND", headers=headers).text
        assert text == ("云主机不存在:vm.id=x" if chinese else english.text)


def test_a_failure_names_code_field_and_retry(tenant):
    reply = tenant.refused("PUT cloudvm/start", {"vm.id": "x"})
    assert reply.status == 200
    assert reply.body == {"result": "1", "resultinfo": "no such VM: vm.id=x",
                          "error": {"code": "VM_NOT_FOUND", "field": "vm.id", "retry": "no"}}


@pytest.mark.parametrize("token,code", [("", "TOKEN_MISSING"), ("x", "TOKEN_INVALID"), ("0" * 64, "TOKEN_INVALID")])
def test_bad_tokens_are_1003(admin, token, code):
    headers = {"KEY_TOKEN": token}
    reply = admin.request("POST", BASE + "cloudvm/search", None, headers)
    assert (reply.status, reply.body["result"], reply.code) == (200, "1003", code)


# ------------------------------------------------------------------------------------------------ refusals
@pytest.mark.parametrize("text,at", [
    ("e30*", 4), ("e3", None), ("e", 1), ("e30==", 5), ("e30=e30=", 5), ("=", 1), ("====", 1), ("e3\x000", 3),
    ("e30\xe9", 4), ("\x80", 1), ("e30%", 4), ("e30=" + "A", 5)])
def test_bad_base64(tenant, text, at):
    """"e3" is '{': good Base64, bad JSON."""
    body = b"KEY_PARAM=" + b"".join(b"%%%02x" % byte for byte in text.encode("latin-1"))
    reply = tenant.refused(CREATE, code="BAD_BASE64" if at else "BAD_JSON", body=body, type=FORM)
    assert reply.status == 200
    if at:
        assert reply.text == f"KEY_PARAM is not valid Base64 at character {at}"


DEEP = "[" * 15 + "]" * 15


@pytest.mark.parametrize("text", [
    '{"vpc.name":"a","vpc.name":"b"}', '{"vpc.name":"a","vpc\\u002ename":"b"}', '{"x":{"a":1,"a":2}}',
    "[]", '"x"', "1", "null", "true", "{", "}", "{}{}", '{} x', '{"a" 1}', '{"a":}', '{"a":1,,}', "{'a':1}", '{a:1}',
    '{"a":NaN}', '{"a":Infinity}', '{"a":-Infinity}', '{"a":01}', '{"a":+1}', '{"a":.5}', '{"a":1.}', '{"a":0x10}',
    '{"vpc.name":"a\\u0000b"}', '{"a\\u0000b":1}', '{"vpc.name":"a\nb"}', '{"vpc.name":"a\\xb"}',
    '{"vpc.name":"\\ud800"}',
    '{"vpc.name":"\\udc00\\ud800"}', '{"vpc.name":"\\u12"}', '{"a":[1,,]}', "{/* c */}", '{"x":[' + DEEP + "]}",
    '{"x":' + '{"x":' * 16 + "1" + "}" * 17, "{" + ",".join(f'"k{i}":1' for i in range(257)) + "}",
    '{"a":[' + "1," * 20000 + "1]}",
    b'{"vpc.name":"\xff"}', b'{"vpc.name":"\xc0\xaf"}', b'{"vpc.name":"\xed\xa0\x80"}',
    b'{"vpc.name":"\xf5\x80\x80\x80"}',
    b'{"vpc.name":"a\x00b"}', b"\xef\xbb\xbf{}", '{"vpc.name":"x"}'.encode("utf-16"),
], ids=repr)
def test_bad_json(tenant, text):
    reply = tenant.refused(CREATE, text, "BAD_JSON")
    assert reply.status == 200 and reply.body["error"]["retry"] == "no"
    assert tenant.ok("POST cloudnetwork/vpc/search").count == 0


def test_what_is_just_within_the_limits(tenant):
    tenant.ok(SEARCH, '{"x":' + DEEP[1:-1] + "}")
    tenant.ok(SEARCH, "{" + ",".join(f'"k{i}":1' for i in range(256)) + "}")


@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775809", "1" + "0" * 400,
                                    '"9223372036854775808"', '"' + "9" * 60 + '"'])
def test_huge_numbers(tenant, number):
    reply = tenant.refused(SEARCH, '{"page.startnum":%s}' % number, "PARAM_RANGE", "page.startnum")
    assert "1-1000000000" in reply.text


@pytest.mark.parametrize("number", ["1.5", "1e3", "1.0", '"1.0"', '"0x1"', '" 1"', '"1 "', '"+1"', '"١"', "{}", "[1]",
                                    "true"])
def test_what_is_no_integer(tenant, number):
    tenant.refused(SEARCH, '{"page.startnum":%s}' % number, "PARAM_TYPE", "page.startnum")


def test_a_key_given_twice_in_two_spellings(tenant):
    tenant.refused(CREATE, '{"vpc.name":"a","vpc.name*":"b"}', "PARAM_CONFLICT", "vpc.name")


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\x7fb", "a\x1bb"])
def test_control_characters_in_names(tenant, name):
    tenant.refused(CREATE, {"vpc.name": name}, "PARAM_CHARS", "vpc.name")


def test_lines_in_descriptions_are_fine(tenant):
    vpc = tenant.vpc(**{"vpc.desc": "two\nlines\tand a tab"})
    rows = tenant.ok("POST cloudnetwork/vpc/search").data
    assert [row["vpc.desc"] for row in rows if row["vpc.id"] == vpc] == ["two\nlines\tand a tab"]


# -------------------------------------------------------------------------------------- forms and transport
@pytest.mark.parametrize("body,why", [
    (b"KEY_PARAM=e30=&KEY_PARAM=e30=", "twice"),
    (b"key_param=e30=", "no field KEY_PARAM"),
    (b'{"vpc.name":"x"}', "no field KEY_PARAM"),
    (b"KEY_PARAM=%", "%"), (b"KEY_PARAM=%4", "%"), (b"KEY_PARAM=%zz", "%"), (b"%zz=1", "%"),
    (b"&".join(b"f%d=1" % i for i in range(65)), "too many form fields"),
])
def test_bad_forms(tenant, body, why):
    reply = tenant.refused(CREATE, code="BAD_REQUEST", body=body, type=FORM)
    assert reply.status == 400 and why in reply.text


@pytest.mark.parametrize("type,body,why", [
    ("multipart/form-data", b"x", "no boundary"),
    ("multipart/form-data; boundary=", b"x", "no boundary"),
    ("multipart/form-data; boundary=" + "b" * 71, b"x", "no boundary"),
    ("multipart/form-data; boundary=B", b"x", "closing boundary"),
    ("multipart/form-data; boundary=B", b'--B\r\nContent-Disposition: form-data; name="KEY_PARAM"\r\n\r\ne30=',
     "closing"),
    ("multipart/form-data; boundary=B", b"--B\r\n\r\n", "closing"),
    ("multipart/form-data; boundary=B", b"--Bx\r\n\r\n\r\n--B--", "not alone"),
    ("multipart/form-data; boundary=B",
     b'--B\r\nContent-Disposition: form-data; name="KEY_PARAM"\r\n\r\ne30=\r\n' * 2 + b"--B--", "twice"),
    ("multipart/form-data; boundary=B", b"--B\r\n\r\nx\r\n" * 70 + b"--B--", "too many"),
])
def test_bad_multipart(tenant, type, body, why):
    reply = tenant.refused(CREATE, code="BAD_REQUEST", body=body, type=type)
    assert reply.status == 400 and why in reply.text


@pytest.mark.parametrize("type", ["application/json", "text/plain", "application/x-www-form-urlencodedx",
                                  "multipart/mixed", ";charset=UTF-8"])
def test_other_media_types(tenant, type):
    reply = tenant.refused(CREATE, code="MEDIA_TYPE", body=b"KEY_PARAM=e30=", type=type)
    assert reply.status == 415 and FORM in reply.text


@pytest.mark.parametrize("path", ["cloudvm/nothing/here", "nothing", "", "cloudvm/../cloudvm/search",
                                  "cloudvm/snapshot",
                                  "..%2f..%2fetc%2fpasswd", "cloudvm/a/b/c/d/e/f"])
def test_unknown_paths(tenant, path):
    reply = tenant.request("POST", BASE + path, None, tenant.headers())
    assert (reply.status, reply.code) == (404, "NOT_FOUND")


@pytest.mark.parametrize("method,path,allow", [
    ("GET", "cloudvm/create", "POST, OPTIONS"), ("PATCH", "cloudvm/search", "POST, OPTIONS"),
    ("PUT", f"cloudvm/{SOME_ID}", "GET, DELETE, HEAD, OPTIONS"), ("HEAD", "cloudvm/create", "POST, OPTIONS"),
    ("BREW", "cloudvm/search", "POST, OPTIONS")])
def test_other_methods(tenant, method, path, allow):
    reply = tenant.request(method, BASE + path, None, tenant.headers())
    assert reply.status == 405 and reply.headers["Allow"] == allow
    assert method == "HEAD" or reply.code == "METHOD_NOT_ALLOWED"


def test_head_and_options_follow_from_the_routes(tenant):
    head = tenant.request("HEAD", BASE + "cloudvm/model", None, tenant.headers())
    get = tenant.request("GET", BASE + "cloudvm/model", None, tenant.headers())
    assert head.status == 200 and head.headers["Content-Length"] == get.headers["Content-Length"]
    options = tenant.request("OPTIONS", BASE + "cloudvm/start")
    assert options.status == 204 and options.headers["Allow"] == "PUT, OPTIONS"


def test_other_pages_do_not_take_other_methods(admin):
    assert admin.request("POST", "/healthz").status == 404
    assert admin.request("GET", "/").status == 404


def test_a_query_parameter_twice(tenant, admin):
    reply = tenant.request("GET", BASE + "events?since=1&since=2", None, tenant.headers())
    assert reply.code == "PARAM_CONFLICT" and reply.field == "since"


@pytest.mark.parametrize("query", ["since=%", "since=%zz", "&".join(f"x{i}=1" for i in range(65))])
def test_bad_queries(tenant, query):
    reply = tenant.request("GET", BASE + "events?" + query, None, tenant.headers())
    assert (reply.status, reply.code) == (400, "BAD_REQUEST")


def test_nothing_of_a_refused_value_is_repeated(tenant):
    """It may be a password."""
    params = {"vm.vncpasswd": "s3cr3t-and-too-long", "vm.vcpu.num": 1, "vm.memory.mem": 1, "vnic.portgroupid": "x"}
    reply = tenant.refused("POST cloudvm/create", params, "PARAM_LENGTH", "vm.vncpasswd")
    assert "s3cr3t" not in json.dumps(reply.body)
