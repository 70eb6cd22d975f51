"""The books of the network engine `sim`, and its switches."""
import os


class Books:
    """DIR/net/sim: a file a unit."""

    def __init__(self, server):
        self.dir = os.path.join(server.data, "net", "sim")

    def path(self, kind, unit):
        return os.path.join(self.dir, kind, unit)

    def has(self, kind, unit):
        return os.path.exists(self.path(kind, unit))

    def read(self, kind, unit):
        with open(self.path(kind, unit)) as f:
            return f.read().splitlines()

    def spoil(self, kind, unit, text):
        """Somebody changes what the engine has."""
        with open(self.path(kind, unit), "w") as f:
            f.write(text)

    def all(self):
        """{"router/ID": text}"""
        found = {}
        for kind in ("vpc", "router", "group", "nic", "host"):
            for unit in os.listdir(os.path.join(self.dir, kind)):
                found[f"{kind}/{unit}"] = self.read(kind, unit)
        return found

    def lose(self):
        """Nothing of it is left."""
        for unit in self.all():
            os.unlink(os.path.join(self.dir, unit))

    def switch(self, name, *words):
        """`second` (of a router of two instances), `fail`, `hang`, `die-before` or `die-after`; without words it is off."""
        with open(os.path.join(self.dir, "." + name), "w") as f:
            f.write("\n".join(words))
        os.rename(f.name, os.path.join(self.dir, name))
