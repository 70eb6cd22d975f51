"""The ends of the slow clients that test_http.py began with: half a minute on, in parallel to everything else."""
import time


def test_requests_that_never_end_are_cut_off(slow_clients):
    """A byte now and then does not buy more time: the limit is on the request, not on silence."""
    ended = slow_clients.wait(60)
    assert len(ended) == len(slow_clients.sockets), f"{len(slow_clients.sockets) - len(ended)} are still open"
    assert all(20 <= seconds <= 50 for seconds in ended), sorted(ended)


def test_an_idle_connection_is_not_a_slow_one(slow_clients):
    """What was answered may stay open longer than what is never asked."""
    assert time.monotonic() - slow_clients.begin > 25
    slow_clients.idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert slow_clients.idle.recv(65536).endswith(b"ok")
