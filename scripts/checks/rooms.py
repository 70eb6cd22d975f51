"""The rooms: who may use whom. docs/ARCHITECTURE.md tells the same in words."""

from common import ROOMS

MAY_USE = {
    "server": {"api", "handlers", "core", "jobs", "db", "hv"},
    "handlers": {"api", "core"},
    "api": set(),
    "core": {"db", "jobs", "hv", "net"},
    "jobs": {"db"},
    "db": set(),
    "hv": set(),
    "net": {"hv"},  # a NIC is described by the hypervisor interface; drivers and rows are out of reach
    "base": set(),
    "cli": {"api", "handlers", "core", "jobs", "db"},
}
# The core's own rooms, lower ones first (through the header of its name, core/vm/vm.h; what else it has is its own).
# What stands in core/ itself puts them together.
CORE_MAY_USE = {
    "run": set(),
    "alarm": {"run"},
    "network": {"run", "alarm"},
    "place": {"run"},
    "storage": {"run", "alarm"},
    "host": {"run", "alarm", "place", "storage"},
    "tenant": {"run", "alarm", "host"},
    "router": {"run", "alarm", "network"},
    "firewall": {"run", "alarm", "network"},
    "balance": {"run", "alarm", "network", "router"},
    "vm": {"run", "alarm", "network", "place", "storage", "host"},
    "monitor": {"run", "alarm", "host", "vm"},
    "image": {"run", "alarm", "host", "vm"},
    "copy": {"run", "alarm", "network", "storage", "host", "vm"},
}
# One file wires everything.
FILE_MAY_USE = {"server/main.c": set(ROOMS)}


def may_use(path, room):
    """The rooms that the file may use, its own among them."""
    return MAY_USE[room] | FILE_MAY_USE.get(path, set()) | {room, "base"}


def core_room(path):
    """"vm" of core/vm/claim.c; None of what stands in core/ itself."""
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else None


def core_may_use(mine, other):
    """Above all of them stands what is in core/ itself."""
    return mine is None or other in CORE_MAY_USE[mine] | {mine}


def circles(table):
    """Rooms that are no lower than themselves."""
    below = {room: set(used) for room, used in table.items()}
    for _ in table:
        for used in below.values():
            used |= {deep for room in set(used) for deep in below[room]}
    return sorted(room for room, used in below.items() if room in used)
