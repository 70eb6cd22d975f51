#!/usr/bin/python3
"""Nodes and clients for test_net_balance.

nodes ADDRESS NAME ...        serves http (8000), tcp and udp (9000) on each address; "down NAME", "up NAME" on stdin
hold ADDRESS PORT N WINDOW    N connections, WINDOW of them open at a time; prints how many each node got
get URL [CA]                  prints status, who answered, what it saw, and the name in the certificate
load URL FILE N               N requests, as slowly as stdin stays open, beside one long download; counts go to FILE
udp ADDRESS PORT N            N datagrams, each from a port of its own; prints how many each node got
"""
import asyncio
import collections
import socket
import ssl
import sys

AT_ONCE = 30


# ---------------------------------------------------------------------------------------------------------- nodes
class Node:
    def __init__(self, address, name):
        self.address, self.name, self.servers, self.udp, self.writers = address, name, [], None, set()

    async def http(self, reader, writer):
        self.writers.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1]
            if path == b"/long":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\nConnection: close\r\n\r\n")
                for _ in range(100):
                    writer.write(bytes(40000))
                    await writer.drain()
                    await asyncio.sleep(0.03)
            else:
                body = self.name.encode() + b"\n" + head
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    async def tcp(self, reader, writer):
        self.writers.add(writer)
        try:
            writer.write(self.name.encode())
            while await reader.read(1000):
                pass
        except ConnectionError:
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    def connection_made(self, transport):
        self.udp = transport

    def connection_lost(self, why):
        pass

    def error_received(self, why):
        pass

    def datagram_received(self, data, sender):
        self.udp.sendto(self.name.encode() + b" " + data, sender)

    async def up(self):
        loop = asyncio.get_running_loop()
        self.servers = [await asyncio.start_server(self.http, self.address, 8000, backlog=1000),
                        await asyncio.start_server(self.tcp, self.address, 9000, backlog=1000)]
        await loop.create_datagram_endpoint(lambda: self, local_addr=(self.address, 9000))

    async def down(self):
        for server in self.servers:
            server.close()
        for writer in self.writers:
            writer.transport.abort()
        self.udp.close()


async def nodes(args):
    all_nodes = {name: Node(address, name) for address, name in zip(args[::2], args[1::2])}
    for node in all_nodes.values():
        await node.up()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        what, name = line.decode().split()
        await getattr(all_nodes[name], what)()


# -------------------------------------------------------------------------------------------------------- clients
async def hold(address, port, count, window):
    seen, held, count = collections.Counter(), collections.deque(), int(count)

    async def one():
        reader, writer = await asyncio.open_connection(address, port)
        seen[(await reader.read(100)).decode()] += 1
        held.append(writer)

    for begin in range(0, count, AT_ONCE):
        await asyncio.gather(*(one() for _ in range(min(AT_ONCE, count - begin))))
        while len(held) >= int(window):
            held.popleft().close()
    for name in sorted(seen):
        print(name, seen[name])


def url_parts(url):
    scheme, rest = url.split("://")
    host, path = rest.split("/", 1)
    address, port = host.split(":")
    return scheme, address, int(port), "/" + path


def name_in(der):
    """The common name, without a library: its OID, then a string."""
    at = der.rindex(b"\x55\x04\x03") + 3
    return der[at + 2:at + 2 + der[at + 1]].decode()


async def fetch(url):
    scheme, address, port, path = url_parts(url)
    tls = None
    if scheme == "https":
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(address, port, ssl=tls)
    name = name_in(writer.get_extra_info("ssl_object").getpeercert(True)) if tls else ""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read(-1)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1]) if head else 0
    length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    if length and int(length[0].split(b":")[1]) != len(body):
        status = -1
    return status, body, name


async def get(url):
    status, body, name = await fetch(url)
    print(status, name)
    print(body.decode())


async def load(url, path, count):
    bad, good, loop = [], 0, asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    over = asyncio.ensure_future(reader.read(1))
    download = asyncio.ensure_future(fetch(url + "long"))
    while good + len(bad) < int(count) or not over.done():
        try:
            status = (await fetch(url))[0]
        except (OSError, ssl.SSLError) as why:
            status = repr(why)
        if status == 200:
            good += 1
        else:
            bad.append(status)
        await asyncio.sleep(0.002)
    status, body, _ = await download
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"bad {len(bad)} {bad[:3]} download {status} {len(body)} good {good}\n")


def udp(address, port, count):
    seen = collections.Counter()
    for i in range(int(count)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(1)
            s.connect((address, int(port)))
            s.send(b"%d" % i)
            try:
                name, data = s.recv(100).split()
                seen[name.decode()] += data == b"%d" % i
            except OSError:
                seen["lost"] += 1
    for name in sorted(seen):
        print(name, seen[name])


if __name__ == "__main__":
    what, args = sys.argv[1], sys.argv[2:]
    if what == "udp":
        udp(*args)
    elif what == "nodes":
        asyncio.run(nodes(args))
    else:
        asyncio.run(globals()[what](*args))
