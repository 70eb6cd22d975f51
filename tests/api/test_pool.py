"""Pools of outer addresses: what they may be, what they may not overlap, when they go; the books of them."""
import ipaddress

import pytest
from outside import MASK, fresh_net, pool, router

NOBODY = "01900000-0000-7000-8000-000000000000"


def shown(admin, made, **more):
    (row,) = [row for row in admin.ok("POST cloudip/pool/search", more).data if row["pool.id"] == made]
    return row


def ask(admin, code=None, field=None, **values):
    params = {"pool.type": "outer", "pool.start": "198.51.100.10", "pool.end": "198.51.100.20",
              "pool.gateway": "198.51.100.1", "pool.netmask": MASK}
    params.update({f"pool.{key}": value for key, value in values.items()})
    return admin.refused("POST cloudip/pool/add", params, code, field and f"pool.{field}")


def test_add_search_delete(admin):
    made, net = pool(admin, "share", 10, 19, **{"pool.name": "blue", "pool.desc": "to the north"})
    assert shown(admin, made) == {
        "pool.id": made, "pool.name": "blue", "pool.type": "share", "pool.start": f"{net}.10", "pool.end": f"{net}.19",
        "pool.gateway": f"{net}.1", "pool.netmask": MASK, "pool.total": "10", "pool.used": "0",
        "pool.desc": "to the north"}
    assert shown(admin, made, **{"pool.type": "share"})
    assert made not in str(admin.ok("POST cloudip/pool/search", {"pool.type": "outer"}).body)
    admin.ok("DELETE cloudip/pool/{poolId}", {"poolId": made})
    told = [(e["event.type"], e["event.content"]) for e in admin.events() if e["event.objid"] == made]
    assert told == [("pool.add", f"{net}.10-{net}.19"), ("pool.delete", f"{net}.10-{net}.19")]
    admin.refused("DELETE cloudip/pool/{poolId}", {"poolId": made}, "POOL_NOT_FOUND", "poolId")
    again, _ = pool(admin, "outer", 10, 19, net)
    assert shown(admin, again)["pool.name"] == "pool-" + again[-8:]
    admin.ok("DELETE cloudip/pool/{poolId}", {"poolId": again})


def test_capacity_counts_pools(server):
    admin = server().admin
    assert admin.ok("POST resourcequota/search").data["ip"] == 0
    made, _ = pool(admin, "outer", 10, 19)
    pool(admin, "share", 30, 30)
    assert admin.ok("POST resourcequota/search").data["ip"] == 11
    admin.ok("DELETE cloudip/pool/{poolId}", {"poolId": made})
    assert admin.ok("POST resourcequota/search").data["ip"] == 1


@pytest.mark.parametrize("values,code,field", [
    ({"end": "198.51.100.9"}, "PARAM_CONFLICT", "end"),
    ({"start": "198.51.101.10", "end": "198.51.101.11"}, "PARAM_CONFLICT", "start"),
    ({"end": "198.51.101.11"}, "PARAM_CONFLICT", "end"),
    ({"start": "198.51.100.0"}, "PARAM_CONFLICT", "gateway"),  # the gateway is the first fault
    ({"start": "198.51.100.2", "end": "198.51.100.255"}, "PARAM_CONFLICT", "end"),
    ({"start": "198.51.100.0", "end": "198.51.100.5", "gateway": "198.51.100.9"}, "PARAM_CONFLICT", "start"),
    ({"gateway": "198.51.100.15"}, "PARAM_CONFLICT", "gateway"),
    ({"gateway": "198.51.100.0"}, "PARAM_CONFLICT", "gateway"),
    ({"gateway": "198.51.100.255"}, "PARAM_CONFLICT", "gateway"),
    ({"netmask": "255.0.255.0"}, "PARAM_FORMAT", "netmask"),
    ({"netmask": "0.0.0.0"}, "PARAM_FORMAT", "netmask"),
    ({"netmask": "255.255.255.255"}, "PARAM_FORMAT", "netmask"),
    ({"netmask": "24"}, "PARAM_FORMAT", "netmask"),
    ({"start": "2001:db8::1"}, "PARAM_FORMAT", "start"),
    ({"end": "::ffff:198.51.100.20"}, "PARAM_FORMAT", "end"),
    ({"gateway": "198.51.100"}, "PARAM_FORMAT", "gateway"),
    ({"start": "198.51.100.010"}, "PARAM_FORMAT", "start"),
    ({"start": "20.0.0.2", "end": "20.255.0.0", "gateway": "20.0.0.1", "netmask": "255.0.0.0"}, "PARAM_CONFLICT",
     "end"),
    ({"start": "10.128.0.9", "end": "10.128.0.10", "gateway": "10.128.0.1"}, "POOL_OVERLAP", "start"),
    ({"start": "10.0.0.9", "end": "10.0.0.10", "gateway": "10.0.0.1", "netmask": "255.0.0.0"}, "POOL_OVERLAP",
     "start"),
    ({"start": "127.1.0.9", "end": "127.1.0.10", "gateway": "127.1.0.1"}, "POOL_OVERLAP", "start"),
    ({"start": "169.254.169.253", "end": "169.254.169.254", "gateway": "169.254.169.1"}, "POOL_OVERLAP", "start"),
    ({"start": "224.0.0.9", "end": "224.0.0.10", "gateway": "224.0.0.1"}, "POOL_OVERLAP", "start"),
    ({"name": "a\nb"}, "PARAM_CHARS", "name"),
    ({"type": "inner"}, "PARAM_ENUM", "type"),
], ids=str)
def test_what_no_pool_can_be(admin, values, code, field):
    before = admin.ok("POST cloudip/pool/search").body
    ask(admin, code, field, **values)
    assert admin.ok("POST cloudip/pool/search").body == before


