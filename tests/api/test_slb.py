"""Load balancers and their nodes as rows: addresses, ports, limits, links to others, certificates, what stays secret."""
import json
import subprocess

import pytest
from outside import router
from starvirt import cli, wait_until

NOBODY = "01900000-0000-7000-8000-000000000000"
_certificates = {}


def certificate(days=365, name="starvirt.test"):
    """(certificate, key), PEM; made once."""
    if (days, name) not in _certificates:
        made = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
             str(days), "-subj", f"/CN={name}", "-keyout", "-", "-out", "-"], capture_output=True, text=True, check=True)
        key, end, rest = made.stdout.partition("-----END PRIVATE KEY-----\n")
        _certificates[days, name] = rest, key + end
    return _certificates[days, name]


class Site:
    """A tenant with a VPC, a router that leads there, and a VM."""

    def __init__(self, admin, model):
        self.tenant = admin.tenant()
        self.vpc = self.tenant.vpc()
        self.router = router(self.tenant, self.vpc)
        self.vm = self.tenant.vm(vnic_portgroupid=self.vpc, vm_tenant_model=model)
        self.ip = self.tenant.show(self.vm)["vm.ip"]

    def at(self, host):
        return f"{self.ip.rsplit('.', 1)[0]}.{host}"

    def params(self, **more):
        """Of an inner one on TCP; slb_directport=81 changes a key, None leaves it out."""
        params = {"slb.name": "b", "slb.appid": self.tenant.id, "slb.protocal.type": "tcp", "slb.network.type": "inner",
                  "slb.directip": self.at(200), "slb.directport": 80, "slb.vmid": self.router}
        params.update({key.replace("_", "."): value for key, value in more.items()})
        return {key: value for key, value in params.items() if value is not None}

    def add(self, **more):
        return self.tenant.ok("POST cloudslb/add", self.params(**more)).data["slb.id"]

    def refused(self, code, field, **more):
        reply = self.tenant.refused("POST cloudslb/add", self.params(**more), code)
        assert reply.field == field, reply
        return reply

    def node(self, **more):
        params = {"realnode.ip": self.ip, "realnode.port": 8080, "realnode.vmid": self.vm}
        params.update({key.replace("_", "."): value for key, value in more.items()})
        return params

    def add_node(self, slb, **more):
        reply = self.tenant.ok("POST cloudslb/realnode/add", self.node(realnode_slbid=slb, **more))
        return reply.data["realnode.id"]

    def slbs(self, **more):
        return self.tenant.ok("POST cloudslb/search", {k.replace("_", "."): v for k, v in more.items()}).data

    def nodes(self, **more):
        return self.tenant.ok("POST cloudslb/realnode/search", {k.replace("_", "."): v for k, v in more.items()}).data

    def free(self):
        (row,) = self.tenant.ok("POST cloudnetwork/vpc/search").data
        return int(row["vpc.usable.ipcount"])


@pytest.fixture
def site(admin, model):
    return Site(admin, model)


# ------------------------------------------------------------------------------------------------ a balancer
def test_what_is_not_said_is_the_default(site):
    slb = site.add()
    (row,) = site.slbs()
    created = row.pop("slb.createtime")
    assert len(created) == 19 and row == {
        "slb.id": slb, "slb.name": "b", "slb.desc": "", "slb.appid": site.tenant.id, "slb.vmid": site.router,
        "slb.protocal.type": "tcp", "slb.network.type": "inner", "slb.directip": site.at(200),
        "slb.directip.self": "false", "slb.directport": "80", "slb.realport": "80", "slb.enable": "true",
        "slb.http.urlpath": "", "slb.https.cert.enable": "false", "slb.policy.type": "rr",
        "slb.health.retrytime": "3", "slb.health.check.interval": "5", "slb.health.check.timeout": "5",
        "slb.health.emptylink.timeout": "60", "slb.health.check.path": "", "slb.maxoccurs": "1000",
        "slb.https.cert.endtime": ""}


def test_types_in_either_case_and_paths(site):
    site.add(slb_protocal_type="HTTP", slb_http_urlpath="/shop")
    (row,) = site.slbs()
    assert (row["slb.protocal.type"], row["slb.http.urlpath"], row["slb.health.check.path"]) == ("http", "/shop", "/shop")


