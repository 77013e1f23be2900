#!/bin/sh
# CPU time per request of loadgen beside that of wrk: closed loop, 64 keep-alive connections, answers of 100 bytes, one
# thread. The server is nginx with one worker on a loopback port, pinned to the first processor; the clients take turns on the
# second. Medians of several rounds, because other programs share the machine; user and system time together, because who
# wakes up more often pays in the system.
#
# usage: loadgen/benches/wrk.sh [ROUNDS [SECONDS]]        needs nginx, wrk, python3 and taskset
set -eu
rounds=${1:-7}
seconds=${2:-2}
cd "$(dirname "$0")/../.."
for program in nginx wrk python3 taskset; do
    PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null || {
        echo "wrk.sh: $program is not installed" >&2
        exit 3
    }
done
PATH="$PATH:/usr/sbin"
cargo build --quiet --release -p loadgen
dir=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
body=$(printf '%0100d' 0)
cat >"$dir/nginx.conf" <<CONF
worker_processes 1; daemon off; pid $dir/pid; error_log $dir/error.log;
events { worker_connections 1024; }
http {
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
    server { listen 127.0.0.1:$port; location / { return 200 "$body"; } }
}
CONF
taskset -c 0 nginx -p "$dir" -c "$dir/nginx.conf" 2>"$dir/stderr" &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; rm -rf "$dir"' EXIT INT TERM
python3 - "http://127.0.0.1:$port/" "$rounds" "$seconds" <<'PYTHON'
import re, resource, socket, statistics, subprocess, sys, time
from urllib.parse import urlparse

url, rounds, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3]
address = (urlparse(url).hostname, urlparse(url).port)
for attempt in range(100):
    try:
        socket.create_connection(address).close()
        break
    except OSError:
        time.sleep(0.05)
else:
    sys.exit("wrk.sh: nginx did not start")

CLIENTS = {
    "wrk": (["wrk", "-t1", "-c64", f"-d{seconds}s", url], r"(\d+) requests in"),
    "loadgen": (["target/release/loadgen", url, "-c", "64", "-d", f"{seconds}s", "-q"], r"Requests +([\d,]+): "),
}

def measure(command, pattern):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(["taskset", "-c", "1", *command], capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    requests = int(re.search(pattern, out).group(1).replace(",", ""))
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return user * 1e6 / requests, system * 1e6 / requests, (user + system) * 1e6 / requests

seen = {name: [] for name in CLIENTS}
for _ in range(rounds):
    for name, (command, pattern) in CLIENTS.items():
        seen[name].append(measure(command, pattern))
print(f"CPU time per request in µs, medians of {rounds} rounds of {seconds} s, 64 connections, 100 B")
for name, figures in seen.items():
    user, system, total = (statistics.median(column) for column in zip(*figures))
    print(f"{name:<8} user {user:5.2f}  system {system:5.2f}  total {total:5.2f}")
ratios = [own[2] / other[2] for own, other in zip(seen["loadgen"], seen["wrk"])]
print(f"loadgen / wrk: {statistics.median(ratios):.2f} (median of the rounds' ratios; {min(ratios):.2f} to {max(ratios):.2f})")
PYTHON
