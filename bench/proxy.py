#!/usr/bin/env python3
"""Measures the proxy side by side with what people run in its place, and shows what came out.

    python3 bench/proxy.py [--quick] [--runs N] [--peers lockgate,nginx-best,...] [--only bulk,small,...]
    python3 bench/proxy.py --show       tables and plot of what was measured before

Each scenario runs all proxies in turn, A B C A B C, over the same upstream, with the same certificate and users.
The proxy has one processor for itself; clients and upstream have the others. It writes `bench/results/proxy.json`,
and of it the tables and the plot beside it. Needed: a build for deployment
(cargo build --profile dist -p lockgate -p lockgate-backend), nginx, haproxy, caddy, wrk, hey, curl, htpasswd, openssl,
skopeo and docker-registry.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import frontdoor
import handshakes
import proxy_report
from images import STACKS, image
from load import Refused
from peers import PACKAGES, PEERS, require
from runs import RESULTS, Results, leave_the_server_its_processor, machine, side_by_side
from stage import MANY_USERS, OPEN, set_up
from upstream import MANIFEST

# Of the programs that load and prepare: {program: Debian's package}.
TOOLS = {"nginx": "nginx-light", "wrk": "wrk", "curl": "curl", "hey": "hey", "htpasswd": "apache2-utils",
         "openssl": "openssl", "taskset": "util-linux", "skopeo": "skopeo", "docker-registry": "docker-registry"}
VERSIONS = {"nginx": ["nginx", "-v"], "haproxy": ["haproxy", "-v"], "caddy": ["caddy", "version"],
            "openssl": ["openssl", "version"]}

# (full, quick)
BULK_MIB = (1024, 128)
CONNECTIONS = (8, 4)
SECONDS = (4, 1)
MIXED_SECONDS = (4, 1)
SHAKING_SECONDS = (3, 0.5)
PUSHES_MIB = (32, 4)
IDLE = (1000, 100)
MIXED = ([1, 10, 100, 1000], [100])
# TLS version, directions, connections.
BULK = (
    [(version, direction, count) for version in ("1.3", "1.2") for count in (1, 4)
     for direction in ("pull", "push", "push chunked")],
    [("1.3", "pull", 1), ("1.3", "push", 1), ("1.3", "push chunked", 1), ("1.3", "pull", 4),
     ("1.3", "push chunked", 4), ("1.2", "pull", 1)],
)
SMALL = ([("GET", "/v2/", False), ("HEAD", MANIFEST, False), ("GET", "/v2/", True), ("HEAD", MANIFEST, True)],
         [("GET", "/v2/", False), ("GET", "/v2/", True)])
HANDSHAKES = ([("full", "ecdsa"), ("full", "rsa"), ("resumed", "ecdsa"), ("hybrid", "ecdsa")],
              [("full", "ecdsa"), ("resumed", "ecdsa")])
# Layers, and their MiB together.
IMAGE = ((40, 1024), (10, 64))
RUNS = (3, 2)
# Seconds after which the quick mode runs everything once only, so that it ends in time on slower machines, too.
PATIENCE = 80


def scenarios(quick, peers):
    """`{scenario: (names of contenders, function of a name and a stage)}`"""
    every = {}
    for version, direction, count in BULK[quick]:
        every[f"bulk/{direction} TLS {version} x{count}"] = (peers, partial(
            frontdoor.bulk, direction=direction, version=version, connections=count, mebibytes=BULK_MIB[quick]))
    unlocked = [*peers, *(name + OPEN for name in peers if name == "nginx-best")]
    small = partial(frontdoor.small, seconds=SECONDS[quick], connections=CONNECTIONS[quick])
    for method, target, close in SMALL[quick]:
        what = f"{method} {target if target == '/v2/' else 'manifest'}{' closing' if close else ''}"
        every[f"small/{what}"] = (unlocked, partial(small, method=method, target=target, close=close))
    if "lockgate" in peers:
        every["users/GET /v2/"] = (["lockgate", "lockgate" + MANY_USERS], partial(small, method="GET", target="/v2/"))
    for kind, key in HANDSHAKES[quick]:
        if kind != "hybrid" or handshakes.hybrid_is_at_hand():
            every[f"handshake/{kind} {key}"] = (peers, partial(
                handshakes.handshakes, kind=kind, key=key, seconds=SHAKING_SECONDS[quick]))
    every[f"held/{IDLE[quick]} connections"] = (peers, partial(frontdoor.held, connections=IDLE[quick]))
    every["pushes/100 at once"] = (peers, partial(frontdoor.pushes, count=100, mebibytes=PUSHES_MIB[quick]))
    for count in MIXED[quick]:
        every[f"mixed/{count} connections"] = (
            unlocked, partial(frontdoor.mixed, connections=count, seconds=MIXED_SECONDS[quick]))
    stacks = [name for name, (proxy, _) in STACKS.items() if proxy in peers]
    layers, mebibytes = IMAGE[quick]
    every[f"image/{layers} layers, {mebibytes} MiB"] = (stacks, partial(image, layers=layers, mebibytes=mebibytes))
    return every


def attempt(scenario, contender, stage):
    """One run; none of its figures if the proxy did not do what was asked of it."""
    try:
        return scenario(contender, stage)
    except (Refused, subprocess.CalledProcessError) as problem:
        print(f"{contender} failed: {problem}", file=sys.stderr)
        return {}


def described():
    versions = {}
    for name, command in VERSIONS.items():
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True)
            versions[name] = re.search(r"\d+\.\d+[\w.]*", done.stdout + done.stderr).group()
    return {**machine(), "versions": versions}


def show(results, path):
    print(proxy_report.text(results))
    print(f"written: {path}, {proxy_report.beside(path, results)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer: under three minutes")
    parser.add_argument("--runs", type=int, help="of each scenario and proxy")
    parser.add_argument("--peers", default=",".join(PEERS), help="which proxies, as in lockgate,nginx-best")
    parser.add_argument("--only", help="these scenarios, as in bulk or small/GET /v2/")
    parser.add_argument("--work", type=Path, help="where temporary files go: nginx-default writes uploads there")
    parser.add_argument("--out", type=Path, default=RESULTS / "proxy.json")
    parser.add_argument("--show", action="store_true", help="measure nothing: tables and plot of the last results")
    arguments = parser.parse_args()
    if arguments.show:
        return show(json.loads(arguments.out.read_text()), arguments.out)
    quick, peers = arguments.quick, arguments.peers.split(",")
    if unknown := set(peers) - set(PEERS):
        raise SystemExit(f"No such proxy: {', '.join(unknown)}. There are {', '.join(PEERS)}.")
    # Where Debian has nginx and haproxy; not in everybody's path.
    os.environ["PATH"] += ":/usr/sbin"
    require({**TOOLS, **{PACKAGES[peer][0]: PACKAGES[peer][1] for peer in peers if peer in PACKAGES}})
    leave_the_server_its_processor()
    # Of open files; a thousand connections have two each in a proxy.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    results = Results(arguments.out, described(), arguments.only)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lockgate-proxy-", dir=arguments.work) as directory:
        with set_up(Path(directory), {BULK_MIB[quick], PUSHES_MIB[quick], frontdoor.BLOB_OF_MANY_MIB}) as stage:
            for name, (contenders, scenario) in scenarios(quick, peers).items():
                if results.wants(name):
                    late = quick and time.monotonic() - began > PATIENCE
                    runs = arguments.runs or (1 if late else RUNS[quick])
                    results.add(name, lambda: side_by_side(contenders, partial(attempt, scenario, stage=stage), runs))
    show(results.content, arguments.out)


if __name__ == "__main__":
    main()