def test_overlaps_with_other_pools(admin):
    net = fresh_net()
    made, _ = pool(admin, "outer", 10, 20, net)
    for first, last in ((10, 10), (20, 20), (5, 10), (20, 30), (2, 200), (12, 13)):
        text = ask(admin, "POOL_OVERLAP", "start", start=f"{net}.{first}", end=f"{net}.{last}", gateway=f"{net}.1",
                   type="share").text
        assert f"{net}.10-{net}.20" in text
    beside = [pool(admin, "share", 9, 9, net)[0], pool(admin, "outer", 21, 22, net)[0]]
    for found in (made, *beside):
        admin.ok("DELETE cloudip/pool/{poolId}", {"poolId": found})


def test_a_pool_in_use_stays(admin, tenant, model):
    vpc = tenant.vpc()
    vm = tenant.vm(vnic_portgroupid=vpc, vm_tenant_model=model)
    router(tenant, vpc)
    made, net = pool(admin, "outer", 10, 11)
    ip = tenant.ok("POST cloudnetwork/sharenet/connect", {"vm.id": vm, "vm.outer.ipaddress": f"{net}.11"}).data
    assert ip == {"tenant.shareip": f"{net}.11"}
    assert shown(admin, made)["pool.used"] == "1"
    text = admin.refused("DELETE cloudip/pool/{poolId}", {"poolId": made}, "POOL_IN_USE", "poolId").text
    assert "1" in text and tenant.name in text
    (row,) = tenant.ok("POST vroute/Mapping/search", {"natOuterip": f"{net}.11"}).data
    tenant.ok("DELETE cloudnetwork/ipmapping/{natId}", {"natId": row["nat_id"]})
    assert shown(admin, made)["pool.used"] == "0"
    admin.ok("DELETE cloudip/pool/{poolId}", {"poolId": made})


def test_pages(server):
    admin = server().admin
    made = [pool(admin, "outer", 10, 10 + n)[0] for n in range(5)]
    assert [row["pool.id"] for row in admin.ok("POST cloudip/pool/search").data] == made
    page = admin.ok("POST cloudip/pool/search", {"page.startnum": 2, "page.everypagenum": 2})
    assert [row["pool.id"] for row in page.data] == made[2:4] and page.count == 5


def test_it_is_all_dotted(admin):
    """What replies show can be put in again."""
    made, _ = pool(admin, "outer", 40, 41)
    row = shown(admin, made)
    assert ipaddress.ip_interface(f"{row['pool.gateway']}/{row['pool.netmask']}").network.prefixlen == 24
    admin.ok("DELETE cloudip/pool/{poolId}", {"poolId": made})
    again = {key: row[key] for key in ("pool.type", "pool.start", "pool.end", "pool.gateway", "pool.netmask")}
    admin.ok("DELETE cloudip/pool/{poolId}", {"poolId": admin.ok("POST cloudip/pool/add", again).data["pool.id"]})


def test_no_vpc_is_cut_from_a_pool(server):
    """Another supernet since the start, with a pool in it."""
    one = server()
    pool(one.admin, "outer", 10, 20, "198.51.100")
    one.stop()
    one.options = ["--vpc.supernet", "198.51.100.0/24"]
    one.start()
    text = one.admin.refused("POST cloudnetwork/vpc/create", {"vpc.name": "net"}, "POOL_OVERLAP").text
    assert "198.51.100.0/24" in text and one.admin.ok("POST cloudnetwork/vpc/search").count == 0
