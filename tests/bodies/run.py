#!/usr/bin/env python3
"""Bodies of all sizes, both ways, byte for byte.

10,000 requests with bodies from 0 to 10 MiB through the proxy: sizes drawn evenly on a logarithmic scale, and those at the edges (0, 1,
2^k and their neighbours, 10 MiB) with every combination of the rest: a length or chunks (cut at random), a kept connection or
one of its own, and

echo       the body comes back, while it is still going up
download   the backend's own pattern comes down; this script knows the pattern and compares
upload     the pattern goes up; the backend knows it and compares

The client is a plain one on a socket, written here, so that no library's leniency hides a fault. In the end the proxy's own
counts of requests and bytes must be the same as ours.

    tests/bodies/run.py                        # four clients at once
    tests/bodies/run.py --requests 1000 --seed 2
"""

import argparse
import array
import itertools
import math
import multiprocessing
import pathlib
import random
import select
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import lab

LARGEST = 10 << 20
NUMBERS = (0, 7, 123_456_789)
KINDS, FRAMINGS, CONNECTIONS = ("echo", "download", "upload"), ("length", "chunked"), ("kept", "own")
MASK = (1 << 64) - 1


def mix(z):
    """The finaliser of SplitMix64, which turns a request's number into its pattern's seed."""
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def pattern(number, count):
    """The first `count` bytes of a numbered request's bodies, as `policy::work::Pattern` makes them."""
    seed, words = mix(number), array.array("Q")
    for index in range(-(-count // 8)):
        z = ((seed ^ index) * 0x9E3779B97F4A7C15) & MASK
        words.append(z ^ (z >> 29))
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()[:count]


def edges():
    near = {(1 << k) + d for k in range(1, 24) for d in (-1, 0, 1)}
    return sorted(near | {0, 1, LARGEST - 1, LARGEST})


def plan(count, seed):
    """What is asked: (kind, framing up, framing down, connection, size)."""
    draws = random.Random(seed)
    ways = list(itertools.product(KINDS, FRAMINGS, FRAMINGS, CONNECTIONS))
    # An echo has the framing of its request, so that its second framing says nothing.
    ways = [way for way in ways if way[0] != "echo" or way[1] == way[2]]
    # Every edge in every way if there is room for it, or else in a part of them.
    asked = [(*way, size) for way in ways for size in edges()]
    draws.shuffle(asked)
    asked = asked[:count]
    while len(asked) < count:
        asked.append((*draws.choice(ways), int(math.exp(draws.uniform(0, math.log(LARGEST + 1))))))
    draws.shuffle(asked)
    return asked


class Wrong(Exception):
    """Something arrived that must not have, or did not."""


class Client:
    """HTTP/1.1 on a socket."""

    def __init__(self, port):
        self.port, self.socket, self.opened = port, None, 0

    def open(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.opened += 1

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def exchange(self, message, want):
        """Sends `message` and reads the answer meanwhile; its body must be `want`, or anything if that is None."""
        if self.socket is None:
            self.open()
        out, reader = memoryview(message), Reader(want)
        while not (reader.done and not out):
            readable, writable, _ = select.select([self.socket], [self.socket] if out else [], [], 30)
            if not readable and not writable:
                raise Wrong(f"nothing moves: {len(out)} bytes to send, {reader.got} of the body received")
            if writable:
                out = out[self.socket.send(out[:1 << 18]):]
            if readable:
                piece = self.socket.recv(1 << 18)
                if not piece:
                    raise Wrong(f"the connection ended, {reader.got} bytes of the body received")
                reader.feed(piece)
        return reader


class Reader:
    """An answer, piece by piece."""

    def __init__(self, want):
        self.want, self.got, self.done = want, 0, False
        self.head, self.rest, self.chunk = None, b"", None

    def feed(self, piece):
        self.rest += piece
        if self.head is None:
            end = self.rest.find(b"\r\n\r\n")
            if end < 0:
                return
            lines = self.rest[:end].decode("latin-1").split("\r\n")
            self.rest = self.rest[end + 4:]
            self.status = int(lines[0].split()[1])
            self.head = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            self.chunked = self.head.get("transfer-encoding") == "chunked"
            if not self.chunked:
                self.left = int(self.head["content-length"])
        if self.chunked:
            self.chunks()
        else:
            self.content(self.rest[:self.left])
            self.left -= min(self.left, len(self.rest))
            self.rest, self.done = b"", self.left == 0

    def chunks(self):
        """`chunk` is what is missing of the present one with its CR LF; None where a size is expected."""
        at = 0
        while not self.done and at < len(self.rest):
            if self.chunk is None:
                end = self.rest.find(b"\r\n", at)
                if end < 0:
                    break
                self.chunk, at = int(self.rest[at:end], 16) + 2, end + 2
                self.last = self.chunk == 2
            data = self.rest[at:at + self.chunk]
            at, self.chunk = at + len(data), self.chunk - len(data)
            self.content(data[:len(data) - max(0, 2 - self.chunk)] if self.chunk < 2 else data)
            if self.chunk == 0:
                self.chunk, self.done = None, self.last
        self.rest = self.rest[at:]

    def content(self, data):
        # Plain slices of bytes are compared at the speed of memory.
        if self.want is not None and data != self.want[self.got:self.got + len(data)]:
            at = next((i for i, byte in enumerate(data) if self.want[self.got + i:self.got + i + 1] != bytes([byte])), 0)
            raise Wrong(f"wrong from byte {self.got + at} on")
        self.got += len(data)


def framed(body, framing, draws):
    """The fields and the bytes of a request's body."""
    if framing == "length":
        return f"Content-Length: {len(body)}\r\n", body
    pieces, at, most = [], 0, max(1, min(len(body), draws.choice((16, 1000, 65536, 1 << 20, LARGEST))))
    # Not millions of tiny chunks: at most some thousands each.
    most = max(most, len(body) // 2000)
    while at < len(body):
        data = body[at:at + draws.randint(1, most)]
        pieces += [b"%x\r\n" % len(data), data, b"\r\n"]
        at += len(data)
    return "Transfer-Encoding: chunked\r\n", b"".join([*pieces, b"0\r\n\r\n"])


def work(port, seed, asked, patterns, answers):
    """One client process: its part of the plan, one request after the other."""
    draws, client = random.Random(seed), Client(port)
    noise = random.Random(seed + 1).randbytes(LARGEST + 4096)
    done, wrong, up_bytes, down_bytes = 0, [], 0, 0
    for kind, up, down, connection, size in asked:
        number = draws.choice(NUMBERS)
        fields = "" if connection == "kept" else "Connection: close\r\n"
        if kind == "download":
            fields += f"windtunnel-id: {number}\r\nwindtunnel-size: {size}\r\nwindtunnel-framing: {down}\r\n"
            method, body, want, sent = "GET", b"", patterns[number][:size], 0
        elif kind == "upload":
            fields += f"windtunnel-id: {number}\r\nwindtunnel-size: 100\r\nwindtunnel-framing: {down}\r\n"
            framing, body = framed(patterns[number][:size], up, draws)
            method, fields, want, sent = draws.choice(("POST", "PUT")), fields + framing, patterns[number][:100], size
        else:
            at = draws.randrange(4096)
            want, sent = noise[at:at + size], size
            framing, body = framed(want, up, draws)
            method, fields = draws.choice(("POST", "PUT")), fields + "windtunnel-echo: 1\r\n" + framing
        head = f"{method} /{kind}/{size} HTTP/1.1\r\nHost: bodies.test\r\n{fields}\r\n"
        try:
            if connection == "own":
                client.close()
            answer = client.exchange(head.encode() + body, want)
            if answer.status != 200:
                raise Wrong(f"status {answer.status} {answer.head.get('windtunnel-mismatch', '')}")
            if answer.got != len(want):
                raise Wrong(f"{answer.got} bytes instead of {len(want)}")
            expected = up if kind == "echo" else down
            if answer.chunked != (expected == "chunked"):
                raise Wrong(f"framed otherwise than {expected}")
            if connection == "own" or answer.head.get("connection") == "close":
                client.close()
            done, up_bytes, down_bytes = done + 1, up_bytes + sent, down_bytes + answer.got
        except (Wrong, OSError, ValueError, KeyError) as error:
            wrong.append(f"{kind} of {size} bytes, {up} up, {down} down, connection {connection}: {error!r}")
            client.close()
    client.close()
    answers.put((done, wrong, up_bytes, down_bytes, client.opened))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=4, help="client processes, each with a connection")
    parser.add_argument("--workers", type=int, default=2, help="workers of the proxy")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    lab.build()
    patterns = {number: pattern(number, LARGEST) for number in NUMBERS}
    asked = plan(arguments.requests, arguments.seed)
    fork = multiprocessing.get_context("fork")
    results = lab.Results()
    with lab.Lab() as it:
        backends = [it.backend("--workers", "1000") for _ in range(2)]
        proxy = it.proxy([backend.port for backend in backends], workers=arguments.workers)
        answers, begun = fork.Queue(), time.monotonic()
        clients = []
        for index in range(arguments.clients):
            part = asked[index::arguments.clients]
            told = (proxy.port, arguments.seed * 1000 + index * 2, part, patterns, answers)
            clients.append(fork.Process(target=work, args=told, daemon=True))
            clients[-1].start()
        reports = [answers.get(timeout=3600) for _ in clients]
        for client in clients:
            client.join()
        spent = time.monotonic() - begun
        stats = proxy.settled()
    done, sent, received, opened = (sum(report[index] for report in reports) for index in (0, 2, 3, 4))
    wrong = [line for report in reports for line in report[1]]
    for line in wrong[:20]:
        print(f"wrong: {line}")
    for kind in KINDS:
        mine = [size for k, _, _, _, size in asked if k == kind]
        # Of a download it is the answer that has the body.
        chunked = sum((down if kind == "download" else up) == "chunked" for k, up, down, _, _ in asked if k == kind)
        bad = sum(line.startswith(kind) for line in wrong)
        results.row(kind, f"{len(mine):,} requests, {chunked:,} chunked, {lab.size(sum(mine))}", f"{bad} wrong" if bad else "", f"{min(mine)} to {max(mine):,} B each")
    counted = stats["requests"]["total"]
    results.row("proxy", f"{counted:,} requests over {opened:,} connections", "" if counted == len(asked) else f"{len(asked):,} were sent", f"{arguments.clients} at once")
    for name, ours in (("received", sent), ("sent", received)):
        theirs = stats["bytes"][name]
        results.row("proxy", f"{theirs:,} bytes of bodies {name}", "" if theirs == ours else f"the clients count {ours:,}", lab.size(theirs))
    faults = {name: count for name, count in stats["requests"]["by_fault"].items() if count}
    results.row("proxy", f"{sum(faults.values())} faults", str(faults) if faults else "", "")
    print(f"{done:,} requests byte for byte, {lab.size(sent)} up and {lab.size(received)} down in {spent:.0f} s")
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
