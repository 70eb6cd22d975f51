"""Kills at random moments, under mixed load and with a disk that is full at times (storm.py). A thousand of them, by
hand: scripts/kills 1000 (docs/RELIABILITY.md)."""
import os

import pytest
from smalldisk import SmallDisk
from storm import MIB, Storm, small_server

if os.geteuid() != 0:
    pytest.skip("mounting needs root", allow_module_level=True)

KILLS = 40


def test_nothing_is_lost_leaked_doubled_or_stuck(tmp_path):
    with SmallDisk(tmp_path / "disk", MIB) as disk:
        server = small_server(tmp_path, disk)
        storm = Storm(server, seed=7, disk=disk)
        storm.run(KILLS)
        assert storm.checks and server.finish() == [], storm.summary()
