"""Images made by hand, and templates of them."""
import os
import shutil
import struct
import subprocess

import pytest
from starvirt import wait_until

IMPORT, UPLOAD, SEARCH, DELETE = ("POST cloudtemplate/import", "POST cloudtemplate/upload", "POST cloudtemplate/search",
                                  "DELETE cloudtemplate/{templateId}")
QEMU_IMG = shutil.which("qemu-img")
needs_qemu_img = pytest.mark.skipif(not QEMU_IMG, reason="no qemu-img")
MIB = 1 << 20


def qemu_img(*argv):
    return subprocess.run([QEMU_IMG, *argv], check=True, capture_output=True).stdout


def qcow2_bytes(version=3, backing=b"", incompatible=0, crypt=0, size=MIB, extensions=b"", cluster_bits=16):
    """A blank disk as small as the format allows: header, reference counts and the first table, a cluster each."""
    body = struct.pack(">8sII", b"\0" * 8, 0, 0)  # end of extensions, padding
    offset = 104 + len(extensions) + len(body) if backing else 0
    entries = min(max(-(-size >> 29), 1), 8192)
    head = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", version, offset, len(backing), cluster_bits, size, crypt, entries,
                       3 << 16, 1 << 16, 1, 0, 0)
    head += struct.pack(">QQQII", incompatible, 0, 0, 4, 104)
    clusters = [head + extensions + body + backing, struct.pack(">Q", 2 << 16), struct.pack(">4H", 1, 1, 1, 1), b""]
    return b"".join(cluster.ljust(1 << 16, b"\0") for cluster in clusters)


def extension(kind, data):
    return struct.pack(">II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def put(tmp_path, data, name="image"):
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


def imported(client, path, **more):
    reply = client.ok(IMPORT, {"template.name": "t", "template.path": path, **more})
    return reply.data["template.id"], client.follow(reply.startid)


def row_of(client, template):
    rows = client.ok(SEARCH, {"template.id": template}).data
    return rows[0] if rows else None


def upload(client, data, **query):
    return client.ok(UPLOAD, query={"name": "up", **query}, body=data, type="application/octet-stream")


def uploads(server):
    return os.listdir(os.path.join(server.data, "upload"))


def no_uploads(server, timeout=90):
    """What was refused or is used up goes with its request, which ends a moment after its answer."""
    wait_until(lambda: not uploads(server), "no upload has left a file", timeout)
