"""A data directory on a small file system of its own, which can be filled and freed.

    with SmallDisk(tmp_path / "disk", mib=16) as disk:
        server = Server(disk.path + "/data", ...)
        disk.fill()           # not a byte left, not even for a new name
        disk.free()

The mount is seen by this process, what it starts from then on, and nobody else; it ends with them. Needs root.
"""
import contextlib
import ctypes
import os
import subprocess
import threading

CLONE_NEWNS = 0x00020000
_own = threading.Lock()
_has_own = False


def own_mounts():
    """From here on mounts of this process are its own."""
    global _has_own
    with _own:
        if _has_own:
            return
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        _has_own = True


class SmallDisk:
    def __init__(self, path, mib=16):
        self.path, self.mib = str(path), mib
        self.filler = os.path.join(self.path, ".filler")

    def __enter__(self):
        own_mounts()
        os.makedirs(self.path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.mib}m,mode=711", "tmpfs", self.path], check=True)
        return self

    def __exit__(self, *_):
        self.free()
        subprocess.run(["umount", "--lazy", self.path], check=True)

    def fill(self, leave_kib=0):
        """Takes all that is free but this much; also what was given back since the last time."""
        chunk = bytes(1 << 16)
        with open(self.filler, "ab", buffering=0) as f, contextlib.suppress(OSError):
            while f.write(chunk):
                pass
        if leave_kib:
            os.truncate(self.filler, max(0, os.path.getsize(self.filler) - (leave_kib << 10)))
        return self

    def free(self):
        if os.path.exists(self.filler):
            os.unlink(self.filler)
