"""Tenants and tokens: life, roles, expiry, revocation, what an admin may name and see."""
import contextlib
import datetime
import os
import re
import stat

import pytest
from starvirt import Client, unique, wait_until

CREATE, SEARCH = "POST cloudTenant/create", "POST cloudTenant/search"
ISSUE, TOKENS = "POST cloudTenant/token/create", "POST cloudTenant/token/search"
REVOKE = "DELETE cloudTenant/token/{tokenId}"
VPCS = "POST cloudnetwork/vpc/search"


def in_seconds(n):
    return (datetime.datetime.now() + datetime.timedelta(seconds=n)).strftime("%Y-%m-%d %H:%M:%S")


def show(admin, tenant):
    return admin.ok(SEARCH, {"app.id": tenant.id}).data[0]


# -------------------------------------------------------------------------------------------------- tenants
def test_a_tenant_is_as_it_was_made(admin):
    name = unique("租户 a&b<c>\"'")
    made = admin.ok(CREATE, {"app.name": name, "app.desc": "d", "app.cpu.quota": 4, "app.memory.quota": "2048",
                             "app.storage.quota": 100, "app.portgroup.quota": 0, "app.outerip.quota": -1}).data
    assert re.fullmatch(r"[0-9a-f]{64}", made["app.token"])
    row = admin.ok(SEARCH, {"app.id": made["app.id"]}).data[0]
    row.pop("app.createtime")
    assert (row.pop("app.job.quota"), row.pop("app.job.open")) == ("20000", "0")
    assert (row.pop("app.image.quota"), row.pop("app.image.used")) == ("100", "0"), "as the storage quota"
    assert row == {"app.id": made["app.id"], "app.name": name, "app.desc": "d", "app.cpu.quota": "4",
                   "app.memory.quota": "2048", "app.storage.quota": "100", "app.portgroup.quota": "0",
                   "app.outerip.quota": "-1"}
    assert Client(admin.server, made["app.token"]).ok(VPCS).data == []


def test_no_quota_is_no_limit(admin, tenant):
    row = show(admin, tenant)
    assert row.pop("app.job.quota") == "20000", "jobs alone are bounded"
    assert {value for key, value in row.items() if key.endswith(".quota")} == {"-1"}
    assert tenant.usable()["cpu"] == -1 and tenant.usable()["countStorage"] == -1


def test_names_are_unique(admin, tenant):
    admin.refused(CREATE, {"app.name": tenant.name}, "TENANT_NAME_TAKEN", "app.name")
    other = admin.tenant()
    admin.refused("PUT cloudTenant/modify", {"app.id": other.id, "app.name": tenant.name}, "TENANT_NAME_TAKEN",
                  "app.name")
    assert show(admin, other)["app.name"] == other.name


@pytest.mark.parametrize("name", ["", " ", "   "])
def test_a_name_is_needed(admin, name):
    admin.refused(CREATE, {"app.name": name}, "PARAM_MISSING", "app.name")


