#!/usr/bin/env python3
"""Redirect mode with other people's clients: does `curl -L` get to the endpoint and back, does Python's urllib, and does nobody else?

A proxy in redirect mode and a simulated backend that was given the same secret, both on loopback. What follows the redirect is served by
the endpoint; what comes with no token, with a forged one, with one for something else, too late or a second time gets 403 and the reason.
At the end the proxy counts nobody as busy: every session was reported.

    tests/clients/redirect.py            # needs curl; builds the programs in release mode
    tests/clients/redirect.py --debug    # with those of a debug build
"""

import argparse
import http.client
import pathlib
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import lab

LIFETIME = 1.0
SECRET = secrets.token_hex(32)


class Unfollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def where(proxy, path, method="GET"):
    """Where the proxy sends this request: the address and the target with the token."""
    request = urllib.request.Request(f"http://127.0.0.1:{proxy.port}{path}", method=method)
    try:
        urllib.request.build_opener(Unfollowed).open(request, timeout=5)
    except urllib.error.HTTPError as answer:
        assert answer.code == 307, answer.code
        url = urllib.parse.urlsplit(answer.headers["Location"])
        return url.netloc, f"{url.path}?{url.query}"
    raise SystemExit("the proxy has not redirected")


def ask(address, target, method="GET"):
    """The status and the text of the endpoint's answer."""
    connection = http.client.HTTPConnection(address, timeout=5)
    connection.request(method, target)
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace").strip()
    connection.close()
    return answer.status, text


def curl(*arguments):
    command = ["curl", "--silent", "--show-error", "--max-time", "5", "--location", "--output", "-", "--write-out"]
    command += ["\\n%{http_code} %{num_redirects} %{size_download}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    return (done.stdout.rsplit("\n", 1)[-1] or done.stderr).strip()


def flip(target):
    """The same target with another last digit of its token."""
    return target[:-1] + ("1" if target[-1] == "0" else "0")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--debug", action="store_true", help="the programs of a debug build")
    arguments = parser.parse_args()
    absent = lab.missing({"curl": "curl"})
    if absent:
        raise SystemExit(f"curl is not installed: {absent}")
    if arguments.debug:
        lab.PROGRAMS = lab.ROOT / "target" / "debug"
        subprocess.run(["cargo", "build", "--quiet", "-p", "proxy", "-p", "backend-sim", "--bins"], cwd=lab.ROOT, check=True)
    else:
        lab.build()
    results = lab.Results()

    def check(client, what, got, wanted):
        results.row(client, what, None if got == wanted else f"{got!r} and not {wanted!r}")

    with lab.Lab() as here:
        secret = here.folder / "secret"
        secret.write_text(SECRET + "\n")
        secret.chmod(0o600)
        endpoints = [here.backend("--redirect-secret-file", secret, "--size", "1KiB").port for _ in range(2)]
        # In a file and not on the command line, where everybody on the machine could read it.
        config = here.folder / "proxy.toml"
        config.write_text(f'mode = "redirect"\n[redirect]\nsecret = "{SECRET}"\nlifetime = "{LIFETIME}s"\n')
        config.chmod(0o600)
        proxy = here.proxy(endpoints, config=config)
        url = f"http://127.0.0.1:{proxy.port}"

        check("curl -L", "a GET follows and is served", curl(f"{url}/a?b=c"), "200 1 1024")
        check("curl -L", "a POST keeps its method and body", curl("--data", "x" * 2000, f"{url}/a"), "200 1 1024")
        check("curl -L", "HEAD follows", curl("--head", f"{url}/a").split()[0], "200")
        upload = curl("--request", "PUT", "--data", "x" * 2000, "--header", "Expect: 100-continue", f"{url}/a")
        check("curl -L", "Expect: 100-continue", upload, "200 1 1024")
        with urllib.request.urlopen(f"{url}/item/7?x=%20y", timeout=5) as answer:
            followed = urllib.parse.urlsplit(answer.url).port
            check("urllib", "a GET follows and is served", (answer.status, len(answer.read())), (200, 1024))
            check("urllib", "by an endpoint", followed in endpoints, True)

        address, target = where(proxy, "/a")
        forged = "the token is forged, or for another endpoint, method, path or client"
        check("no token", "403", ask(address, "/a"), (403, "there is no token: ask the proxy, which redirects with one"))
        check("forged token", "403", ask(address, flip(target)), (403, forged))
        check("other method", "403", ask(address, target, "DELETE"), (403, forged))
        check("other path", "403", ask(address, target.replace("/a", "/b", 1)), (403, forged))
        other = next(port for port in endpoints if port != int(address.rsplit(":", 1)[1]))
        check("other endpoint", "403", ask(f"127.0.0.1:{other}", target), (403, forged))
        check("good token", "200", ask(address, target)[0], 200)
        check("replayed token", "403", ask(address, target), (403, "the token was used before"))
        address, target = where(proxy, "/a")
        time.sleep(LIFETIME + 0.2)
        check("expired token", "403", ask(address, target), (403, "the token has expired"))
        # The last was never used: the proxy lets its session expire; all others were reported.
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and busy(proxy) > 1:
            time.sleep(0.05)
        check("proxy", "every session that began was reported", busy(proxy), 1)
    sys.exit(results.finish())


def busy(proxy):
    return sum(endpoint["in_flight"] for endpoint in proxy.stats()["endpoints"])


if __name__ == "__main__":
    main()
