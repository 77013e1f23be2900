#!/usr/bin/env python3
"""Clients of the real world against the proxy: curl, wrk, ab, hey, headless Chromium and Python's http.client.

Each is used as people use it, over kept connections and without, and what it received is compared with what the
origin had. Origins: `backend-sim` (hyper) and a server of Python's own (origin.py). In the end the proxy must have counted no fault
besides those of clients that went away on purpose.

    tests/clients/run.py
    tests/clients/run.py --allow-missing     # exit 2 instead of 1 when only clients are missing
    tests/clients/run.py --only curl,chromium

Needs (Debian): curl wrk apache2-utils hey chromium
"""

import argparse
import html
import http.client
import json
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import lab
from origin import FILE

PACKAGES = {"curl": "curl", "wrk": "wrk", "ab": "apache2-utils", "hey": "hey", "chromium": "chromium"}


def run(*command, text=True, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=text, timeout=120, **options)


class Checks:
    """Where the proxies are, and where results go."""

    def __init__(self, it, results, simulated, scripted):
        self.it, self.results = it, results
        self.sim, self.web = f"http://127.0.0.1:{simulated.port}", f"http://127.0.0.1:{scripted.port}"
        self.sim_port, self.web_port = simulated.port, scripted.port
        self.upload = it.folder / "upload"
        self.body = random.Random(1).randbytes(3 << 20)
        self.upload.write_bytes(self.body)

    def expect(self, client, what, holds, figures, said=""):
        self.results.row(client, what, "" if holds else f"{figures} {said[-600:]}".strip(), figures)


def curl(checks):
    def go(*words, text=False, **options):
        return run("curl", "--silent", "--show-error", "--max-time", 60, *words, text=text, **options)

    def expect(what, holds, figures, answer):
        checks.expect("curl", what, holds and answer.returncode == 0, figures, str(answer.stderr))

    written = "%{http_code} %{num_connects} %{http_version}\n"
    urls = [word for index in range(5) for word in (f"{checks.sim}/{index}", "-o", "/dev/null")]
    answer = go("-w", written, *urls, text=True)
    lines = [line.split() for line in answer.stdout.splitlines()]
    expect("5 URLs over one connection", len(lines) == 5 and all(line[0] == "200" for line in lines) and sum(int(line[1]) for line in lines) == 1, f"{sum(int(line[1]) for line in lines)} connection", answer)
    answer = go("--http1.0", "-w", written, "-o", checks.it.folder / "ten", f"{checks.sim}/", "-H", "windtunnel-framing: chunked", "-H", "windtunnel-size: 100000", text=True)
    length = (checks.it.folder / "ten").stat().st_size if (checks.it.folder / "ten").exists() else 0
    expect("HTTP/1.0, the origin's answer is chunked", answer.stdout.startswith("200") and length == 100_000, f"{length:,} B", answer)
    answer = go("--http2", "-w", written, "-o", "/dev/null", f"{checks.sim}/", text=True)
    expect("offers an upgrade to h2c, which is not taken", answer.stdout.split() == ["200", "1", "1.1"], answer.stdout.strip(), answer)
    for name, url, extra in (("the Python origin", f"{checks.web}/echo", []), ("backend-sim", checks.sim, ["-H", "windtunnel-echo: 1"])):
        answer = go("-T", "-", *extra, url, input=checks.body)
        expect(f"upload from stdin in chunks, echoed by {name}", answer.stdout == checks.body, lab.size(len(answer.stdout)), answer)
        answer = go("-v", "-H", "Expect: 100-continue", "--expect100-timeout", 30, "--data-binary", f"@{checks.upload}", url)
        told, length = answer.stderr.count(b"HTTP/1.1 100"), 100 if extra else len(checks.body)
        expect(f"Expect: 100-continue, {name}", len(answer.stdout) == length and told == 1, f"{told} interim response", answer)
    answer = go("-X", "POST", "-H", "Content-Length: 0", f"{checks.web}/echo")
    expect("upload of nothing", answer.stdout == b"", "0 B", answer)
    answer = go("-I", f"{checks.web}/file", f"{checks.web}/file", "-w", "%{num_connects}\n", text=True)
    lengths = re.findall(r"(?i)content-length: (\d+)", answer.stdout)
    expect("HEAD twice over one connection", lengths == [str(len(FILE))] * 2 and answer.stdout.strip().endswith("0"), f"lengths {lengths}", answer)
    answer = go("-r", "1000-1999", "-w", "%{stderr}%{http_code}", f"{checks.web}/file")
    expect("a range", answer.stdout == FILE[1000:2000] and answer.stderr == b"206", f"{len(answer.stdout)} B", answer)
    partial = checks.it.folder / "partial"
    partial.write_bytes(FILE[:700_001])
    answer = go("-C", "-", "-o", partial, f"{checks.web}/file")
    expect("resumes a download", partial.read_bytes() == FILE, lab.size(partial.stat().st_size), answer)
    answer = go("--parallel", "--parallel-max", 20, *[word for index in range(100) for word in (f"{checks.web}/file?{index}", "-o", checks.it.folder / f"p{index}")])
    good = sum((checks.it.folder / f"p{index}").read_bytes() == FILE for index in range(100) if (checks.it.folder / f"p{index}").exists())
    expect("100 downloads of 1 MiB, 20 at once", good == 100, f"{good} whole", answer)
    answer = go("--limit-rate", "2M", f"{checks.web}/file")
    expect("a client that reads slowly", answer.stdout == FILE, lab.size(len(answer.stdout)), answer)


