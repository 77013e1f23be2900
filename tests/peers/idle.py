#!/usr/bin/env python3
"""Resident memory for each idle keep-alive connection of the proxy, beside nginx and haproxy.

Opens 5,000 connections, sends one request over each, waits, and divides what the process has grown by.

    tests/peers/idle.py
"""

import argparse
import resource
import shutil
import socket
import time

import common


def measure(server, count, settle):
    before = common.resident_kib(server.pid)
    held = []
    for _ in range(count):
        s = socket.create_connection(("127.0.0.1", server.port))
        s.sendall(b"GET /100 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        held.append(s)
        got = b""
        while b"\r\n\r\n" not in got or not got.endswith(b"x" * 100):
            piece = s.recv(4096)
            if not piece:
                raise SystemExit(f"{server.name} closed a connection")
            got += piece
    time.sleep(settle)
    after = common.resident_kib(server.pid)
    for s in held:
        s.close()
    return before, after, (after - before) * 1024 / count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--settle", type=float, default=6.0, help="seconds to wait before measuring")
    parser.add_argument("--at-most", type=float, help="exit 1 when ours is above so many bytes")
    arguments = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    common.build()
    folder = common.scratch()
    origin, ports = common.origins(folder, 1, [100])
    running = [common.PROXIES[name](folder, 0, ports) for name in common.installed()]
    print(f"{'proxy':<12} {'before':>10} {'after':>10} {'each connection':>16}")
    ours = None
    try:
        for server in running:
            before, after, each = measure(server, arguments.connections, arguments.settle)
            ours = each if ours is None else ours
            print(f"{server.name:<12} {before:>6} KiB {after:>6} KiB {each:>14.0f} B")
    finally:
        for server in [*running, origin]:
            server.stop()
        shutil.rmtree(folder)
    if arguments.at_most and ours > arguments.at_most:
        raise SystemExit(f"each idle connection takes {ours:.0f} B, above {arguments.at_most:.0f}")


if __name__ == "__main__":
    main()
