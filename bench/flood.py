#!/usr/bin/env python3
"""Measures what a flood of wrong passwords costs the users who are known, and what a refusal's time tells.

    python3 bench/flood.py flood [--seconds N] [--runs N] [--rate N] [--cost N]
    python3 bench/flood.py pairs [--pairs N] [--cost N]

`flood`: wrk asks for /v2/ with a remembered password, without and with a flood beside it, in turn, and for each
kind of flood. `pairs`: wrong passwords of a user that exists and of users that do not, one after the other on one
connection, each of them looked at. The gate is on one processor with its backend, the clients on the others.
Results go to `bench/results/flood.json`. Needed: wrk, htpasswd, taskset, and both programs (cargo build --profile dist -p lockgate -p lockgate-backend).
"""

import argparse
import base64
import collections
import itertools
import json
import os
import platform
import re
import socket
import ssl
import statistics
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from runs import RESULTS, leave_the_server_its_processor
from servers import Server, lockgate_backend, lockgate_program

CONNECTIONS = 8

# What a flood is made of: the addresses it comes from, and the user of its nth password.
FLOODS = {
    "one user": (["127.0.0.66"], lambda number: "alice"),
    "many users": (["127.0.0.66"], lambda number: f"user-{number}"),
    "50 addresses": ([f"127.0.1.{last}" for last in range(1, 51)], lambda number: "alice"),
}


def credentials(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Connection:
    """A TLS connection from an address of this machine."""

    def __init__(self, port, address="127.0.0.1"):
        context = ssl.create_default_context()
        # What is measured is the server; the connection does not leave the machine.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", port), source_address=(address, 0))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(plain)
        self._reader = self._socket.makefile("rb")

    def status(self, authorization):
        """The status of a GET /v2/, and its Retry-After."""
        self._socket.sendall(f"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n\r\n".encode())
        status, length, retry_after = int(self._reader.readline().split()[1]), 0, None
        while line := self._reader.readline().strip():
            name, _, value = line.decode().partition(":")
            length = int(value) if name.lower() == "content-length" else length
            retry_after = int(value) if name.lower() == "retry-after" else retry_after
        self._reader.read(length)
        return status, retry_after


@contextmanager
def gate(work, cost, settings=""):
    """The gate in front of the backend, with the user alice."""
    certificates = work / "certs"
    subprocess.run([lockgate_program("lockgate"), "certs", certificates, "--name", "localhost"], check=True,
                   stdout=subprocess.DEVNULL)
    line = subprocess.run(["htpasswd", "-nbB", "-C", str(cost), "alice", "correct-horse"], check=True,
                          capture_output=True, text=True).stdout
    (work / "htpasswd").write_text(line)
    (work / "data").mkdir(exist_ok=True)
    backend = lockgate_backend(work / "data", work)
    config = work / "lockgate.toml"
    config.write_text(
        "listen.https = '127.0.0.1:0'\n"
        f"tls = {{ certificate = '{certificates}/domain.crt', key = '{certificates}/domain.key' }}\n"
        f"upstream.url = 'http://127.0.0.1:{backend.port}'\n"
        f"auth.htpasswd = '{work / 'htpasswd'}'\n{settings}"
    )
    try:
        server = Server("lockgate", [lockgate_program("lockgate"), "serve", "--config", config], work / "lockgate.log")
        try:
            yield server
        finally:
            server.stop()
    finally:
        backend.stop()


class Flood:
    """Wrong passwords at a steady rate, each another one, over connections that stay open."""

    def __init__(self, port, kind, rate, seconds):
        addresses, user_of = FLOODS[kind]
        self.statuses = collections.Counter()
        self.refusal_ms = []
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._end = time.monotonic() + seconds
        # A check takes its time: there are always enough connections that wait for none.
        workers = max(len(addresses), 40)
        self._threads = [
            threading.Thread(target=self._work, args=(port, addresses[i % len(addresses)], user_of, workers / rate))
            for i in range(workers)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for thread in self._threads:
            thread.join()

    def _work(self, port, address, user_of, pause):
        connection = Connection(port, address)
        due = time.monotonic() + pause * (next(self._numbers) % 40) / 40
        while due < self._end:
            time.sleep(max(0, due - time.monotonic()))
            number = next(self._numbers)
            began = time.monotonic()
            status, retry_after = connection.status(credentials(user_of(number), f"guess-{number}"))
            took = time.monotonic() - began
            with self._lock:
                self.statuses[status] += 1
                if status == 429:
                    assert retry_after, "a 429 has a Retry-After"
                    self.refusal_ms.append(1000 * took)
            # What was missed is not made up for.
            due = max(due + pause, time.monotonic())


def wrk(port, seconds):
    """Throughput and latency of a known user."""
    done = subprocess.run(
        ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s", "--latency",
         "--header", f"Authorization: {credentials('alice', 'correct-horse')}", f"https://127.0.0.1:{port}/v2/"],
        check=True, capture_output=True, text=True).stdout
    if refused := re.search(r"Non-2xx or 3xx responses: (\d+)", done):
        raise RuntimeError(f"{refused.group(1)} requests of the known user were refused")
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", done).groups()
    return {
        "requests": int(re.search(r"(\d+) requests in", done).group(1)),
        "requests per s": float(re.search(r"Requests/sec:\s+([\d.]+)", done).group(1)),
        "p99 ms": float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit],
    }


