"""Real guests on OVN through the API: addresses, who reaches whom, who speaks for whom, security groups."""
import pytest
from conftest import QUOTA
from sandbox import until
from test_secgroup import allow, bind, group, unbind
from test_vnic import nics

METADATA = "169.254.169.254"


@pytest.fixture(scope="module")
def engine(ovn):
    return ovn


@pytest.fixture
def guests(cloud):
    """Two of one VPC, and one of another tenant's, all booted at the same time; the cloud's."""
    if not hasattr(cloud, "three"):
        other = cloud.admin.tenant(**QUOTA)
        mine = cloud.guests(cloud.tenant.vpc(), 2, wait=False)
        theirs = cloud.guests(other.vpc(), client=other, wait=False)
        cloud.three = [guest.ready() for guest in (*mine, *theirs)]
    return cloud.three


def gateway_of(guest):
    return guest.ip.rsplit(".", 1)[0] + ".1"


def test_ovn_gives_addresses(guests, ovn):
    for guest in guests:
        assert f"via {gateway_of(guest)}" in guest.sh("ip route show default")
        assert guest.sh("cat /sys/class/net/eth0/mtu") == "1442"
        assert ovn.nb("lsp-get-up", nic_of(guest)).strip() == "up"
    assert guests[0].get(METADATA, limit=2) is None, "nobody serves metadata"


def nic_of(guest):
    """OVN's port is named by the NIC."""
    xml = guest.sandbox.definition(guest.id)
    return xml.find("devices/interface/virtualport/parameters").get("interfaceid")


def test_a_vpc_is_its_tenants_own(guests, cloud):
    one, two, foreign = guests
    assert one.pings(two.ip) and two.pings(one.ip)
    assert two.get(one.ip) is not None
    # More than a few packets: checksums are whole.
    two.sh("mkdir -p /run/www; dd if=/dev/zero of=/run/www/big bs=1k count=500")
    assert int(one.sh(f"printf 'GET /big HTTP/1.0\\r\\n\\r\\n' | timeout 20 nc {two.ip} 80 | wc -c")) > 500 * 1024
    if foreign.ip != one.ip:
        assert not foreign.pings(one.ip) and foreign.get(one.ip) is None
    else:  # it is that address itself
        assert not foreign.pings(two.ip) and foreign.get(two.ip) is None


def test_nobody_speaks_for_others(guests, cloud):
    one, two, _ = guests
    taken = one.ip.rsplit(".", 1)[0] + ".200"
    one.sh(f"ip addr add {taken}/24 dev eth0")
    assert one.exec(f"ping -c 1 -W 1 -I {taken} {two.ip}")[0] != 0
    one.sh(f"ip addr del {taken}/24 dev eth0")
    own = one.sh("cat /sys/class/net/eth0/address")
    one.exec(f"ip addr add {gateway_of(one)}/24 dev eth0; arping -U -c 2 -w 2 -I eth0 {gateway_of(one)}; "
             f"ip addr del {gateway_of(one)}/24 dev eth0")
    said = [line for line in two.sh("cat /proc/net/arp").splitlines() if line.startswith(gateway_of(one) + " ")]
    assert not any(own in line for line in said), said
    one.sh("ip link set eth0 address 52:54:00:de:ad:01; ip link set eth0 up")
    assert not one.pings(two.ip)
    assert "52:54:00:de:ad:01" not in two.sh("cat /proc/net/arp")
    one.sh(f"ip link set eth0 address {own}")
    until(lambda: one.pings(two.ip), "it is heard as itself", 30)


def test_a_security_group_closes_and_opens_a_running_guest(guests, cloud):
    one, two, _ = guests
    tenant = cloud.tenant
    gid = group(tenant, "web")
    rule = allow(tenant, gid, protocal="tcp", vmport="80")
    nic = nics(tenant, two.id)[0]["vnic.id"]
    bind(tenant, gid, nic)
    until(lambda: not one.pings(two.ip), "the rest is closed", 30)
    assert one.get(two.ip) is not None
    assert two.pings(one.ip), "answers pass"
    unbind(tenant, gid, nic)
    until(lambda: one.pings(two.ip), "it is open again", 30)
    tenant.ok("DELETE cloudsegroup/rule/{ruleid}", {"ruleid": rule})
    tenant.ok("DELETE cloudsegroup/{securitygroupid}", {"securitygroupid": gid})
