#!/usr/bin/env python3
"""Two proxies over one Redis: do they admit together what one would?

Each gets more than the whole limit from a load of its own. What both have admitted after a minute may be at most the burst and the
rate times the time, and must not be more than 1 % less. Then the same while the Redis is stopped (SIGSTOP) for five seconds in the middle: each
goes by its own count meanwhile, no request fails, and none waits for longer than the deadline.

    tests/redis/rates.py                  # needs redis-server
    tests/redis/rates.py --seconds 10 --debug
"""

import argparse
import json
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import lab

RATE, BURST, OFFERED = 200, 20, 300
# Patient where nothing goes wrong, so that a busy machine is not taken for a lost Redis; the default where something does.
PATIENT, DEADLINE = "1s", "20ms"
# For so many seconds at most the breaker lets nobody call a Redis that answers again: `max_open` and its jitter.
LEFT_ALONE = 6
LIMIT = f'limit.rate=[{{ name = "second", by = "header:x-user", requests = {RATE}, per = "1s", burst = {BURST} }}]'


def redis(place):
    """A Redis on a free port; the port, and the process as the lab keeps it."""
    port = lab.steady_port()
    return port, place.redis(port)


def load(place, proxy, seconds):
    file = place.folder / f"{proxy.pid}.json"
    command = [lab.PROGRAMS / "loadgen", "--rate", OFFERED, "--duration", f"{seconds}s", "--header", "X-User: one"]
    command += ["--expect", "200", "--expect", "429", "--quiet", "--json", file, f"http://127.0.0.1:{proxy.port}/"]
    return file, subprocess.Popen([str(word) for word in command], stdout=place.log, stderr=place.log)


def bad(said):
    """Requests that were not answered as they should be."""
    return int(sum(one["metrics"][name]["value"] for one in said for name in ("failed", "timed_out", "dropped")))


def measure(place, seconds, deadline, stop=None):
    """How many were admitted in how long, what the loads say, and what the proxies counted."""
    port, server = redis(place)
    backend = place.backend("--service", "constant:1ms")
    settings = [LIMIT, f'limit.redis.address="127.0.0.1:{port}"', f'limit.redis.deadline="{deadline}"']
    proxies = [place.proxy([backend.port], *settings) for _ in range(2)]
    end = time.monotonic() + 10
    while not all(proxy.stats()["redis"]["available"] for proxy in proxies) and time.monotonic() < end:
        time.sleep(0.05)
    begun = time.monotonic()
    loads = [load(place, proxy, seconds) for proxy in proxies]
    if stop:
        time.sleep(seconds / 2)
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(stop)
        server.process.send_signal(signal.SIGCONT)
    for _, process in loads:
        process.wait()
    took = time.monotonic() - begun
    said = [json.loads(file.read_text()) for file, _ in loads]
    stats = [proxy.settled() for proxy in proxies]
    return sum(one["requests"]["by_status"]["2xx"] for one in stats), took, said, stats


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--stop", type=float, default=5.0, help="for how many seconds the Redis is stopped in the second run")
    options = lab.begin(parser, {"redis-server": "redis-server"})
    results = lab.Results()
    with lab.Lab() as place:
        count, took, said, stats = measure(place, options.seconds, PATIENT)
        most, least = BURST + RATE * took, 0.99 * (BURST + RATE * options.seconds)
        figures = f"{count} admitted in {options.seconds} s; {BURST} + {RATE} × {took:.2f} s are {most:.0f}"
        results.row("two proxies", "admit no more than the rate, within 1 %", "" if count <= 1.01 * most else figures, figures)
        results.row("two proxies", "and no less", "" if count >= least else figures, figures)
        alone = sum(one["redis"]["calls"][why] for one in stats for why in ("late", "lost", "resting"))
        results.row("two proxies", "the Redis has decided each time", f"{alone} times not" if alone else "", f"{sum(one['redis']['calls']['answered'] for one in stats)} times")
        failed = bad(said)
        results.row("two proxies", "no request fails", f"{failed} failed" if failed else "", f"{2 * OFFERED * options.seconds} asked")
    with lab.Lab() as place:
        count, took, said, stats = measure(place, options.seconds, DEADLINE, options.stop)
        # While the Redis is stopped each goes by its own count.
        most = BURST + RATE * took + 2 * BURST + RATE * (options.stop + LEFT_ALONE)
        figures = f"{count} admitted in {options.seconds} s, at most {most:.0f}"
        results.row("Redis stopped", "they admit no more than each by itself meanwhile", "" if count <= most else figures, figures)
        failed = bad(said)
        results.row("Redis stopped", "no request fails", f"{failed} failed" if failed else "", f"{2 * OFFERED * options.seconds} asked")
        calls = stats[0]["redis"]["calls"]
        figures = f"{calls['late']} calls were late, {calls['resting']} were not made"
        results.row("Redis stopped", "it is left alone after some late calls", "" if 0 < calls["late"] < calls["resting"] else figures, figures)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