def test_the_longest_name(admin):
    name = unique("n" * 40)
    name += "é" * ((128 - len(name)) // 2)
    name += "x" * (128 - len(name.encode()))
    admin.tenant(name)
    admin.refused(CREATE, {"app.name": name + "x"}, "PARAM_LENGTH", "app.name")


def test_modify_changes_what_is_given(admin, tenant):
    admin.ok("PUT cloudTenant/modify", {"app.id": tenant.id, "app.desc": "new"})
    assert (show(admin, tenant)["app.name"], show(admin, tenant)["app.desc"]) == (tenant.name, "new")
    name = unique("renamed")
    admin.ok("PUT cloudTenant/modify", {"app.id": tenant.id, "app.name": name})
    assert (show(admin, tenant)["app.name"], show(admin, tenant)["app.desc"]) == (name, "new")
    admin.refused("PUT cloudTenant/modify", {"app.id": tenant.id[::-1], "app.name": "x"}, "TENANT_NOT_FOUND", "app.id")


def test_search_is_by_substring_and_literal(admin):
    mark = unique("find")
    names = [f"{mark}-a%b", f"{mark}-a_b", f"{mark}-AxB"]
    for name in names:
        admin.tenant(name)

    def found(text):
        return [row["app.name"] for row in admin.ok(SEARCH, {"app.name": text}).data]

    assert found(mark) == names
    assert found(f"{mark}-a%") == names[:1] and found(f"{mark}-a_") == names[1:2]
    assert found(f"{mark.upper()}-axb") == names[2:]
    assert found(mark + "%b") == [] and found("'; DROP TABLE tenant; --") == []
    page = admin.ok(SEARCH, {"app.name": mark, "page.startnum": 2, "page.everypagenum": 2})
    assert ([row["app.name"] for row in page.data], page.count) == (names[2:], 3)
    assert admin.ok(SEARCH, {"app.id": "nonsense"}).count == 0


def test_a_tenant_goes_only_when_it_owns_nothing(admin, tenant, model):
    vpc = tenant.vpc()
    text = admin.refused("DELETE cloudTenant/{appId}", {"appId": tenant.id}, "TENANT_IN_USE", "appId").text
    assert "1 VPC" in text
    vm = tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model)
    text = admin.refused("DELETE cloudTenant/{appId}", {"appId": tenant.id}, "TENANT_IN_USE").text
    assert "1 VM" in text and "1 VPC" in text
    tenant.run("DELETE cloudvm/{vmId}", {"vmId": vm})
    tenant.ok("POST cloudnetwork/vpc/delete", {"vpc.id": vpc})
    admin.ok("DELETE cloudTenant/{appId}", {"appId": tenant.id})
    assert tenant.call(VPCS).body["result"] == "1003"
    admin.refused("DELETE cloudTenant/{appId}", {"appId": tenant.id}, "TENANT_NOT_FOUND", "appId")
    again = admin.tenant(tenant.name)
    assert again.ok("POST joblog/search").data == []


def test_the_admin_tenant_stays(admin):
    row = admin.ok(SEARCH, {"app.name": "admin"}).data[0]
    assert row["app.name"] == "admin"
    admin.refused("DELETE cloudTenant/{appId}", {"appId": row["app.id"]}, "TENANT_IS_ADMIN", "appId")


# --------------------------------------------------------------------------------------------------- tokens
def test_the_first_token_is_for_its_owner_only(cloud):
    path = os.path.join(cloud.data, "admin.token")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert re.fullmatch(r"[0-9a-f]{64}\n", open(path).read())
    assert stat.S_IMODE(os.stat(cloud.data).st_mode) & 0o066 == 0  # hypervisors may pass through it


def test_no_file_of_the_server_is_for_others_to_read(cloud, tenant):
    tenant.vpc()
    for where, folders, files in os.walk(cloud.data):
        for name in files:
            with contextlib.suppress(FileNotFoundError):  # it works on
                mode = stat.S_IMODE(os.stat(os.path.join(where, name)).st_mode)
                assert mode & 0o077 == 0, (where, name, oct(mode))


def test_tokens_are_shown_once(admin, tenant):
    made = admin.ok(ISSUE, {"app.id": tenant.id, "token.desc": "for CI"}).data
    rows = admin.ok(TOKENS, {"app.id": tenant.id})
    assert rows.count == 2 and [row["token.desc"] for row in rows.data] == ["", "for CI"]
    assert made["token.value"].encode() not in rows.raw and made["token.value"] not in str(rows.data)
    assert {row["app.id"] for row in rows.data} == {tenant.id} and {row["token.role"]
                                                                    for row in rows.data} == {"tenant"}
    assert Client(admin.server, made["token.value"]).ok(VPCS).ok


def test_a_token_expires(admin, tenant):
    admin.refused(ISSUE, {"app.id": tenant.id, "token.expire": in_seconds(-5)}, "PARAM_RANGE", "token.expire")
    made = admin.ok(ISSUE, {"app.id": tenant.id, "token.expire": in_seconds(3)}).data
    brief = Client(admin.server, made["token.value"])
    assert brief.ok(VPCS).ok
    reply = wait_until(lambda: (lambda r: None if r.ok else r)(brief.call(VPCS)), "the token expired", 10)
    assert (reply.body["result"], reply.code) == ("1003", "TOKEN_EXPIRED")
    row = admin.ok(TOKENS, {"app.id": tenant.id}).data[1]
    assert row["token.expire"] and row["token.id"] == made["token.id"]


