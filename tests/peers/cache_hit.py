#!/usr/bin/env python3
"""CPU time per cache hit of the proxy, beside nginx's proxy_cache in the same run.

One worker each on core 0; an nginx origin and wrk on core 1; keep-alive, 64 connections, one object that is fresh for an hour. The
proxies take turns for several rounds, and the median of the rounds counts; nginx comes with and without sendfile, and the cheaper of
the two is what we are compared with. The origin must have been idle meanwhile, or what was measured were no hits. Needs wrk and nginx.

    tests/peers/cache_hit.py                    # a body of 1 KiB
    tests/peers/cache_hit.py --size 102400      # of 100 KiB
    tests/peers/cache_hit.py --at-most 1.0      # exit 1 when a hit costs more than nginx's
"""

import argparse
import shutil
import statistics
import urllib.request

import common
from cpu import requests_of


def is_hit(port, size):
    """Whether a second request is answered from the cache: only then there is an age."""
    for _ in range(2):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{size}") as response:
            fields = response.headers
            body = response.read()
    assert len(body) == size, f"port {port}: {len(body)} bytes"
    return fields.get("X-Cache") == "HIT" or "hit" in fields.get("Cache-Status", "")


def nginx(folder, core, ports, sendfile):
    own = folder / f"sendfile-{sendfile}"
    own.mkdir()
    server = common.nginx(
        own, core, ports,
        http=f"proxy_cache_path {own}/cache keys_zone=hits:10m inactive=1h; open_file_cache max=100; sendfile {sendfile};",
        location="proxy_cache hits; add_header X-Cache $upstream_cache_status;",
    )
    server.name = "nginx" if sendfile == "off" else "nginx, sendfile"
    return server


def windtunnel(folder, core, ports):
    return common.windtunnel(folder, core, ports, extra=["--set", "cache.enabled=true"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="bytes of the body")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=1, help="seconds a round: short, so that what else runs hits all alike")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--at-most", type=float, help="exit 1 when the ratio to nginx is above this")
    arguments = parser.parse_args()
    for tool in ("wrk", "nginx"):
        if not shutil.which(tool):
            raise SystemExit(f"needs {tool}: apt-get install {tool}")
    common.build()
    folder = common.scratch()
    origin, ports = common.origins(
        folder, 1, [arguments.size], count=1, extra='add_header Cache-Control "public, max-age=3600";'
    )
    running = [windtunnel(folder, 0, ports), nginx(folder, 0, ports, "off"), nginx(folder, 0, ports, "on")]
    costs = {server.name: [] for server in running}
    try:
        for server in running:
            if not is_hit(server.port, arguments.size):
                raise SystemExit(f"{server.name} does not answer from its cache")
            requests_of(server.port, arguments.size, 1, arguments.connections)
        asked = origin.cpu()
        for _ in range(arguments.rounds):
            for server in running:
                before = server.cpu()
                count = requests_of(server.port, arguments.size, arguments.seconds, arguments.connections)
                costs[server.name].append((server.cpu() - before) / count * 1e6)
        # A request costs an origin microseconds; what it spent at rest is no request.
        if origin.cpu() - asked > 0.05:
            raise SystemExit("the origin was busy: not all of it were hits")
        if not all(is_hit(server.port, arguments.size) for server in running):
            raise SystemExit("what is cached has gone meanwhile")
    finally:
        for server in [*running, origin]:
            server.stop()
        shutil.rmtree(folder)
    base = min(statistics.median(values) for name, values in costs.items() if name.startswith("nginx"))
    print(f"a hit of {arguments.size} B, {arguments.connections} connections, {arguments.rounds} rounds of {arguments.seconds} s")
    print(f"{'proxy':<15} {'CPU per hit':>16} {'rounds':>15} {'to nginx':>9}")
    for name, values in costs.items():
        median = statistics.median(values)
        spread = f"{min(values):.2f}–{max(values):.2f}"
        print(f"{name:<15} {median:>13.2f} µs {spread:>15} {median / base:>8.2f}×")
    ratio = statistics.median(costs["windtunnel"]) / base
    if arguments.at_most and ratio > arguments.at_most:
        raise SystemExit(f"the ratio to nginx is {ratio:.2f}, above {arguments.at_most}")


if __name__ == "__main__":
    main()
