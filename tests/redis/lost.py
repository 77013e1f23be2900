#!/usr/bin/env python3
"""A proxy whose cache has a second tier in Redis, under load: what do clients notice when that is killed, restarted and hung?

Most of what is asked for is in Redis and not in memory. No request may fail in any phase, and p99 may rise by no more than the
deadline of a call (20 ms) over that of the phase in which all is well. Response times count from the moment at which a request was to be sent.

    tests/redis/lost.py                   # needs redis-server
    tests/redis/lost.py --seconds 4 --debug
"""

import argparse
import http.client
import pathlib
import random
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import lab

DEADLINE_MS = 20
# 2,000 answers of 4 KiB, of which memory holds some 200.
KEYS, BODY, MEMORY = 2000, "4KiB", "1MiB"
USERS, RATE = 8, 200


def user(number, port, begun, seconds, times, failures):
    """Asks at its times, on one connection, and notes how long each answer took."""
    draw = random.Random(number)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for turn in range(int(seconds * RATE / USERS)):
        due = begun + (turn + number / USERS) * USERS / RATE
        time.sleep(max(0.0, due - time.monotonic()))
        # The popular ones more often.
        key = min(int(draw.paretovariate(0.4)), draw.randrange(1, KEYS))
        try:
            connection.request("GET", f"/item/{key}", headers={"Host": "shop"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                failures.append(f"status {answer.status}")
        except OSError as error:
            failures.append(str(error))
            connection.close()
        times.append(time.monotonic() - due)
    connection.close()


def phase(proxy, seconds):
    """The response times of a phase in milliseconds, sorted, and what failed."""
    times, failures, begun = [], [], time.monotonic() + 0.05
    users = [threading.Thread(target=user, args=(n, proxy.port, begun, seconds, times, failures)) for n in range(USERS)]
    for each in users:
        each.start()
    for each in users:
        each.join()
    return sorted(1000 * t for t in times), failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long a phase lasts")
    options = lab.begin(parser, {"redis-server": "redis-server"})
    results = lab.Results()
    with lab.Lab() as place:
        port = lab.steady_port()
        server = place.redis(port)
        backend = place.backend("--service", "constant:2ms", "--size", BODY, "--cache-control", "max-age=3600")
        cache = [f"cache.size={MEMORY}", "cache.object=64KiB", f'cache.redis.address="127.0.0.1:{port}"']
        proxy = place.proxy([backend.port], "cache.enabled=true", *cache)
        # The signal is sent when the load of its phase has begun, so that it hits calls under way.
        def later(action):
            timer = threading.Timer(options.seconds / 5, action)
            timer.start()

        def restart():
            nonlocal server
            server = place.redis(port)

        send = lambda number: server.process.send_signal(number)
        phases = [
            ("filling", None),
            ("well", None),
            ("killed", lambda: later(server.kill)),
            ("restarted", restart),
            ("hung", lambda: later(lambda: send(signal.SIGSTOP))),
            ("goes on", lambda: later(lambda: send(signal.SIGCONT))),
            ("well again", None),
        ]
        well = None
        for name, begin in phases:
            before = proxy.stats()["redis"]
            if begin:
                begin()
            times, failures = phase(proxy, options.seconds)
            after = proxy.stats()["redis"]
            calls = {why: after["calls"][why] - before["calls"][why] for why in after["calls"]}
            hits = after["second_tier"]["hit"] - before["second_tier"]["hit"]
            p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
            said = ", ".join(f"{count} {why}" for why, count in calls.items() if count)
            results.row(name, "no request fails", f"{len(failures)}: {failures[0]}" if failures else "", f"{len(times)} asked, {hits} hits in Redis; calls: {said}")
            figures = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {times[-1]:.1f} ms"
            if name == "well":
                well = p99
            rise = p99 - well if well is not None else 0.0
            results.row(name, f"p99 rises by at most {DEADLINE_MS} ms", f"by {rise:.1f} ms: {figures}" if rise > DEADLINE_MS else "", figures)
        results.row("at the end", "it is used again", "" if after["available"] and hits > 0 else "it is not", f"{hits} hits in Redis")
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