def test_a_token_is_revoked_at_once(admin, tenant):
    made = admin.ok(ISSUE, {"app.id": tenant.id}).data
    spare = Client(admin.server, made["token.value"])
    assert spare.ok(VPCS).ok
    admin.ok(REVOKE, {"tokenId": made["token.id"]})
    assert spare.call(VPCS).code == "TOKEN_INVALID"
    assert tenant.ok(VPCS).ok, "its other tokens stay"
    admin.refused(REVOKE, {"tokenId": made["token.id"]}, "TOKEN_NOT_FOUND", "tokenId")


def test_the_use_of_a_token_is_told(admin, tenant):
    tenant.ok(VPCS)
    row = wait_until(lambda: [r for r in admin.ok(TOKENS, {"app.id": tenant.id}).data if r["token.lastused"]],
                     "its use is told")
    assert row[0]["token.lastused"] >= row[0]["token.createtime"]


def test_tokens_of_an_unknown_tenant(admin):
    admin.refused(ISSUE, {"app.id": "x"}, "TENANT_NOT_FOUND", "app.id")
    admin.refused(TOKENS, {"app.id": "x"}, "TENANT_NOT_FOUND", "app.id")


def test_the_last_admin_token_cannot_be_revoked(server):
    one = server()
    admin = one.admin
    first = admin.ok(TOKENS).data[0]
    assert first["token.role"] == "admin"
    admin.refused(REVOKE, {"tokenId": first["token.id"]}, "TOKEN_LAST_ADMIN", "tokenId")
    # one that expires soon does not count for ever, one of a tenant's role not at all
    admin.ok(ISSUE, {"app.id": first["app.id"], "token.role": "tenant"})
    admin.refused(REVOKE, {"tokenId": first["token.id"]}, "TOKEN_LAST_ADMIN", "tokenId")
    second = admin.ok(ISSUE, {"app.id": first["app.id"], "token.role": "ADMIN"}).data
    other = Client(one, second["token.value"])
    other.ok(REVOKE, {"tokenId": first["token.id"]})
    assert admin.call(SEARCH).code == "TOKEN_INVALID"
    other.refused(REVOKE, {"tokenId": second["token.id"]}, "TOKEN_LAST_ADMIN", "tokenId")
    one.hosts = 0  # there is no token of the first start's to ask with
    one.restart()
    assert other.ok(SEARCH).ok, "a restart makes no new admin and no new token"
    assert Client(one, open(one.data + "/admin.token").read().strip()).call(SEARCH).code == "TOKEN_INVALID"


# -------------------------------------------------------------------------------------------------- the admin
def test_an_admin_acts_for_a_tenant_it_names(admin, tenant, model):
    vpc = admin.vpc(**{"tenant.id": tenant.id})
    assert [row["vpc.id"] for row in tenant.ok(VPCS).data] == [vpc]
    vm = admin.vm(**{"tenant.id": tenant.id, "vnic.portgroupid": vpc, "vm.tenant.model": model})
    assert tenant.show(vm)["vm.id"] == vm
    for op, key in (("POST cloudvm/search", "vm.id"), (VPCS, "vpc.id")):
        rows = admin.ok(op, {"tenant.id": tenant.id})
        assert [row[key] for row in rows.data] == [vm if key == "vm.id" else vpc] and rows.count == 1
        assert admin.ok(op, {"page.everypagenum": 1}).count >= 1
        admin.refused(op, {"tenant.id": vm}, "TENANT_NOT_FOUND", "tenant.id")
    admin.refused("POST cloudvm/create", {"vnic.portgroupid": vpc, "vm.tenant.model": model, "vm.vcpu.num": 1,
                                          "vm.memory.mem": 64}, "VPC_NOT_FOUND", "vnic.portgroupid")
    admin.run("PUT cloudvm/destroy", {"vm.id": vm})
    assert tenant.show(vm)["vm.state"] == "0"


def test_a_tenant_may_name_itself_and_nobody_else(admin, tenant):
    other = admin.tenant()
    vpc = tenant.vpc(**{"tenant.id": tenant.id})
    assert [row["vpc.id"] for row in tenant.ok(VPCS, {"tenant.id": tenant.id}).data] == [vpc]
    for id in (other.id, "x", tenant.id[:-1]):
        tenant.refused("POST cloudnetwork/vpc/create", {"tenant.id": id}, "TENANT_NOT_FOUND", "tenant.id")
        tenant.refused("POST resourcequota/usableQuota", {"tenant.id": id}, "TENANT_NOT_FOUND", "tenant.id")
    assert other.ok(VPCS).count == 0