def wrk(checks):
    for what, extra in (("64 connections, 2 s", []), ("64 connections, each for one request, 2 s", ["-H", "Connection: close"]), ("64 connections, 100 KiB in chunks, 2 s", ["-H", "windtunnel-size: 102400", "-H", "windtunnel-framing: chunked"])):
        said = run("wrk", "-t1", "-c64", "-d2s", *extra, checks.sim).stdout
        requests = re.search(r"(\d+) requests in", said)
        good = requests and int(requests.group(1)) > 0 and "Non-2xx" not in said and "Socket errors" not in said
        checks.expect("wrk", what, good, f"{int(requests.group(1)):,} requests" if requests else "", said)


def ab(checks):
    small, body = checks.it.folder / "small", ["-p", checks.it.folder / "small", "-T", "text/plain"]
    small.write_bytes(checks.body[:5000])
    for what, extra, kept in (("a connection each", [], 0), ("kept (-k)", ["-k"], 2000), ("POST, kept", ["-k", *body], 2000), ("POST, a connection each", body, 0)):
        said = run("ab", "-q", "-n", 2000, "-c", 16, *extra, f"{checks.sim}/").stdout
        figure = lambda name: int((re.search(rf"{name}:\s+(\d+)", said) or [0, -1])[1])
        good = figure("Complete requests") == 2000 and figure("Failed requests") == 0 and "Non-2xx" not in said
        good = good and max(0, figure("Keep-Alive requests")) == kept
        checks.expect("ab", f"2,000 requests, {what}", good, f"{max(0, figure('Keep-Alive requests')):,} over kept connections", said)


def hey(checks):
    post = ["-m", "POST", "-D", checks.upload, "-H", "windtunnel-echo: 1"]
    for what, count, extra in (("kept", 2000, []), ("a connection each", 2000, ["-disable-keepalive"]), ("POST of 3 MiB and back", 40, post)):
        said = run("hey", "-n", count, "-c", 20, *extra, f"{checks.sim}/").stdout
        answers = dict(re.findall(r"\[(\d+)\]\s+(\d+) responses", said))
        good = answers == {"200": str(count)} and "Error distribution" not in said
        checks.expect("hey", f"{count:,} requests, {what}", good, f"{answers.get('200', 0)} × 200", said)


WANTED = {
    "stylesheet": "rgb(1, 2, 3)",
    "image": 37,
    "download": True,
    "upload": True,
    "range": "206 100",
    "many": True,
    "websocket": "true true 1000 true",
    "events": "event-0 event-1 event-2",
    "stream": True,
    "abort": True,
}


def chromium(checks):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    said = run("chromium", *flags, f"--user-data-dir={checks.it.folder / 'chromium'}", "--dump-dom", f"{checks.web}/")
    found = re.search(r'<pre id="results">(.*?)</pre>', said.stdout, re.S)
    try:
        results = json.loads(html.unescape(found.group(1)))
    except (AttributeError, ValueError):
        checks.expect("chromium", "a page whose script writes results", False, "no results", said.stdout + said.stderr)
        return
    for name, wanted in WANTED.items():
        checks.expect("chromium", name, results.get(name) == wanted, str(results.get(name)))


