"""A console without a browser: the address, the web-socket (RFC 6455) and as much RFB (RFC 6143) as tests need."""
import base64
import hashlib
import os
import re
import socket
import struct
import urllib.parse

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
TIMEOUT = 30


class Address:
    """vm.console.url, taken apart as the page does it."""

    def __init__(self, data):
        self.url = data["vm.console.url"]
        parts = urllib.parse.urlsplit(self.url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.path = parts.path
        given = urllib.parse.parse_qs(parts.fragment, strict_parsing=True)
        (self.vm,), (self.token,), (self.name,) = given["vm"], given["token"], given["name"]
        assert re.fullmatch("[0-9a-f]{64}", self.token), self.token


def address(client, vm):
    return Address(client.ok("GET cloudvm/connection/{vmId}", {"vmId": vm}).data)


class Refused(Exception):
    def __init__(self, status, head, body):
        super().__init__(f"{status}: {body[:200]!r}")
        self.status, self.head, self.body = status, head, body


class Closed(Exception):
    """By a close frame (code, reason), or without one (None, "")."""

    def __init__(self, code, reason=""):
        super().__init__(f"{code} {reason}")
        self.code, self.reason = code, reason


class WebSocket:
    """Client's end. `change`: headers to put in place of the usual ones; None leaves one out."""

    def __init__(self, server, where, method="GET", path=None, change=(), early=b"", receive_buffer=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(server.address)
        if server.tls:
            self.socket = server.tls.wrap_socket(self.socket, server_hostname=server.address[0])
        self.key = base64.b64encode(os.urandom(16)).decode()
        head = {"Host": "%s:%d" % server.address, "Connection": "keep-alive, Upgrade", "Upgrade": "websocket",
                "Sec-WebSocket-Key": self.key, "Sec-WebSocket-Version": "13", "Origin": where.origin,
                "Sec-WebSocket-Protocol": f"binary, token.{where.token}", **dict(change)}
        lines = [f"{method} {path or '/console/vm/' + where.vm} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in head.items() if value is not None]
        self.unread = b""
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + early)
        self._read_head(method)

    def _read_head(self, method):
        while b"\r\n\r\n" not in self.unread:
            self._more()
        head, _, self.unread = self.unread.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        self.head = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in rest)}
        status = int(first.split()[1])
        if status != 101:
            body = b"" if method == "HEAD" else self.take(int(self.head.get("content-length", 0)))
            self.socket.close()
            raise Refused(status, self.head, body)
        accept = base64.b64encode(hashlib.sha1((self.key + GUID).encode()).digest()).decode()
        assert self.head["sec-websocket-accept"] == accept
        assert self.head["sec-websocket-protocol"] == "binary"
        assert self.head["upgrade"].lower() == "websocket" and "upgrade" in self.head["connection"].lower()

    def _more(self):
        part = self.socket.recv(65536)
        if not part:
            raise Closed(None)
        self.unread += part

    def take(self, n):
        while len(self.unread) < n:
            self._more()
        taken, self.unread = self.unread[:n], self.unread[n:]
        return taken

    # --- frames ---
    def send(self, payload, opcode=BINARY, final=True, masked=True):
        self.socket.sendall(frame(payload, opcode, final, masked))

    def receive(self):
        """(opcode, payload) of the next frame. Servers do not mask."""
        first, second = self.take(2)
        length = second & 0x7F
        assert not second & 0x80
        if length == 126:
            (length,) = struct.unpack(">H", self.take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self.take(8))
        return first & 0x0F, self.take(length)

    def binary(self):
        """Of the next binary frame; pings are answered on the way."""
        while True:
            opcode, payload = self.receive()
            if opcode == BINARY:
                return payload
            if opcode == PING:
                self.send(payload, PONG)
            if opcode == CLOSE:
                code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                raise Closed(code, payload[2:].decode())

    def until_closed(self):
        """The close frame, or the end of the stream, whatever comes before it."""
        try:
            while True:
                self.binary()
        except Closed as closed:
            if closed.code is not None and closed.code != 1005:
                try:
                    self.send(struct.pack(">H", closed.code), CLOSE)
                except OSError:
                    pass
            return closed
        except ConnectionError:
            return Closed(None)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def frame(payload, opcode=BINARY, final=True, masked=True):
    head = bytes([(0x80 if final else 0) | opcode])
    mask_bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([mask_bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([mask_bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([mask_bit | 127]) + struct.pack(">Q", len(payload))
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class Screen:
    """An RFB client over a web-socket."""

    def __init__(self, ws):
        self.ws = ws
        self.unread = b""
        assert self.take(12) == b"RFB 003.008\n"
        ws.send(b"RFB 003.008\n")
        (n,) = self.take(1)
        assert 1 in self.take(n), "it asks for a password"
        ws.send(b"\x01")
        assert self.take(4) == b"\0\0\0\0"
        ws.send(b"\x01")
        self.width, self.height = struct.unpack(">HH", self.take(4))
        self.format = self.take(16)
        self.name = self.take(struct.unpack(">I", self.take(4))[0]).decode()

    def take(self, n):
        while len(self.unread) < n:
            self.unread += self.ws.binary()
        taken, self.unread = self.unread[:n], self.unread[n:]
        return taken

    def ask(self, incremental=False):
        self.ws.send(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width, self.height))

    def picture(self):
        """The pixels of the next update, which is the whole screen, raw."""
        kind, _, rects = struct.unpack(">BBH", self.take(4))
        assert (kind, rects) == (0, 1)
        x, y, w, h, encoding = struct.unpack(">HHHHi", self.take(12))
        assert (x, y, w, h, encoding) == (0, 0, self.width, self.height, 0)
        return self.take(w * h * 4)

    def key(self, keysym):
        for down in (1, 0):
            self.ws.send(struct.pack(">BBHI", 4, down, 0, keysym))
