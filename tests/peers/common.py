"""What the peer comparisons share: starting servers on loopback, reading their CPU time, ending them.

Every server is started here, pinned to a core, and ended by its own process id. Figures are CPU time
(user + system, from /proc) per request: on a shared machine the rate and the latency say little, and CPU
time is what an operator pays for.
"""

import atexit
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(name, port, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"{name} does not listen on port {port}")


def cpu_seconds(pid):
    """CPU time of a process and its threads, exact to the nanosecond where the kernel says it."""
    total = 0.0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0]) / 1e9
    return total


def resident_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def children(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        found += [int(p) for p in (task / "children").read_text().split()]
    return found


class Server:
    """A process of ours on a port, pinned to a core; its CPU time is its worker's where it has one."""

    def __init__(self, name, core, command, port, worker_is_child=False):
        self.name, self.port = name, port
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), *map(str, command)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # Whatever comes in between, even a peer that does not start: nobody is left behind.
        atexit.register(self.stop)
        wait_for(name, port)
        time.sleep(0.1)
        kids = children(self.process.pid)
        self.pid = kids[0] if worker_is_child and kids else self.process.pid

    def cpu(self):
        return cpu_seconds(self.pid)

    def stop(self):
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


def scratch():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="windtunnel-peers-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def origins(folder, core, sizes, count=4, extra=""):
    """`count` origins in one nginx, each on a port of its own, with a file of each size; `extra` is for each server."""
    ports = [free_port() for _ in range(count)]
    files = folder / "files"
    files.mkdir()
    for size in sizes:
        (files / str(size)).write_bytes(b"x" * size)
    listen = "\n".join(
        f"server {{ listen 127.0.0.1:{port} backlog=4096; root {files}; keepalive_requests 100000000; {extra} }}"
        for port in ports
    )
    config = folder / "origin.conf"
    config.write_text(
        f"""user root; worker_processes 1; daemon off; master_process off; pid {folder}/origin.pid; error_log /dev/null crit;
events {{ worker_connections 8192; }}
http {{ access_log off; sendfile on; tcp_nopush off; open_file_cache max=100; default_type application/octet-stream; {listen} }}"""
    )
    return Server("origins", core, ["nginx", "-c", config], ports[0]), ports


def nginx(folder, core, ports, http="", location=""):
    port = free_port()
    config = folder / "nginx.conf"
    upstream = "\n".join(f"server 127.0.0.1:{p};" for p in ports)
    config.write_text(
        f"""user root; worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log /dev/null crit;
events {{ worker_connections 16384; }}
worker_rlimit_nofile 32768;
# Its default of 8 × 4 KiB is not made for bodies of 100 KiB; these are, and change nothing for small ones.
http {{ access_log off; proxy_buffer_size 16k; proxy_buffers 16 16k; {http}
upstream origins {{ {upstream} keepalive 256; keepalive_requests 100000000; }}
server {{ listen 127.0.0.1:{port} backlog=4096; keepalive_requests 100000000; keepalive_timeout 600s;
location / {{ proxy_pass http://origins; proxy_http_version 1.1; proxy_set_header Connection "";
proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host; {location} }} }} }}"""
    )
    return Server("nginx", core, ["nginx", "-c", config], port, worker_is_child=True)


def haproxy(folder, core, ports):
    port = free_port()
    config = folder / "haproxy.cfg"
    servers = "\n".join(f" server s{i} 127.0.0.1:{p}" for i, p in enumerate(ports))
    config.write_text(
        f"""global
 nbthread 1
 maxconn 9000
defaults
 mode http
 option forwardfor
 timeout connect 3s
 timeout client 600s
 timeout server 60s
frontend f
 bind 127.0.0.1:{port}
 default_backend b
backend b
 balance roundrobin
 http-reuse always
{servers}
"""
    )
    return Server("haproxy", core, ["haproxy", "-db", "-f", config], port)


def windtunnel(folder, core, ports, extra=()):
    port = free_port()
    binary = ROOT / "target" / "release" / "proxy"
    endpoints = ",".join(f"127.0.0.1:{p}" for p in ports)
    command = [binary, "--listen", f"127.0.0.1:{port}", "--endpoint", endpoints, "--workers", 1]
    command += ["--set", "timeouts.keep_alive=600s", *extra]
    return Server("windtunnel", core, command, port)


PROXIES = {"windtunnel": windtunnel, "nginx": nginx, "haproxy": haproxy}


def installed():
    """The proxies that are here, ours first."""
    return [name for name in PROXIES if name == "windtunnel" or shutil.which(name)]


def build():
    subprocess.run(["cargo", "build", "--release", "-p", "proxy", "--bin", "proxy"], cwd=ROOT, check=True)
