"""HTTP as bytes on a socket, for what no client library would send."""
import contextlib
import re


def talk(server, data, silence=5.0):
    """Sends all of it, then everything that comes back until the server closes or says nothing more."""
    with server.socket() as s:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            s.sendall(data)
        s.settimeout(silence)
        found = b""
        with contextlib.suppress(ConnectionResetError, TimeoutError):
            while part := s.recv(65536):
                found += part
        return found


def statuses(answer):
    """Of all replies, interim ones, too."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", answer)]
