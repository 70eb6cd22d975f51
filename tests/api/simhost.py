"""What a simulated host has, read from its journal without asking the server (hv/sim/journal.c)."""
import hashlib
import os
import struct
import uuid

DEFINE, LIVE, UNDEFINE, VOLUME, DROP, PLUGGED, PASSWORD, CONTENT, WORDS, SNAPSHOT, UNSNAPSHOT = range(1, 12)
HEAD = struct.Struct("=IHBB16s")
RUNS = (2, 3)  # running, paused
COPYING = 32  # flag of a domain whose disks are being copied


def vnc_mark(vm, password):
    """What the journal holds of a VNC password (hv/sim/domain.c, mark_password())."""
    return hashlib.sha256(uuid.UUID(vm).bytes + password.encode().ljust(8, b"\0")).digest()[:8]


def text(raw):
    return raw.split(b"\0", 1)[0].decode()


class Devices:
    """A definition, or what a running guest has: {target: disk id}, [NIC ids]."""

    def __init__(self, raw):
        disks, nics, name_len = struct.unpack_from("=BBB", raw, 21)
        self.vcpus, = struct.unpack_from("=H", raw, 16)
        self.vnc_mark = raw[24:32]
        self.disks, self.nics, self.macs = {}, [], []
        at = 32
        for _ in range(disks):
            self.disks[text(raw[at + 40:at + 48])] = str(uuid.UUID(bytes=raw[at:at + 16]))
            at += 48
        for _ in range(nics):
            self.nics.append(str(uuid.UUID(bytes=raw[at:at + 16])))
            self.macs.append(":".join(f"{byte:02x}" for byte in raw[at + 16:at + 22]))
            at += 56
        self.name = raw[at:at + name_len].decode()


class Snapshot:
    """What was on its disks, and in the memory of a running guest."""

    def __init__(self, raw):
        self.id = str(uuid.UUID(bytes=raw[:16]))
        self.words = text(raw[48:112])
        self.memory, disks = bool(raw[112]), raw[113]
        self.contents = {str(uuid.UUID(bytes=raw[at:at + 16])): text(raw[at + 16:at + 80])
                         for at in range(120, 120 + disks * 80, 80)}


class Domain:
    def __init__(self):
        self.definition, self.plugged, self.power, self.password = None, None, 1, None
        self.words, self.boots, self.flags, self.snapshots = "", 0, 0, {}

    @property
    def runs(self):
        return self.power in RUNS

    @property
    def devices(self):
        """Of the running guest."""
        assert self.runs
        return self.plugged or self.definition

    @property
    def vnc(self):
        """Marks of VNC passwords compare as the passwords do; see vnc_mark()."""
        return self.definition.vnc_mark

    def knows(self, user, password):
        salt, digest = self.password[:16], self.password[16:]
        return hashlib.sha256(salt + user.encode() + b"\0" + password.encode()).digest() == digest


class SimHost:
    def __init__(self, server, name="host1"):
        self.domains, self.volumes, self.contents = {}, {}, {}  # contents: of volumes that were written to
        self.places = {}  # storages of volumes that are not in the image directory
        with open(os.path.join(server.data, "sim", name + ".journal"), "rb") as f:
            raw = f.read()
        assert raw.startswith(b"svsim 1\n")
        at = 8
        while at + HEAD.size <= len(raw):
            _, size, kind, _, key = HEAD.unpack_from(raw, at)
            self._apply(kind, str(uuid.UUID(bytes=key)), raw[at + HEAD.size:at + HEAD.size + size])
            at += HEAD.size + size
        assert at == len(raw)

    def _apply(self, kind, key, raw):
        if kind == VOLUME:
            self.volumes[key], = struct.unpack_from("=q", raw, 16)
            if len(raw) > 32:
                self.places[key] = str(uuid.UUID(bytes=raw[32:48]))
        elif kind == DROP:
            self.volumes.pop(key, None)
            self.places.pop(key, None)
            self.contents.pop(key, None)
        elif kind == UNDEFINE:
            del self.domains[key]
        elif kind == DEFINE:
            self.domains.setdefault(key, Domain()).definition = Devices(raw)
        elif kind == LIVE:
            domain = self.domains[key]
            domain.power, domain.flags = raw[24], raw[25]
            domain.plugged = domain.plugged if domain.runs else None
            boots, = struct.unpack_from("=H", raw, 20)
            domain.words = domain.words if domain.runs and boots == domain.boots else ""
            domain.boots = boots
        elif kind == PLUGGED:
            self.domains[key].plugged = Devices(raw)
        elif kind == PASSWORD:
            self.domains[key].password = raw
        elif kind == CONTENT:
            self.contents[key] = raw.decode()
        elif kind == WORDS:
            self.domains[key].words = raw.decode()
        elif kind == SNAPSHOT:
            found = Snapshot(raw)
            self.domains[key].snapshots[found.id] = found
        elif kind == UNSNAPSHOT:
            self.domains[key].snapshots.pop(str(uuid.UUID(bytes=raw)), None)

    def agrees(self, client, vm, half=frozenset()):
        """A VM's disks and NICs are the same in the API, the definition and the running guest; but that one which is
        `half` removed may be out of the guest already."""
        domain = self.domains[vm]
        disks = client.ok("POST cloudvm/vdisk/search", {"vdisk.vmid": vm}).data
        nics = client.ok("POST cloudvm/vnic/search", {"vnic.vmid": vm}).data
        named = {row["vdisk.devname"]: row["vdisk.id"] for row in disks}
        wired = {row["vnic.id"]: row["vnic.macaddress"] for row in nics}
        for have, less in [(domain.definition, ())] + ([(domain.devices, half)] if domain.runs else []):
            def without(found, key):
                return {item for item in found.items() if item[key] not in less}

            assert without(have.disks, 1) == without(named, 1), f"{vm}, power {domain.power}: {have.disks}, {named}"
            found = dict(zip(have.nics, have.macs))
            assert without(found, 0) == without(wired, 0), f"{vm}, power {domain.power}: {found}, {wired}"
        rows = client.ok("GET cloudvm/snapshot/{vmId}", {"vmId": vm}).data
        assert set(domain.snapshots) == {row["snapshot.id"] for row in rows}
        for row in disks:
            whole = -(-self.volumes[row["vdisk.id"]] // (1 << 30))  # a template's own size need not be
            assert whole == int(row["vdisk.size"]), row
        return domain