def test_a_change_keeps_what_is_not_given(site):
    slb = site.add(slb_policy_type="wrr", slb_desc="kept", slb_maxoccurs=77)
    (before,) = site.slbs()
    site.tenant.ok("PUT cloudslb/modify", {"slb.id": slb, "slb.directport": 81, "slb.directip": site.at(201)})
    (after,) = site.slbs()
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"slb.directport", "slb.directip"}


def test_start_and_stop(site):
    slb = site.add()
    for verb, on in (("stop", "false"), ("stop", "false"), ("start", "true")):
        site.tenant.ok(f"POST cloudslb/{verb}", {"slb.id": slb})
        assert [row["slb.enable"] for row in site.slbs()] == [on]
        assert len(site.slbs(slb_enable=on)) == 1 and not site.slbs(slb_enable="true" if on == "false" else "false")


def test_inner_addresses_are_the_vpcs_and_come_back(site):
    free = site.free()
    first, second = site.add(), site.add(slb_directport=81)
    assert site.free() == free - 1
    site.refused("SLB_PORT_TAKEN", "slb.directport", slb_protocal_type="http")
    third = site.add(slb_protocal_type="udp")
    for slb in (first, second):
        site.tenant.ok("DELETE cloudslb/{slbid}", {"slbid": slb})
    assert site.free() == free - 1
    site.tenant.ok("DELETE cloudslb/{slbid}", {"slbid": third})
    assert site.free() == free and site.slbs() == []


@pytest.mark.parametrize("host,why", [(1, "gateway"), (0, "free"), (255, "free")])
def test_addresses_that_are_none(site, host, why):
    assert why in site.refused("SLB_ADDRESS", "slb.directip", slb_directip=site.at(host)).text
    assert site.slbs() == []


def test_a_nics_address_and_anothers(site):
    site.refused("SLB_ADDRESS", "slb.directip", slb_directip=site.ip)
    site.refused("SLB_ADDRESS", "slb.directip", slb_directip="192.0.2.1")
    site.refused("OUTER_IP_NOT_FOUND", "slb.directip", slb_network_type="outter", slb_directip="192.0.2.1")


PATHS = ["/a b", '/a"b', "/a'b", "/a\\b", "/a#b", "/a\nb", "/{x}", "/ä"]


@pytest.mark.parametrize("path", PATHS)
def test_paths_are_one_word(site, path):
    for key in ("slb_http_urlpath", "slb_health_check_path"):
        site.refused("PARAM_CHARS", key.replace("_", "."), slb_protocal_type="http", **{key: path})
    assert site.slbs() == []


def test_what_does_not_go_together(site):
    cert, key = certificate()
    site.refused("PARAM_CONFLICT", "slb.http.urlpath", slb_http_urlpath="/x")
    site.refused("PARAM_CONFLICT", "slb.https.cert.text", slb_https_cert_text=cert, slb_https_cert_key=key)
    site.refused("PARAM_CONFLICT", "slb.directip.self", slb_directip_self="true")
    site.refused("PARAM_FORMAT", "slb.http.urlpath", slb_protocal_type="http", slb_http_urlpath="x")
    site.refused("ROUTER_NOT_FOUND", "slb.vmid", slb_vmid=NOBODY)
    assert site.slbs() == []


def test_searches(site):
    site.add(slb_name="zeta")
    site.add(slb_name="alpha 100%", slb_protocal_type="udp")
    site.add(slb_name="Beta", slb_directport=443)
    names = [row["slb.name"] for row in site.slbs(search_orderby="name")]
    assert names == ["Beta", "alpha 100%", "zeta"]
    assert [row["slb.name"] for row in site.slbs()] == ["zeta", "alpha 100%", "Beta"]
    for found, filters in (("Beta", {"slb_directport": 443}), ("alpha 100%", {"slb_name": "100%"}),
                           ("alpha 100%", {"slb_protocal_type": "UDP"})):
        assert [row["slb.name"] for row in site.slbs(**filters)] == [found]
    assert not site.slbs(slb_network_type="outter") and not site.slbs(slb_directip=site.at(9))
    reply = site.tenant.ok("POST cloudslb/search", {"page.startnum": 2, "page.everypagenum": 2})
    assert reply.count == 3 and [row["slb.name"] for row in reply.data] == ["Beta"]


