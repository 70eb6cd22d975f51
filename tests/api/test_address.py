"""vm.ip comes from the lease; what the guest itself says is asked of its agent and shown where it is another."""
import pytest
from simhost import SimHost


class Guest:
    def __init__(self, cloud, tenant, model):
        self.tenant = tenant
        self.vm = tenant.vm(vnic_portgroupid=tenant.vpc(), vm_tenant_model=model)
        self.ip = tenant.show(self.vm)["vm.ip"]
        self.host = next(name for name in ("host1", "host2") if self.vm in SimHost(cloud, name).domains)
        self.say = lambda *ips: cloud.control(f"address={self.vm}:{','.join(ips)}", self.host)

    def told(self, since):
        return self.tenant.wait_event(
            lambda e: e["event.type"] == "vm.address" and e["event.objid"] == self.vm, since)["event.content"]

    def shown(self):
        row = self.tenant.shown_everywhere(self.vm)
        assert row["vm.ip"] == self.ip, "the lease decides"
        return row["vm.guest.ip"]


@pytest.fixture
def guest(cloud, tenant, model):
    return Guest(cloud, tenant, model)


def test_a_guest_that_says_the_same_is_not_worth_a_word(guest):
    assert guest.shown() == ""
    since = guest.tenant.last_event()
    guest.say(guest.ip)
    assert guest.told(since) == guest.ip
    assert guest.shown() == ""
    since = guest.tenant.last_event()
    guest.say("192.0.2.7", guest.ip)  # one more of its own
    assert guest.told(since) == f"192.0.2.7,{guest.ip}"
    assert guest.shown() == ""


@pytest.mark.race
def test_another_address_is_shown(guest):
    since = guest.tenant.last_event()
    guest.say("192.0.2.7", "2001:db8::1")
    assert guest.told(since) == "192.0.2.7,2001:db8::1"
    assert guest.shown() == "192.0.2.7,2001:db8::1"
    # one that begins like it, or ends like it, is another
    since = guest.tenant.last_event()
    guest.say(guest.ip + "1" if len(guest.ip.split(".")[3]) < 3 else "1" + guest.ip)
    guest.told(since)
    assert guest.shown() != ""


def test_what_is_no_address_is_left_out(guest):
    since = guest.tenant.last_event()
    guest.say("127.0.0.1", "::1", "fe80::1", "169.254.1.1", "0.0.0.0", "x'; DROP TABLE vm", "<b>", "192.0.2.9")
    assert guest.told(since) == "192.0.2.9"
    assert guest.shown() == "192.0.2.9"


def test_many_addresses_hide_none(guest):
    """60 and more before the one that it was given: the list is cut, and that one is looked for in all of it."""
    many = [f"192.0.2.{i}" for i in range(1, 120)] + [f"2001:db8::{i:x}" for i in range(1, 60)]
    since = guest.tenant.last_event()
    guest.say(*many, guest.ip)
    said = guest.told(since).split(",")
    assert said[-1] == guest.ip and set(said[:-1]) <= set(many) and len(said) > 20
    assert guest.shown() == ""
    since = guest.tenant.last_event()
    guest.say(*many, guest.ip + "0" if len(guest.ip.split(".")[3]) < 2 else "192.0.3.1")
    guest.told(since)
    assert guest.ip not in guest.shown().split(",") and guest.shown()


def test_it_is_forgotten_when_the_guest_ends(guest):
    since = guest.tenant.last_event()
    guest.say("192.0.2.7")
    guest.told(since)
    guest.tenant.run("PUT cloudvm/destroy", {"vm.id": guest.vm})
    assert guest.shown() == ""
    since = guest.tenant.last_event()
    guest.tenant.run("PUT cloudvm/start", {"vm.id": guest.vm})
    assert guest.told(since) == "192.0.2.7", "it is asked anew when it is up"
    assert guest.shown() == "192.0.2.7"


def test_it_outlives_the_server(server):
    made = server(connect="sim://?control=1")
    one = Guest(made, made.admin.tenant(), made.admin.model(size=1))
    since = one.tenant.last_event()
    one.say("192.0.2.7")
    one.told(since)
    made.restart()
    assert one.shown() == "192.0.2.7"


def test_a_guest_that_has_none_yet_is_asked_again(server):
    """Nothing tells when a guest got its address: two seconds later it has one."""
    made = server(connect="sim://?control=1")
    one = Guest(made, made.admin.tenant(), made.admin.model(size=1))
    since = one.tenant.last_event()
    made.control("fail=guest_addresses:1")
    one.say("192.0.2.7")
    made.control("fail=guest_addresses:0")
    assert one.told(since) == "192.0.2.7"
