"""What the scripts here share: building the programs, starting them on loopback, asking the proxy for its figures, and
ending everything again.

Each process is started by a `Lab` and ended by it, by its own process id, whatever happens in between. The programs take port 0
and say which port they got, so that nobody guesses a free one.
"""

import json
import os
import pathlib
import random
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / "target" / "release"


def build():
    """The three programs, in release mode."""
    command = ["cargo", "build", "--quiet", "--release", "-p", "proxy", "-p", "backend-sim", "-p", "loadgen", "--bins"]
    subprocess.run(command, cwd=ROOT, check=True)


def missing(programs):
    """Those of the programs that are not installed, as `(program, Debian package)`."""
    return [(program, package) for program, package in programs.items() if not shutil.which(program)]


def begin(parser, needed):
    """The options, once the programs are there: built, or with `--debug` as they are; `needed` are others' programs and their packages."""
    parser.add_argument("--debug", action="store_true", help="use the programs in target/debug as they are")
    options = parser.parse_args()
    for program, package in missing(needed):
        raise SystemExit(f"{program} is not installed: apt-get install {package}")
    if options.debug:
        global PROGRAMS
        PROGRAMS = ROOT / "target" / "debug"
    else:
        build()
    return options


def steady_port():
    """A free port that no outgoing connection can take meanwhile: who dies on it can come back to it."""
    first_ephemeral = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.sample(range(min(10_000, first_ephemeral - 1), first_ephemeral), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise SystemExit("no free port below the ephemeral ones")


class Process:
    """A process of ours, whose first words are read until they match."""

    def __init__(self, command, words, says_on, log, seconds=20):
        streams = {"stdout": log, "stderr": log}
        streams[says_on] = subprocess.PIPE
        self.process = subprocess.Popen([str(word) for word in command], **streams)
        self.pid = self.process.pid
        self.pipe = getattr(self.process, says_on)
        self.said = ""
        self.match = self.read_until(re.compile(words, re.S), seconds)

    def read_until(self, words, seconds):
        end = time.monotonic() + seconds
        while not (match := words.search(self.said)):
            ready, _, _ = select.select([self.pipe], [], [], max(0.0, end - time.monotonic()))
            piece = os.read(self.pipe.fileno(), 65536) if ready else b""
            if not piece:
                self.stop()
                raise SystemExit(f"{self.process.args[0]} did not start:\n{self.said}")
            self.said += piece.decode(errors="replace")
        return match

    def kill(self):
        """As a crash does it."""
        self.process.kill()
        self.process.wait()
        self.pipe.close()

    def stop(self):
        """In good order; returns whether it did end so."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
                return False
        self.pipe.close()
        return True


class Proxy(Process):
    """A running proxy."""

    def __init__(self, log, endpoints, workers, settings, config=None):
        command = [PROGRAMS / "proxy", *(["--config", config] if config else []), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", workers]
        command += ["--endpoint", ",".join(f"127.0.0.1:{port}" for port in endpoints)]
        for setting in settings:
            command += ["--set", setting]
        super().__init__(command, r"proxy: \S+:(\d+) →.*http://\S+:(\d+)/proxy-stats.*\n", "stderr", log)
        self.port, self.admin = map(int, self.match.groups())

    def stats(self):
        """What /proxy-stats says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/proxy-stats", timeout=5) as answer:
            return json.load(answer)

    def settled(self, seconds=5):
        """The figures when no client is connected any more, or as they are after so long."""
        end = time.monotonic() + seconds
        while (stats := self.stats())["connections"]["active"] > 0 and time.monotonic() < end:
            time.sleep(0.02)
        return stats


class Lab:
    """Starts processes, and ends all of them when it is left."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="windtunnel-tests-"))
        self.log = (self.folder / "log").open("w")
        self.running = []
        return self

    def __exit__(self, kind, *_):
        for process in reversed(self.running):
            process.stop()
        self.log.close()
        if kind is not None and kind is not KeyboardInterrupt:
            text = (self.folder / "log").read_text(errors="replace")
            sys.stderr.write(text[-4000:])
        shutil.rmtree(self.folder, ignore_errors=True)

    def redis(self, port):
        """A Redis that keeps nothing on disk."""
        command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", self.folder]
        return self._keep(Process(command, "Ready to accept connections", "stdout", self.log))

    def _keep(self, process):
        self.running.append(process)
        return process

    def backend(self, *arguments, port=0):
        """A `backend-sim` of one endpoint; its port is in `.port`."""
        command = [PROGRAMS / "backend-sim", "--listen", f"127.0.0.1:{port}", *arguments]
        process = self._keep(Process(command, r"\S+ \S+:(\d+)\n", "stdout", self.log))
        process.port = int(process.match.group(1))
        return process

    def script(self, command):
        """A server of the script's own, which prints its port and nothing else; it is in `.port`."""
        process = self._keep(Process([sys.executable, *command], r"^(\d+)\n", "stdout", self.log))
        process.port = int(process.match.group(1))
        return process

    def proxy(self, endpoints, *settings, workers=1, config=None):
        """A proxy in front of these ports, with the settings of a file before those that are named."""
        return self._keep(Proxy(self.log, endpoints, workers, settings, config))


class Results:
    """Rows of a table, each of which passes or fails."""

    def __init__(self):
        self.failed = 0
        self.rows = 0
        self.skipped = 0

    def row(self, subject, what, problem, figures=""):
        """One line at once; `problem` is empty for a pass."""
        self.rows += 1
        self.failed += bool(problem)
        verdict = "FAILED" if problem else "ok"
        print(f"{subject:<15} {what:<54} {verdict:<7} {problem or figures}", flush=True)

    def skip(self, subject, what):
        """Said loudly, and not counted as a pass."""
        self.skipped += 1
        print(f"{subject:<15} {what:<54} MISSING", flush=True)

    def finish(self, skipped_is=1):
        """The last line, and the exit code."""
        print(f"{self.rows - self.failed} of {self.rows} checks passed" + (f", {self.skipped} clients MISSING" if self.skipped else ""))
        return 1 if self.failed else (skipped_is if self.skipped else 0)


def size(count):
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
