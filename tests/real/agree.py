"""Whether the machine is as the API says: domains, processes, files, addresses, devices, quotas."""
import ipaddress
import os
import re
import struct

STATES = {"0": "shut off", "1": "running", "2": "paused"}
FAILED = "-2"
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def virtual_size(path):
    """Bytes a qcow2 file offers, out of its header."""
    with open(path, "rb") as f:
        head = f.read(32)
    assert head[:4] == b"QFI\xfb", f"{path} is no qcow2"
    return struct.unpack(">Q", head[24:32])[0]


def tail(vpc):
    return vpc[-12:]


def storages(server):
    """Administrators are told where they are."""
    server.tellable.add(server.data)
    try:
        return server.admin.ok("POST cloudstorage/search").data
    finally:
        server.tellable.discard(server.data)


class Agreement:
    """One comparison; `wrong` is what it found."""

    def __init__(self, server, sandbox, foreign=(), pending=(), network=None):
        self.network = network or (lambda _: self.linux())
        self.server, self.sandbox, self.foreign, self.pending = server, sandbox, set(foreign), set(pending)
        self.wrong = []
        self.images = os.path.join(server.data, "images")
        admin = server.admin
        self.storages = {row["storage.id"]: row for row in storages(server)}
        self.vms = {row["vm.id"]: row for row in admin.ok("POST cloudvm/search").data}
        self.vpcs = {row["vpc.id"]: row for row in admin.ok("POST cloudnetwork/vpc/search").data}
        self.templates = {row["template.id"] for row in admin.ok("POST cloudtemplate/search").data}
        self.tenants = [row["app.id"] for row in admin.ok("POST cloudTenant/search").data]
        self.placed = {vm: row for vm, row in self.vms.items() if row["vm.state"] != FAILED}
        self.domains = {name: state for name, state in sandbox.domains().items() if name not in self.foreign}
        self.xml = {name: sandbox.definition(name, "--inactive") for name in self.domains}

    def expect(self, what, is_, should):
        if is_ != should:
            self.wrong.append(f"{what}: {is_}, should be {should}")

    def whole(self):
        self.jobs()
        self.power()
        self.sizes()
        self.files()
        self.network(self)
        self.quota()
        self.secrets()
        breaches = self.server.fsck()
        if breaches:
            self.wrong.append("fsck: " + breaches)
        return self.wrong

    def jobs(self):
        for result in ("2", "3"):
            for row in self.server.admin.ok("POST joblog/search", {"job.result": result}).data:
                if row["startid"] not in self.pending:
                    self.wrong.append(f"open job {row['startid']} {row['job.name']} of {row['job.objname']}")

    # --- VMs ---
    def power(self):
        self.expect("domains", self.domains, {vm: STATES.get(row["vm.state"], f"state {row['vm.state']}")
                                              for vm, row in self.placed.items()})
        guests = [re.search(r"guest=([^,]+)", " ".join(argv)) for argv in
                  self.sandbox.processes("qemu-system-x86_64").values()]
        self.expect("QEMU processes", sorted(found.group(1) for found in guests if found),
                    sorted(name for name, state in self.sandbox.domains().items() if state != "shut off"))

    def sizes(self):
        for name, xml in self.xml.items():
            row = self.vms.get(name)
            if row is None:
                continue
            vcpu, memory = xml.find("vcpu"), xml.find("memory")
            self.expect(f"vCPUs of {name}", vcpu.get("current", vcpu.text), row["vm.vcpu.num"])
            self.expect(f"memory of {name}", str(int(memory.text) // 1024), row["vm.memory.mem"])
            self.expect(f"title of {name}", xml.findtext("title"), row["vm.name"])

    # --- image directory ---
    def disks(self, vm):
        return [source.get("file") for source in self.xml[vm].findall("devices/disk/source")]

    def files(self):
        # Inside, where something may be mounted on it.
        there = set(self.sandbox.run("ls", "-A", self.images).split()) if os.path.isdir(self.images) else set()
        self.expect("files of the image directory", sorted(there),
                    sorted(self.used(self.images) | {f"{template}.template.qcow2" for template in self.templates}))
        for row in self.storages.values():
            place = row["storage.location"]
            if row["storage.type"] == "DIR" and place != self.images:
                there = {name for name in self.sandbox.run("ls", "-A", place).split() if ".qcow2" in name}
                self.expect(f"disks on {row['storage.name']}", sorted(there), sorted(self.used(place)))

    def used(self, folder):
        paths = [path for vm in self.xml for path in self.disks(vm)]
        return {os.path.basename(path) for path in paths if os.path.dirname(path) == folder}

    # --- network ---
    def leases(self):
        """{vpc: lines of dnsmasq's hosts file}, as VMs ask for them."""
        found = {vpc: [] for vpc in self.vpcs}
        for vm, row in self.placed.items():
            nics = self.server.admin.ok("POST cloudvm/vnic/search", {"vnic.vmid": vm}).data
            self.expect(f"address of {vm}", row["vm.ip"], nics[0]["vnic.ipaddress"] if nics else "")
            for nic in nics:
                assert ipaddress.ip_address(nic["vnic.ipaddress"]) in ipaddress.ip_network(
                    self.vpcs[nic["vnic.vpc.id"]]["vpc.cidr"])
                found[nic["vnic.vpc.id"]] += [f"{nic['vnic.macaddress']},{nic['vnic.ipaddress']},vm-{vm[-8:]}"]
            self.devices(vm, nics)
        return found

    def devices(self, vm, nics):
        """Of a VM's definition and, while it runs, of the guest: the NICs and disks that the API tells of."""
        disks = self.server.admin.ok("POST cloudvm/vdisk/search", {"vdisk.vmid": vm}).data
        should = {"NICs": sorted(nic["vnic.macaddress"] for nic in nics),
                  "disks": sorted(f"{disk['vdisk.devname']} {disk['vdisk.id']}.qcow2" for disk in disks)}
        for xml in [self.xml[vm]] + ([] if self.domains[vm] == "shut off" else [self.sandbox.definition(vm)]):
            have = {"NICs": sorted(mac.get("address") for mac in xml.findall("devices/interface/mac")),
                    "disks": sorted(disk.find("target").get("dev") + " " +
                                    os.path.basename(disk.find("source").get("file"))
                                    for disk in xml.findall("devices/disk"))}
            self.expect(f"devices of {vm}", have, should)

    def linux(self):
        used = {vpc: lines for vpc, lines in self.leases().items()}
        folder = os.path.join(self.server.data, "net")
        there = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        # A VPC is made on the machine when its first VM comes.
        self.expect("VPCs on the machine", [vpc for vpc in there if vpc not in used], [])
        self.expect("VPCs with VMs and without a network", [v for v, lines in used.items() if lines and v not in there],
                    [])
        for vpc in there:
            self.one_network(folder, vpc, used.get(vpc, []))
        names = sorted(name for name in self.links() if name.startswith(("svb", "svl")))
        self.expect("bridges and legs", names, sorted(p + tail(vpc) for vpc in there for p in ("svb", "svl")))
        self.expect("namespaces", self.sandbox.namespaces(), sorted("sv-" + tail(vpc) for vpc in there))
        self.expect("DHCP servers", sorted(self.dhcp_servers()), there)
        self.taps()

    def one_network(self, folder, vpc, lines):
        def read(name):
            path = os.path.join(folder, vpc, name)
            return open(path).read() if os.path.exists(path) else ""

        self.expect(f"leases of VPC {vpc}", sorted(read("hosts").split()), sorted(lines))
        given = {fields[1] for fields in map(str.split, read("leases").splitlines()) if len(fields) == 5}
        self.expect(f"leases given in VPC {vpc} to nobody", sorted(given - {line.split(",")[0] for line in lines}), [])

    def links(self):
        if not hasattr(self, "_links"):
            self._links = self.sandbox.links()
        return self._links

    def dhcp_servers(self):
        for argv in self.sandbox.processes("dnsmasq").values():
            files = [word for word in argv if word.startswith("--dhcp-hostsfile=")]
            yield files[0].split("/")[-2] if files else " ".join(argv)

    def taps(self):
        """Each running VM's NICs, on the bridge of their VPC, and no other."""
        should = {}
        for vm, state in self.domains.items():
            if state == "shut off":
                continue
            for nic in self.xml[vm].findall("devices/interface"):
                should[nic.find("target").get("dev")] = nic.find("source").get("bridge")
        self.expect("taps", {name: row.get("master") for name, row in self.links().items() if name.startswith("svt")},
                    should)

    # --- what tenants pay for ---
    def quota(self):
        admin = self.server.admin
        for tenant in self.tenants:
            left = admin.usable(tenant)
            vms = [row["vm.id"] for row in admin.ok("POST cloudvm/search", {"tenant.id": tenant}).data
                   if row["vm.id"] in self.placed]
            vpcs = admin.ok("POST cloudnetwork/vpc/search", {"tenant.id": tenant}).data
            size = sum(virtual_size_inside(self.sandbox, path) for vm in vms if vm in self.xml
                       for path in self.disks(vm))
            used = {"Cpu": sum(int(self.vms[vm]["vm.vcpu.num"]) for vm in vms),
                    "Memory": sum(int(self.vms[vm]["vm.memory.mem"]) for vm in vms),
                    "Storage": -(-size // (1 << 30)), "PortGroupSize": len(vpcs)}
            for key, should in used.items():
                whole = left["count" + key]
                if whole >= 0:
                    self.expect(f"{key} used by tenant {tenant}", whole - left[key[0].lower() + key[1:]], should)

    def secrets(self):
        self.expect("secrets of nobody", [owner for owner in self.server.secrets()
                                          if owner not in self.placed and owner not in self.storages], [])


def virtual_size_inside(sandbox, path):
    """The same for a file that may lie on a file system mounted inside."""
    return virtual_size(f"/proc/{sandbox.pid}/root{path}")


def disagreements(server, sandbox, foreign=(), pending=(), network=None):
    """What differs, as texts. `foreign`: domains of somebody else; `pending`: jobs that are meant to be open;
    `network`: called with the comparison, what an engine has of it (None: the Linux one's)."""
    return Agreement(server, sandbox, foreign, pending, network).whole()