def known_user(server, seconds, kind, rate):
    """One measurement, beside a flood or (kind None) without."""
    before = server.cpu()
    if kind is None:
        figures = wrk(server.port, seconds)
    else:
        with Flood(server.port, kind, rate, seconds) as flood:
            figures = wrk(server.port, seconds)
        figures |= {"flood": dict(flood.statuses), "429 median ms": statistics.median(flood.refusal_ms or [0])}
    figures["proxy cpu us per request"] = 1e6 * (server.cpu() - before) / figures["requests"]
    return figures


def measure_flood(arguments, work):
    samples = collections.defaultdict(list)
    for _ in range(arguments.runs):
        for kind in FLOODS:
            # Each with all its budgets.
            with gate(work, arguments.cost) as server:
                assert Connection(server.port).status(credentials("alice", "correct-horse"))[0] == 200
                quiet = known_user(server, arguments.seconds, None, 0)
                flooded = known_user(server, arguments.seconds, kind, arguments.rate)
            ratio = lambda figure: round(flooded[figure] / quiet[figure], 3)
            samples[kind].append({
                "quiet": quiet, "flooded": flooded, "load": os.getloadavg()[0],
                "throughput ratio": ratio("requests per s"), "cpu ratio": ratio("proxy cpu us per request"),
            })
            print(kind, json.dumps(samples[kind][-1]), flush=True)
    return samples


def measure_pairs(arguments, work):
    patient = "".join(f"auth.{key} = 1000000\n" for key in ["failures", "address_failures"])
    times = {"wrong password": [], "unknown user": []}
    with gate(work, arguments.cost, patient) as server:
        connection = Connection(server.port)
        for number in range(arguments.pairs):
            order = [("wrong password", "alice"), ("unknown user", f"mallo-{number % 10}")]
            # Who is second in a pair finds the caches warm.
            for what, user in order if number % 2 else order[::-1]:
                authorization = credentials(user, f"guess-{what[0]}-{number:06}")
                began = time.perf_counter()
                assert connection.status(authorization)[0] == 401
                times[what].append(1000 * (time.perf_counter() - began))
    medians = {what: round(statistics.median(of), 4) for what, of in times.items()}
    quartiles = {what: [round(q, 4) for q in statistics.quantiles(of)] for what, of in times.items()}
    result = {"pairs": arguments.pairs, "median ms": medians, "quartiles ms": quartiles, "load": os.getloadavg()[0],
              "ratio of medians": round(medians["unknown user"] / medians["wrong password"], 4)}
    print(json.dumps(result))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["flood", "pairs"])
    parser.add_argument("--seconds", type=int, default=60, help="of each measurement")
    parser.add_argument("--runs", type=int, default=3, help="of each kind of flood")
    parser.add_argument("--rate", type=int, default=200, help="wrong passwords a second")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--cost", type=int, default=10, help="of the bcrypt hash")
    parser.add_argument("--out", type=Path, default=RESULTS / "flood.json")
    arguments = parser.parse_args()
    leave_the_server_its_processor()
    with tempfile.TemporaryDirectory(prefix="lockgate-flood-") as directory:
        measure = {"flood": measure_flood, "pairs": measure_pairs}[arguments.what]
        found = measure(arguments, Path(directory))
    results = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    results[arguments.what] = {
        "date": time.strftime("%Y-%m-%d"), "processors": os.cpu_count(), "kernel": platform.release(),
        "bcrypt cost": arguments.cost, "measured": found}
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
