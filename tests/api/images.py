"""Images made by hand, and templates of them."""
import os
import shutil
import struct
import subprocess

import pytest

IMPORT, UPLOAD, SEARCH, DELETE = ("POST cloudtemplate/import", "POST cloudtemplate/upload", "POST cloudtemplate/search",
                                  "DELETE cloudtemplate/{templateId}")
QEMU_IMG = shutil.which("qemu-img")
needs_qemu_img = pytest.mark.skipif(not QEMU_IMG, reason="no qemu-img")
MIB = 1 << 20


def qemu_img(*argv):
    subprocess.run([QEMU_IMG, *argv], check=True, capture_output=True)


def qcow2_bytes(version=3, backing=b"", incompatible=0, crypt=0, size=MIB, extensions=b"", cluster_bits=16):
    """A header as small as the format allows; enough to be judged, never to be started."""
    body = struct.pack(">8sII", b"\0" * 8, 0, 0)  # end of extensions, padding
    offset = 104 + len(extensions) + len(body) if backing else 0
    head = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", version, offset, len(backing), cluster_bits, size, crypt, 1,
                       3 << 16, 1 << 16, 1, 0, 0)
    head += struct.pack(">QQQII", incompatible, 0, 0, 4, 104)
    data = head + extensions + body + backing
    return data + bytes((4 << 16) - len(data))


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
