#!/usr/bin/env python3
"""Measures the proxy side by side with what people run in its place, and shows what came out.

    python3 bench/proxy.py [--quick] [--runs N] [--peers lockgate,nginx-best,...] [--only bulk,small,...]

Each scenario runs all proxies in turn, A B C A B C, over the same upstream, with the same certificate and users.
The proxy has one processor for itself; clients and upstream have the others. It writes `bench/results/proxy.json`,
and of it the tables and the plot beside it. Needed: a release build (cargo build --release -p lockgate), nginx,
haproxy, caddy, wrk, curl, htpasswd and openssl.
"""

import argparse
import re
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import frontdoor
import proxy_report
from frontdoor import COSTLY, OPEN, Users
from peers import PACKAGES, PEERS, require
from runs import RESULTS, Results, leave_the_server_its_processor, machine, side_by_side
from upstream import MANIFEST

# Of the programs that load and prepare: {program: Debian's package}.
TOOLS = {"nginx": "nginx-light", "wrk": "wrk", "curl": "curl", "htpasswd": "apache2-utils", "openssl": "openssl",
         "taskset": "util-linux"}
VERSIONS = {"nginx": ["nginx", "-v"], "haproxy": ["haproxy", "-v"], "caddy": ["caddy", "version"],
            "openssl": ["openssl", "version"]}

# (full, quick)
BULK_MIB = (1024, 256)
SECONDS = (5, 2)
RUNS = (5, 2)


def scenarios(quick, peers):
    """`{scenario: (names of contenders, function of a name and a stage)}`"""
    mebibytes, seconds = BULK_MIB[quick], SECONDS[quick]
    every = {}
    versions = {"1.3": [1, 4], "1.2": [1] if quick else [1, 4]}
    for version, connections in versions.items():
        for count in connections:
            for direction in ("pull", "push", "push chunked"):
                every[f"bulk/{direction} TLS {version} x{count}"] = (peers, partial(
                    frontdoor.bulk, direction=direction, version=version, connections=count, mebibytes=mebibytes))
    nginx = [name for name in peers if name == "nginx-best"]
    unlocked = [*peers, *(name + OPEN for name in nginx)]
    for method, target in (("GET", "/v2/"), ("HEAD", MANIFEST)):
        what = f"{method} {target if target == '/v2/' else 'manifest'}"
        small = partial(frontdoor.small, method=method, target=target, seconds=seconds)
        every[f"small/{what}"] = (unlocked, small)
        every[f"small/{what} closing"] = (unlocked, partial(small, close=True))
    for count in (10, 10_000):
        every[f"users/{count}"] = (["lockgate"], partial(
            frontdoor.small, method="GET", target="/v2/", seconds=seconds, users=Users(COSTLY.cost, count)))
    return every


def described():
    versions = {}
    for name, command in VERSIONS.items():
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True)
            versions[name] = re.search(r"\d+\.\d+[\w.]*", done.stdout + done.stderr).group()
    return {**machine(), "versions": versions}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer: under three minutes")
    parser.add_argument("--runs", type=int, help="of each scenario and proxy")
    parser.add_argument("--peers", default=",".join(PEERS), help="which proxies, as in lockgate,nginx-best")
    parser.add_argument("--only", help="these scenarios, as in bulk or small/GET /v2/")
    parser.add_argument("--work", type=Path, help="where temporary files go (nginx-default writes uploads to it)")
    parser.add_argument("--out", type=Path, default=RESULTS / "proxy.json")
    arguments = parser.parse_args()
    peers = arguments.peers.split(",")
    if unknown := set(peers) - set(PEERS):
        raise SystemExit(f"No such proxy: {', '.join(unknown)}. There are {', '.join(PEERS)}.")
    require({**TOOLS, **{PACKAGES[peer][0]: PACKAGES[peer][1] for peer in peers if peer in PACKAGES}})
    leave_the_server_its_processor()
    results = Results(arguments.out, described(), arguments.only)
    with tempfile.TemporaryDirectory(prefix="lockgate-proxy-", dir=arguments.work) as directory:
        with frontdoor.stage(Path(directory), [BULK_MIB[arguments.quick]]) as stage:
            for name, (contenders, scenario) in scenarios(arguments.quick, peers).items():
                if results.wants(name):
                    results.add(name, lambda: side_by_side(
                        contenders, lambda contender: scenario(contender, stage),
                        arguments.runs or RUNS[arguments.quick]))
    print(proxy_report.text(results.content))
    print(f"written: {results.where()}, {proxy_report.beside(arguments.out, results.content)}")


if __name__ == "__main__":
    main()
