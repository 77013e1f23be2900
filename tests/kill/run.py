#!/usr/bin/env python3
"""Backends that die under load: is a request lost that need not be, and is one sent twice that must not be?

Two loads of 64 connections from wrk against four backend processes, active health checks on. In each round one of the processes is
killed (SIGKILL: the kernel resets its connections in the middle of whatever they were doing) and started again on its
port two seconds later.

GET   may be sent again: not one may fail, and the backend must get its share of the requests again after its rise.
POST  must not be sent again once it may have been acted upon. Each carries a number, and the origins (small ones of this script's
      own, which write each number to a file before they answer) have seen none twice. What was in flight at the killed
      one may fail, and nothing else.

    tests/kill/run.py                # needs wrk
    tests/kill/run.py --rounds 20
"""

import argparse
import os
import pathlib
import re
import socketserver
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import lab

CONNECTIONS = 64
INTERVAL, RISE, FALL = 0.2, 2, 2
SETTINGS = ["health.kind=http", "health.path=/healthz", f"health.interval={int(INTERVAL * 1000)}ms", f"health.rise={RISE}", f"health.fall={FALL}"]
# In seconds of a round: when the backend dies, when it comes back, and how long its share is watched afterwards.
DIES, RETURNS, WATCHED, LASTS = 1.0, 3.0, 2.0, 8

NUMBERED = """
local number = tonumber(os.getenv("FIRST"))
request = function()
  number = number + 1
  return wrk.format("POST", "/" .. number, nil, string.rep("x", 300))
end
"""


