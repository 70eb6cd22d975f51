"""Images between tenants (threat 8): one's own is nobody else's, equal ones are not the same one, and what is
offered to all is what its checksum says."""
import hashlib
import os

import pytest
from images import DELETE, IMPORT, MIB, SEARCH, row_of, upload

NOBODY = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def other(admin):
    return admin.tenant()


def order(client, template):
    return {"vnic.portgroupid": client.vpc(), "vm.template.id": template, "vm.vcpu.num": 1, "vm.memory.mem": 64}


def test_a_tenants_template_is_not_there_for_others(admin, tenant, other):
    reply = upload(tenant, bytes(MIB))
    tenant.done(reply.startid)
    template = reply.data["template.id"]
    for bad in (template, NOBODY):  # the same answers as for one that never was
        other.refused("POST cloudvm/create", order(other, bad), "TEMPLATE_NOT_FOUND", "vm.template.id")
        other.refused(DELETE, {"templateId": bad}, "TEMPLATE_NOT_FOUND", "templateId")
        assert other.ok(SEARCH, {"template.id": bad}).count == 0
    assert template not in [row["template.id"] for row in other.ok(SEARCH).data]
    tenant.vm(**order(tenant, template))
    assert row_of(admin, template)["template.state"] == "ready"


def test_a_tenants_template_is_not_lent_through_a_model(admin, tenant, other):
    """A model bound to it, by mistake or not, does not hand it to others."""
    reply = upload(tenant, bytes(MIB))
    tenant.done(reply.startid)
    value = admin.model(size=1)
    bound = admin.call("POST cloudvm/model/bind",
                       {"vm.tenant.model": value, "vm.template.id": reply.data["template.id"]})
    params = {"vnic.portgroupid": other.vpc(), "vm.tenant.model": value, "vm.vcpu.num": 1, "vm.memory.mem": 64}
    if bound.ok:
        other.refused("POST cloudvm/create", params)
    else:
        assert bound.code in ("TEMPLATE_NOT_FOUND", "TEMPLATE_STATE"), bound


def test_equal_images_are_not_one(tenant, other):
    """The same bytes of two tenants: each has its own, and it stays when the other's goes."""
    data = b"\0" + os.urandom(MIB - 1)
    mine, theirs = (upload(client, data, format="raw") for client in (tenant, other))
    tenant.done(mine.startid), other.done(theirs.startid)
    assert mine.data["template.id"] != theirs.data["template.id"]
    tenant.run(DELETE, {"templateId": mine.data["template.id"]})
    row = row_of(other, theirs.data["template.id"])
    assert (row["template.state"], row["template.md5"]) == ("ready", hashlib.md5(data).hexdigest())
    other.vm(**order(other, row["template.id"]))


def test_the_checksum_is_of_what_arrived(tenant):
    """Nobody says it but the server: it is computed, and shown."""
    data = b"\0" + os.urandom(MIB - 1)
    reply = upload(tenant, data, format="raw")
    job = tenant.done(reply.startid)
    assert hashlib.sha256(data).hexdigest() in " ".join(job.lines)
    assert row_of(tenant, reply.data["template.id"])["template.md5"] == hashlib.md5(data).hexdigest()


def test_offered_to_all_is_not_for_all_to_take_away(admin, tenant, template):
    """Tenants may use what the administrator offers, and nothing more; and only the administrator imports by path."""
    tenant.refused(DELETE, {"templateId": template}, "ADMIN_ONLY", "templateId")
    tenant.refused(IMPORT, {"template.name": "x", "template.path": "/etc/passwd"})
    tenant.vm(**order(tenant, template))
    assert row_of(admin, template)["template.state"] == "ready"
