"""What takes a minute or more: begun before all other tests, looked at after them. The order is conftest's;
this file alone takes as long as it takes."""
import pytest


# ------------------------------------------------------------------------------------------------- begun first
@pytest.mark.first
def test_slow_clients_are_let_in(slow_clients):
    assert len(slow_clients.sockets) == 90


@pytest.mark.first
def test_deaf_guests_are_asked(deaf_guests):
    """One to shut down, one to reboot: neither hears it."""
    assert len(set(deaf_guests.startids.values())) == 2


# ------------------------------------------------------------------------------------------------ looked at last
@pytest.mark.last
def test_requests_that_never_end_are_cut_off(slow_clients):
    """A byte now and then does not buy more time: the limit is on the request, not on silence."""
    ended = slow_clients.wait(60)
    assert len(ended) == len(slow_clients.sockets), f"{len(slow_clients.sockets) - len(ended)} are still open"
    heads, others = sorted(ended)[:len(ended) // 3], sorted(ended)[len(ended) // 3:]
    assert all(8 <= seconds <= 20 for seconds in heads), heads
    assert all(20 <= seconds <= 50 for seconds in others), others


@pytest.mark.last
def test_an_idle_connection_is_not_a_slow_one(slow_clients):
    """What was answered may stay open longer than what is never asked; in the end it is closed, too."""
    ended = slow_clients.wait(60)
    idle = slow_clients.wait_idle(150)
    assert idle is not None, "it is open still"
    assert idle > max(ended) and idle > 60, (idle, max(ended))


@pytest.mark.last
def test_a_guest_that_does_not_reboot_is_reset_and_that_is_said(deaf_guests):
    job = deaf_guests.tenant.follow(deaf_guests.startids["restart"], 120)
    assert job.result == "0" and any("did not reboot in time and was reset" in line for line in job.lines), job.lines
    assert [line["log.level"] for line in job["job.logs"] if "reset" in line["log.content"]] == ["warn"]
    assert deaf_guests.tenant.show(deaf_guests.vms["restart"])["vm.state"] == "1"


@pytest.mark.last
def test_a_guest_that_does_not_shut_down_is_left_running(deaf_guests):
    job = deaf_guests.tenant.follow(deaf_guests.startids["shutdown"], 150)
    assert job.result == "1" and "did not shut down in time" in job.info, job
    assert deaf_guests.tenant.show(deaf_guests.vms["shutdown"])["vm.state"] == "1"
    deaf_guests.tenant.run("PUT cloudvm/destroy", {"vm.id": deaf_guests.vms["shutdown"]})