class Numbers(socketserver.StreamRequestHandler):
    """An origin that writes the number of each request down before it answers."""

    disable_nagle_algorithm = True

    def handle(self):
        while line := self.rfile.readline():
            length = 0
            while (field := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = field.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            path = line.split()[1]
            if len(self.rfile.read(length)) == length and path != b"/healthz":
                os.write(self.server.seen, path[1:] + b"\n")
                time.sleep(0.002)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Origin(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, *_):
        """A proxy that goes away is no news."""


def serve_numbers(port, file):
    origin = Origin(("127.0.0.1", port), Numbers)
    origin.seen = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    print(origin.server_address[1], flush=True)
    origin.serve_forever()


class Load:
    """wrk, and what it has seen."""

    def __init__(self, port, extra=(), environment=None):
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{LASTS}s", "--timeout", "10s", *extra, f"http://127.0.0.1:{port}/"]
        environment = {**os.environ, **(environment or {})}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    def is_running(self):
        return self.process.poll() is None

    def wait(self):
        self.text, _ = self.process.communicate(timeout=LASTS + 30)
        self.requests = int(re.search(r"(\d+) requests in", self.text).group(1))
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", self.text)
        self.refused = int(refused.group(1)) if refused else 0
        broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", self.text)
        self.broken = sum(map(int, broken.groups())) if broken else 0
        return self


def endpoint(stats, index):
    return stats["endpoints"][index]


def until(proxy, index, state, seconds):
    """How long it takes until the endpoint is in that state; None if it takes longer than `seconds`."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if endpoint(proxy.stats(), index)["state"] == state:
            return time.monotonic() - begun
        time.sleep(0.01)
    return None


def one_round(proxy, load, begun, die, come_back, index):
    """Kills, waits and starts again; returns when it was down and ready, and its share after that."""
    time.sleep(max(0.0, begun + DIES - time.monotonic()))
    die()
    down = until(proxy, index, "down", RETURNS - DIES)
    time.sleep(max(0.0, begun + RETURNS - time.monotonic()))
    come_back()
    ready = until(proxy, index, "ready", 10 * RISE * INTERVAL)
    before = proxy.stats()
    time.sleep(WATCHED)
    in_time = load.is_running()
    after = proxy.stats()
    served = endpoint(after, index)["requests"] - endpoint(before, index)["requests"]
    share = served / max(1, after["requests"]["total"] - before["requests"]["total"])
    problems = []
    if down is None:
        problems.append(f"not down within {RETURNS - DIES:.0f} s")
    if ready is None:
        problems.append(f"not ready within {10 * RISE * INTERVAL:.0f} s")
    if not in_time:
        problems.append("the load ended before the round: the machine is too slow")
    # A quarter by round robin; half of that leaves room for where the windows' edges fall.
    elif share < 0.125:
        problems.append(f"only {share:.1%} of the requests after its rise")
    spans = " ".join(f"{name} {'never' if span is None else f'{span:.2f} s'}" for name, span in (("down", down), ("up", ready)))
    return problems, f"{spans}, then {share:.1%}"


def gets(results, name, service, workers, rounds):
    with lab.Lab() as it:
        options = ["--service", service, "--workers", "1000"]
        backends = [it.backend(*options, port=lab.steady_port()) for _ in range(4)]
        proxy = it.proxy([backend.port for backend in backends], *SETTINGS, workers=workers)
        requests = retries = killed_in_flight = 0
        for number in range(rounds):
            index = number % 4
            begun, load, first = time.monotonic(), Load(proxy.port), proxy.stats()

            def die():
                nonlocal killed_in_flight
                killed_in_flight += endpoint(proxy.stats(), index)["in_flight"]
                backends[index].kill()

            def come_back():
                backends[index] = it.backend(*options, port=backends[index].port)

            problems, figures = one_round(proxy, load, begun, die, come_back, index)
            load.wait()
            last = proxy.settled()
            again = last["requests"]["retries"] - first["requests"]["retries"]
            bad = last["requests"]["by_status"]["5xx"] - first["requests"]["by_status"]["5xx"]
            if load.refused or load.broken or bad:
                faults = {k: v for k, v in last["requests"]["by_fault"].items() if v}
                problems.append(f"LOST: {load.refused} non-2xx, {load.broken} socket errors, {bad} answers 5xx; faults {faults}, budget refused {last['requests']['retries_refused']}")
            requests, retries = requests + load.requests, retries + again
            results.row(name, f"round {number + 1}: {load.requests:,} GETs, {again} sent again", "; ".join(problems), figures)
        hit = "" if retries > 0 else "no request was sent again: the kills have hit nobody"
        results.row(name, f"all: {requests:,} GETs, {retries} sent again", hit, f"{killed_in_flight} were in flight at the moments of death")


def posts(results, rounds):
    with lab.Lab() as it:
        script = it.folder / "numbered.lua"
        script.write_text(NUMBERED)
        files = [it.folder / f"seen-{index}" for index in range(4)]

        def serve(index, port):
            return it.script([__file__, "--serve", str(port), files[index]])

        origins = [serve(index, lab.steady_port()) for index in range(4)]
        proxy = it.proxy([origin.port for origin in origins], *SETTINGS)
        requests = failures = 0
        for number in range(rounds):
            index = number % 4
            first = proxy.stats()
            begun = time.monotonic()
            load = Load(proxy.port, ["-s", script], {"FIRST": str(number * 10_000_000)})
            in_flight = 0

            def die():
                nonlocal in_flight
                in_flight = endpoint(proxy.stats(), index)["in_flight"]
                origins[index].kill()

            def come_back():
                origins[index] = serve(index, origins[index].port)

            problems, figures = one_round(proxy, load, begun, die, come_back, index)
            load.wait()
            last = proxy.settled()
            faults = {k: v - first["requests"]["by_fault"][k] for k, v in last["requests"]["by_fault"].items()}
            faults = {k: v for k, v in faults.items() if v and k != "client_gone"}
            # A connection serves one request at a time, so a death can fail one of each connection at most.
            if load.refused + load.broken > CONNECTIONS:
                problems.append(f"{load.refused} non-2xx and {load.broken} socket errors: more than were in flight")
            strange = set(faults) - {"reused_connection_closed", "closed_before_response", "closed_mid_response"}
            if strange:
                problems.append(f"faults that no death explains: {faults}")
            requests, failures = requests + load.requests, failures + load.refused + load.broken
            what = f"round {number + 1}: {load.requests:,} POSTs, {load.refused + load.broken} failed"
            results.row("POST", what, "; ".join(problems), f"{figures}; {in_flight} in flight at the death, faults {faults}")
        for origin in origins:
            origin.stop()
        seen = [line for file in files for line in file.read_text().split()]
        twice = len(seen) - len(set(seen))
        problem = f"{twice} requests were sent TWICE" if twice else ""
        if not problem and len(seen) < requests - failures:
            problem = f"{requests - failures:,} were answered, but only {len(seen):,} came to the origins"
        if not problem and failures == 0:
            problem = "none failed: the kills have hit nobody"
        results.row("POST", f"all: {requests:,} POSTs, {failures} failed", problem, f"{len(seen):,} came to the origins, none of them twice")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="kills for each load")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve_numbers(int(arguments.serve[0]), arguments.serve[1])
    for program, package in lab.missing({"wrk": "wrk"}):
        raise SystemExit(f"needs {program}: apt-get install {package}")
    lab.build()
    results = lab.Results()
    gets(results, "GET", "0", 1, arguments.rounds)
    gets(results, "GET, 5 ms", "exponential:5ms", 2, arguments.rounds)
    posts(results, arguments.rounds)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
