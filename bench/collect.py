#!/usr/bin/env python3
"""Measures what the collector takes, and what requests beside it notice.

    python3 bench/collect.py [--blobs 1000000] [--rates 1%,10%,25%,50%] [--work DIRECTORY] [--tree DIRECTORY]

A directory of so many blobs, a tenth of them in manifests that have ten each and a tenth named by nothing, is served and
asked for small things at a fixed rate by one client, before, while `lockgate-backend collect` runs in it twice, and
afterwards. A table of it is printed, a row a run. With --tree the directory is kept for the next run; what was collected
is written anew. A million blobs are five million files and directories, 20 GB.
Needed: taskset, and a build of lockgate-backend (PROGRAMS_DIR names another directory than that of the profile dist).
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import tree
from client import Client, expect
from runs import leave_the_server_its_processor, machine
from servers import Server, lockgate_program, remove

# Requests a second, and for how long their percentiles are taken together.
RATE, WINDOW = 200, 5
# Windows before the collection, and as many behind it.
QUIET = 6


class Load:
    """A client that asks for small things, each at its time, and how long each took from then on."""

    def __init__(self, port, images):
        self._port, self._images, self._random = port, images, random.Random(1)
        self._took, self._failure, self._ended = [], None, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def took(self, since, until):
        """Seconds of all requests that were due between the two."""
        if self._failure:
            raise self._failure
        return [seconds for due, seconds in list(self._took) if since <= due < until]

    def _run(self):
        try:
            with Client(self._port, timeout=60) as client:
                due = time.monotonic()
                while not self._ended.is_set():
                    time.sleep(max(0.0, due - time.monotonic()))
                    self._ask(client)
                    now = time.monotonic()
                    self._took.append((due, now - due))
                    # Who is a second late does not make up for it.
                    due = max(due + 1 / RATE, now - 1)
        except Exception as error:
            self._failure = error

    def _ask(self, client):
        name, tag, blob = tree.of_image(self._random.randrange(self._images))
        method, what = self._random.choice(
            [("HEAD", f"manifests/{tag}"), ("GET", f"manifests/{tag}"), ("HEAD", f"blobs/{blob}"), ("GET", f"blobs/{blob}")])
        status, _, _ = client.request(method, f"/v2/{name}/{what}")
        expect(200, status, f"{method} {what} of {name}")


def windows(load, since, until):
    """`[(median, 99th percentile)]` in milliseconds, of each window."""
    each = []
    while since + WINDOW <= until:
        took = sorted(load.took(since, since + WINDOW))
        each.append((1000 * median(took), 1000 * took[len(took) * 99 // 100]))
        since += WINDOW
    return each


def quiet(load):
    began = time.monotonic()
    time.sleep(QUIET * WINDOW)
    return windows(load, began, time.monotonic())


@contextmanager
def serving(data, rate, work):
    config = work / "backend.toml"
    config.write_text(f"listen.http = '127.0.0.1:0'\nstorage.data = '{data}'\nstorage.min_free = '0'\n"
                      f"collect.rate = '{rate}'\ncollect.interval = '0s'\n")
    program = lockgate_program("lockgate-backend")
    server = Server("lockgate-backend", [program, "serve", "--config", config], work / "lockgate-backend.log")
    try:
        yield server, [program, "collect", "--config", config]
    finally:
        server.stop()


def status(server, field):
    """Of memory, in MiB."""
    text = Path(f"/proc/{server.pid}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", text).group(1)) / 1024


def collect(command):
    """How long each of both runs took, and what is said at the end."""
    began, took, said = time.monotonic(), [], ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for said in process.stdout:
            took.append(time.monotonic() - began - sum(took))
    if process.returncode:
        raise RuntimeError(f"collect ends with {process.returncode}")
    return took, said.strip()


def once(data, images, rate, work):
    with serving(data, rate, work) as (server, command):
        server.await_rest()
        with Load(server.port, images) as load:
            before_quiet = server.cpu()
            before = quiet(load)
            cpu_quiet = (server.cpu() - before_quiet) / (QUIET * WINDOW)
            memory_quiet, cpu, began = status(server, "VmHWM"), server.cpu(), time.monotonic()
            took, said = collect(command)
            ended = time.monotonic()
            cpu = server.cpu() - cpu - cpu_quiet * (ended - began)
            peak, runs = status(server, "VmHWM"), (windows(load, began, began + took[0]), windows(load, began + took[0], ended))
            after = quiet(load)
    print(f"{rate}: {said}", file=sys.stderr)
    return {"took": took, "cpu": cpu, "quiet MiB": memory_quiet, "peak MiB": peak, "quiet": before + after, "runs": runs}


def part(data, images, rate, work, seconds):
    """The same for so many seconds of the first run."""
    with serving(data, rate, work) as (server, command):
        server.await_rest()
        with Load(server.port, images) as load:
            before = quiet(load)
            memory_quiet, cpu, began = status(server, "VmHWM"), server.cpu(), time.monotonic()
            with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
                time.sleep(seconds)
                ended = time.monotonic()
                runs = (windows(load, began, ended), [])
                cpu, peak = server.cpu() - cpu, status(server, "VmHWM")
                process.terminate()
    return {"took": (seconds, 0), "cpu": cpu, "quiet MiB": memory_quiet, "peak MiB": peak, "quiet": before, "runs": runs}


def spread(values):
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else "-"


def row(rate, load, figures):
    quiet, runs = figures["quiet"], figures["runs"]
    p99 = [[window[1] for window in windows] for windows in (quiet, *runs)]
    all_of_run = p99[1] + p99[2]
    ratio = f"{median(all_of_run) / median(p99[0]):.2f}" if all_of_run else "-"
    cells = [rate, f"{figures['took'][0]:.1f} and {figures['took'][1]:.1f}", f"{figures['cpu']:.1f}",
             f"{figures['quiet MiB']:.0f}", f"{figures['peak MiB']:.0f}", spread([window[0] for window in quiet]),
             spread([window[0] for windows in runs for window in windows]), *map(spread, p99), ratio, f"{load:.1f}"]
    return f"| {' | '.join(cells)} |"


HEAD = ("| rate | both runs s | cpu s | quiet MiB | peak MiB | quiet p50 ms | p50 meanwhile ms | quiet p99 ms | "
        "p99 in the first run ms | p99 in the second ms | p99 by the quiet one | load |")


def grow(data, images):
    if not (data / tree.ROOT).exists():
        began = time.monotonic()
        tree.images(data, images)
        os.sync()
        print(f"written in {time.monotonic() - began:.0f} s", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blobs", type=int, default=1_000_000)
    parser.add_argument("--rates", default="1%,10%,25%,50%", help="values of collect.rate")
    parser.add_argument("--work", type=Path, help="where the directory is (a real disk)")
    parser.add_argument("--tree", type=Path, help="where it is looked for, and kept")
    parser.add_argument("--part", type=float, help="seconds of the first run that are measured, in place of two whole ones")
    arguments = parser.parse_args()
    images, unneeded = arguments.blobs // 10, arguments.blobs // 10
    leave_the_server_its_processor()
    with tempfile.TemporaryDirectory(prefix="lockgate-collect-", dir=arguments.work) as directory:
        work = Path(directory)
        data = arguments.tree or work / "data"
        grow(data, images)
        print(f"{arguments.blobs:,} blobs, {images:,} manifests; {machine()['processor']}, {time.strftime('%Y-%m-%d')}\n\n"
              f"{HEAD}\n|{'---|' * HEAD.count(' | ')}---|", flush=True)
        for rate in arguments.rates.split(","):
            if not arguments.part:
                tree.litter(data, unneeded, images // tree.OF_A_REPOSITORY)
                os.sync()
            load = os.getloadavg()[0]
            figures = part(data, images, rate, work, arguments.part) if arguments.part else once(data, images, rate, work)
            print(row(rate, load, figures), flush=True)
        if not arguments.tree:
            remove(data)


if __name__ == "__main__":
    main()
