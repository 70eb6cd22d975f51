"""A libvirtd that stands still around the keep-alive limit, under load, again and again: the server lives, tells the
loss in time and is back in time. Fields run side by side, since a stop is a long wait; bench/stops runs more."""
import random
import threading

from stops import Field

FIELDS, ROUNDS = 5, 4
AROUND_THE_LIMIT = 17, 25  # [s]


def play(folder, number, seen, wrong):
    pick = random.Random(number)
    try:
        with Field(str(folder / f"field-{number}")) as field:
            for _ in range(ROUNDS):
                seen.append(field.round(pick.uniform(*AROUND_THE_LIMIT)))
    except BaseException as e:
        wrong.append(f"field {number}: {e!r}")


def test_stops_around_the_limit(tmp_path, sandbox):
    tmp_path.chmod(0o711)
    seen, wrong = [], []
    players = [threading.Thread(target=play, args=(tmp_path, n, seen, wrong)) for n in range(FIELDS)]
    for player in players:
        player.start()
    for player in players:
        player.join()
    wrong += [text for this in seen for text in this.faults()]
    assert not wrong, "\n".join(wrong)
    assert len(seen) == FIELDS * ROUNDS
    assert any(this.told for this in seen), "no stop was long enough to be noticed"
