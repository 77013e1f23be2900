#!/usr/bin/env python3
"""CPU time per request of the proxy, beside nginx and haproxy in the same run.

One worker each on core 0; four nginx origins and wrk on core 1; keep-alive, 64 connections. The proxies take turns for
several rounds, and the median of the rounds counts. Needs wrk and nginx; haproxy joins where it is installed.

    tests/peers/cpu.py                    # 100 B bodies
    tests/peers/cpu.py --size 102400      # 100 KiB bodies
"""

import argparse
import re
import shutil
import statistics
import subprocess

import common


def requests_of(port, size, seconds, connections):
    url = f"http://127.0.0.1:{port}/{size}"
    out = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url],
        capture_output=True, text=True, check=True,
    ).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", out)
    if bad:
        raise SystemExit(f"port {port}: {bad.group(0)}")
    return int(re.search(r"(\d+) requests in", out).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100, help="bytes of each body")
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
    origin, ports = common.origins(folder, 1, [arguments.size])
    running = [common.PROXIES[name](folder, 0, ports) for name in common.installed()]
    costs = {server.name: [] for server in running}
    try:
        for server in running:
            requests_of(server.port, arguments.size, 1, arguments.connections)
        for _ in range(arguments.rounds):
            for server in running:
                before = server.cpu()
                count = requests_of(server.port, arguments.size, arguments.seconds, arguments.connections)
                costs[server.name].append((server.cpu() - before) / count * 1e6)
    finally:
        for server in [*running, origin]:
            server.stop()
        shutil.rmtree(folder)
    base = statistics.median(costs["nginx"])
    print(f"{arguments.size} B bodies, {arguments.connections} connections, {arguments.rounds} rounds of {arguments.seconds} s")
    print(f"{'proxy':<12} {'CPU per request':>16} {'rounds':>15} {'to nginx':>9}")
    for name, values in costs.items():
        median = statistics.median(values)
        spread = f"{min(values):.2f}–{max(values):.2f}"
        print(f"{name:<12} {median:>13.2f} µs {spread:>15} {median / base:>8.2f}×")
    ratio = statistics.median(costs["windtunnel"]) / base
    if arguments.at_most and ratio > arguments.at_most:
        raise SystemExit(f"the ratio to nginx is {ratio:.2f}, above {arguments.at_most}")


if __name__ == "__main__":
    main()
