"""Threat 29: a real guest that forges MAC, IP and ARP from its first packet on, and one that its rules close."""
import json
import subprocess
import textwrap

import pytest
from sandbox import until

FORGED = "52:54:00:de:ad:01"
# Before the guest's own configuration: from the moment there is a device, as somebody else.
FORGER = f"""#!/bin/sh
ip link set eth0 address {FORGED}
ip addr add GATEWAY/24 dev eth0
ip link set eth0 up
for n in $(seq 10); do
    arping -U -c 1 -w 1 -I eth0 GATEWAY
    ping -c 1 -W 1 VICTIM
done >/dev/null 2>&1
cat /sys/class/net/eth0/address /sys/class/net/eth0/statistics/tx_packets >/run/forged
ip link set eth0 down
ip addr flush dev eth0
ip link set eth0 address OWN
ip link set eth0 up
"""
# In the VPC's namespace: what comes from the forged address, until the file is there that ends it.
WATCHER = textwrap.dedent("""
    import os, select, socket, sys
    mac, end, ready = bytes.fromhex(sys.argv[1].replace(":", "")), sys.argv[2], sys.argv[3]
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((sys.argv[4], 0))
    open(ready, "w").close()
    seen = all = 0
    while not os.path.exists(end):
        if select.select([s], [], [], 0.2)[0]:
            frame = s.recv(2048)
            all += 1
            seen += mac in frame
    print('{"seen": %d, "all": %d}' % (seen, all))
""")


@pytest.fixture
def watch(sandbox, tmp_path):
    """Starts a look at what reaches a VPC's gateway; called again, it ends and says what was seen."""
    started = []

    def start(guest, mac):
        end, ready = f"/tmp/{tmp_path.name}-end", f"/tmp/{tmp_path.name}-ready"
        inside = ["nsenter", "-t", str(sandbox.pid), "-m", "-n", "-u", "-i", "-p", "--"]
        process = subprocess.Popen([*inside, "ip", "netns", "exec", guest.namespace, "/usr/bin/python3", "-c", WATCHER,
                                    mac, end, ready, "gw0"], stdout=subprocess.PIPE, text=True)
        started.append((process, end, ready))
        until(lambda: sandbox.try_run("test", "-e", ready).returncode == 0, "the watcher watches", tick=0.05)

        def stop():
            sandbox.run("touch", end)
            return json.loads(process.communicate(timeout=30)[0])

        return stop

    yield start
    for process, end, ready in started:
        sandbox.try_run("touch", end)
        process.communicate(timeout=30)
        sandbox.try_run("rm", "-f", end, ready)


def gateway_of(guest):
    return guest.ip.rsplit(".", 1)[0] + ".1"


def test_a_guest_that_forges_from_its_first_packet(cloud, sandbox, watch):
    forger = cloud.guest()
    victim = cloud.guest(vpc=forger.vpc)
    own = forger.sh("cat /sys/class/net/eth0/address")
    script = FORGER.replace("GATEWAY", gateway_of(forger)).replace("VICTIM", victim.ip).replace("OWN", own)
    forger.sh(f"cat >/etc/init.d/forge <<'END'\n{script}END\nchmod 755 /etc/init.d/forge\n"
              "sed -i 's,^# Devices that come later.*,/etc/init.d/forge,' /etc/init.d/rcS; grep -q forge "
              "/etc/init.d/rcS; sync")
    before = victim.sh("cat /proc/net/arp")
    cloud.act("destroy", forger)
    stop = watch(forger, FORGED)
    cloud.act("start", forger)
    forger.ready()  # as itself it is heard
    seen = stop()
    address, sent = forger.sh("cat /run/forged").split()
    assert address == FORGED and int(sent) >= 10, "it did not forge"
    assert seen["seen"] == 0, seen
    assert seen["all"] > 0, "the watcher saw nothing at all"
    assert FORGED not in victim.sh("cat /proc/net/arp"), before


def test_a_rule_closes_and_opens_a_running_guest(cloud):
    guest = cloud.guest()
    rule = {"vm.ip": guest.ip, "aclrule.type": "net_inner", "allow.direction": "in", "allow.protocol": "tcp",
            "allow.dstips": guest.ip}
    closes = cloud.tenant.ok("POST cloudnetwork/acessrule/add", {**rule, "allow.internalport": "81"}).data["rule.id"]
    assert guest.http(limit=2) is None
    opens = cloud.tenant.ok("POST cloudnetwork/acessrule/add", {**rule, "allow.internalport": "80"}).data["rule.id"]
    assert guest.http() is not None
    for one in (closes, opens):
        cloud.tenant.ok("DELETE cloudnetwork/acessrule/{ruleId}", {"ruleId": one})
    assert guest.http() is not None
