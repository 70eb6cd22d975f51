"""What takes a minute or more: begun before all other tests, looked at after them. The order is conftest's;
this file alone takes as long as it takes."""
import pytest
from starvirt import wait_until


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


@pytest.mark.last
def test_a_guest_above_its_threshold_raises_one_alarm_that_ends(busy_guests):
    busy_guests.wait(180)
    params = {"isfindPage": "true", "alarm.objid": busy_guests.busy}
    (row,) = busy_guests.tenant.ok("POST cloudalarm/search", params).data
    assert (row["alarm.type"], row["alarm.relieve.way"], row["alarm.level"]) == ("vm.cpu", "auto", "medium")
    (told,) = busy_guests.hook.of("vm.cpu")
    assert "is used to 9" in told["text"]["en"] and "60 % or more since" in told["text"]["en"], told
    assert [m["event"] for m in busy_guests.hook.told if m["object"]["id"] == busy_guests.busy] == ["raised", "relieved"]


@pytest.mark.last
def test_a_guest_around_its_threshold_raises_none(busy_guests):
    busy_guests.wait(180)
    params = {"isfindPage": "true", "alarm.objid": busy_guests.noisy}
    assert busy_guests.tenant.ok("POST cloudalarm/search", params).data == []


@pytest.mark.last
def test_a_host_that_never_came_raises_an_alarm(busy_guests):
    admin = busy_guests.alone.admin
    ask = {"isfindPage": "true", "alarm.obj.type": "host"}
    rows = wait_until(lambda: admin.ok("POST cloudalarm/search", ask).data, "it is raised", 30)
    assert [(row["alarm.type"], row["alarm.objname"], row["alarm.relieve.way"]) for row in rows] == [
        ("host.lost", "host2", "none")]