def python(checks):
    def expect(what, holds, figures):
        checks.expect("python", what, holds, figures)

    connection = http.client.HTTPConnection("127.0.0.1", checks.sim_port, timeout=30)
    connection.connect()
    first, good = connection.sock, 0
    for index in range(200):
        connection.request(("GET", "HEAD", "PUT", "DELETE")[index % 4], f"/{index}", headers={"windtunnel-size": str(index)})
        answer = connection.getresponse()
        good += answer.status == 200 and len(answer.read()) == (0 if index % 4 == 1 else index)
    expect("200 requests of 4 methods over one connection", good == 200 and connection.sock is first, f"{good} good")
    pieces = [checks.body[at:at + 77_777] for at in range(0, len(checks.body), 77_777)]
    connection.request("POST", "/", body=iter(pieces), headers={"windtunnel-echo": "1", "Transfer-Encoding": "chunked"}, encode_chunked=True)
    body = connection.getresponse().read()
    # The answer began while the upload went on, and the proxy may end the connection after that.
    expect("upload from a generator in chunks, echoed", body == checks.body, lab.size(len(body)))
    connection.request("GET", "/", headers={"Connection": "close"})
    answer = connection.getresponse()
    answer.read()
    expect("Connection: close", answer.headers["Connection"] == "close" and connection.sock is None, f"{answer.headers['Connection']}")
    connection.close()
    with socket.create_connection(("127.0.0.1", checks.sim_port), timeout=30) as raw:
        sizes = list(range(1000, 1050))
        requests = [f"GET /{count} HTTP/1.1\r\nHost: python\r\nwindtunnel-size: {count}\r\n\r\n" for count in sizes]
        raw.sendall("".join(requests).encode())
        got = []
        with raw.makefile("rb") as stream:
            while len(got) < len(sizes) and (line := stream.readline()):
                fields = http.client.parse_headers(stream)
                got.append(len(stream.read(int(fields["Content-Length"]))) if b" 200 " in line else -1)
    expect("50 requests pipelined, answered in order", got == sizes, f"{len(got)} answers")
    with socket.create_connection(("127.0.0.1", checks.sim_port), timeout=30) as raw:
        for byte in b"GET / HTTP/1.1\r\nHost: drip\r\nConnection: close\r\n\r\n":
            raw.sendall(bytes([byte]))
        with raw.makefile("rb") as stream:
            answer = stream.read()
    expect("a head byte by byte", answer.startswith(b"HTTP/1.1 200 ") and len(answer.split(b"\r\n\r\n", 1)[1]) == 100, f"{len(answer)} B")
    with socket.create_connection(("127.0.0.1", checks.web_port), timeout=30) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        with raw.makefile("rb") as stream:
            answer = stream.read()
    expect("two Host fields are refused", answer.startswith(b"HTTP/1.1 400 "), answer.split(b"\r\n")[0].decode())


CLIENTS = {"curl": curl, "wrk": wrk, "ab": ab, "hey": hey, "chromium": chromium, "python": python}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--allow-missing", action="store_true", help="exit 2 instead of 1 when only clients are missing")
    parser.add_argument("--only", help="these clients, by commas")
    arguments = parser.parse_args()
    names = arguments.only.split(",") if arguments.only else list(CLIENTS)
    lab.build()
    results = lab.Results()
    with lab.Lab() as it:
        backends = [it.backend("--workers", "1000") for _ in range(2)]
        origin = it.script([HERE / "origin.py"])
        simulated = it.proxy([backend.port for backend in backends], workers=2)
        scripted = it.proxy([origin.port], workers=2)
        checks = Checks(it, results, simulated, scripted)
        for name in names:
            if name in PACKAGES and not shutil.which(name):
                results.skip(name, f"not installed: apt-get install {PACKAGES[name]}")
                continue
            try:
                CLIENTS[name](checks)
            except (OSError, subprocess.TimeoutExpired, http.client.HTTPException) as error:
                results.row(name, "runs to its end", repr(error))
        for name, proxy in (("backend-sim", simulated), ("Python", scripted)):
            stats = proxy.settled()
            bad = {fault: count for fault, count in stats["requests"]["by_fault"].items() if count and fault not in ("client_gone", "bad_request")}
            active = stats["connections"]["active"]
            requests = stats["requests"]["total"]
            problem = f"faults {bad}" if bad else f"{active} client connections are still open" if active else ""
            results.row("proxy", f"no fault of its own in front of {name}", problem, f"{requests:,} requests")
    return results.finish(2 if arguments.allow_missing else 1)


if __name__ == "__main__":
    sys.exit(main())