# ---------------------------------------------------------------------------------------------- certificates
def test_certificates_are_secret_and_warned_of(cloud, site):
    cert, key = certificate(days=20)
    https = {"slb_protocal_type": "https", "slb_directport": 443}
    site.refused("PARAM_MISSING", "slb.https.cert.text", **https)
    site.refused("CERTIFICATE", "slb.https.cert.key", **https, slb_https_cert_text=cert,
                 slb_https_cert_key=certificate(name="other")[1])
    since = site.tenant.last_event()
    slb = site.add(**https, slb_https_cert_text=cert, slb_https_cert_key=key)
    (row,) = site.slbs()
    assert row["slb.https.cert.enable"] == "true" and len(row["slb.https.cert.endtime"]) == 19
    assert slb in cloud.secrets("cert")

    def warned():
        return [e for e in site.tenant.ok("GET events", query={"since": since}).data
                if "slb.certificate.ending" in json.dumps(e)]
    wait_until(warned, "a warning, 20 days before")
    left = f'starvirt_certificate_expiry_seconds{{balancer="{slb}"}}'
    wait_until(lambda: 19 * 86400 < cloud.metrics().get(left, 0) <= 20 * 86400, "the time left in the metrics")
    site.tenant.ok("PUT cloudslb/https/cert/conf", dict(zip(
        ("slb.id", "slb.https.cert.text", "slb.https.cert.key"), (slb, *certificate()))))
    wait_until(lambda: cloud.metrics().get(left, 0) > 300 * 86400, "those of the new one")
    assert key.split("\n")[1] not in cloud.log()
    site.tenant.ok("DELETE cloudslb/{slbid}", {"slbid": slb})
    assert slb not in cloud.secrets("cert")


def test_only_https_takes_one(site):
    slb = site.add()
    cert, key = certificate()
    site.tenant.refused("PUT cloudslb/https/cert/conf",
                        {"slb.id": slb, "slb.https.cert.text": cert, "slb.https.cert.key": key},
                        "SLB_NO_CERTIFICATE", "slb.id")


# -------------------------------------------------------------------------------------------------- others' things
def test_no_link_leads_to_another_tenant(admin, model, site):
    other = Site(admin, model)
    theirs = other.add()
    slb = site.add()
    told = []
    for vm, vmid in ((other.vm, other.vm), (NOBODY, NOBODY)):
        alone = site.tenant.refused("POST cloudslb/realnode/add", site.node(realnode_slbid=slb, realnode_vmid=vm),
                                    "VM_NOT_FOUND", "realnode.vmid")
        inside = site.tenant.refused("POST cloudslb/add", {
            **site.params(slb_directport=90), "realnode": [site.node(), site.node(realnode_vmid=vm)]}, "VM_NOT_FOUND")
        assert inside.field == "realnode[1].realnode.vmid"
        told.append([json.dumps(reply.body).replace(vmid, "ASKED") for reply in (alone, inside)])
    assert told[0] == told[1]
    site.refused("ROUTER_NOT_FOUND", "slb.vmid", slb_vmid=other.router)
    site.refused("TENANT_NOT_FOUND", "slb.appid", slb_appid=other.tenant.id)
    site.tenant.refused("POST cloudslb/realnode/add", site.node(realnode_slbid=theirs), "SLB_NOT_FOUND",
                        "realnode.slbid")
    assert len(site.slbs()) == 1 and site.nodes() == []
    # nor does an administrator's balancer take another tenant's VM
    admin.refused("POST cloudslb/realnode/add", site.node(realnode_slbid=theirs), "VM_NOT_FOUND", "realnode.vmid")


def test_the_command_line(cloud, site):
    site.add()
    done = cli("slb", "list", server=cloud, token=site.tenant.token)
    assert done.returncode == 0 and site.at(200) in done.stdout, done
