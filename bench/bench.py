#!/usr/bin/env python3
"""Measures the registry side by side with Debian's docker-registry, and writes what came out.

    python3 bench/bench.py [--quick | --million] [--runs N] [--only transfer,manifests,...] [--work DIRECTORY]

Both programs run in turn, A B A B, each over a fresh directory and on one processor of its own; the client has
another. It writes `bench/results/registry.json`, and from it `report.py` makes the tables of bench/NOTES.md and the plot.
Needed: docker-registry (Debian has a package of that name), taskset, and a build for deployment of lockgate-backend (--profile dist).
"""

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import registry
from runs import RESULTS, Results, leave_the_server_its_processor, machine, side_by_side
from servers import REGISTRIES, remove

# Of the scenarios: (full, quick).
SIZES = {"transfer MiB": (512, 256), "manifest repeats": (3000, 1000), "pushes": (32, 32), "push MiB": (16, 8),
         "growth repeats": (50, 10)}
COUNTS = {"tags": ([1_000, 10_000, 100_000], [1_000, 10_000]), "repositories": ([1_000, 10_000, 100_000], [1_000]),
          "blobs": ([1_000, 10_000, 100_000], [1_000])}


# Slow to set up: four million files and directories, 16 GB, a quarter of an hour.
MILLION = {"blobs": 1_000_000}


def scenarios(quick, million, trees):
    """`{scenario: function of a server's name and a work directory}`"""
    size = {name: both[quick] for name, both in SIZES.items()}
    every = {
        "transfer": lambda name, work: registry.transfer(name, work, size["transfer MiB"]),
        "manifests": lambda name, work: registry.manifests(name, work, size["manifest repeats"]),
        "pushes": lambda name, work: registry.many_pushes(name, work, size["pushes"], size["push MiB"]),
    }
    for kind, counts in COUNTS.items():
        for count in [*counts[quick], *([MILLION[kind]] if million and kind in MILLION else [])]:
            every[f"{kind}/{count}"] = lambda name, work, kind=kind, count=count: registry.growth(
                name, work, trees or work, kind, count, size["growth repeats"])
    return every


def once(scenario, work, name):
    data = work / "data"
    data.unlink() if data.is_symlink() else remove(data)
    return scenario(name, work)


def described():
    version = subprocess.run(["docker-registry", "--version"], capture_output=True, text=True).stdout.split()
    return {
        **machine(),
        "docker-registry": version[-1] if version else "unknown",
        "masked": os.environ.get("OPENSSL_ia32cap", ""),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer: under three minutes")
    parser.add_argument("--million", action="store_true", help="a million blobs, too: half an hour more, 16 GB of disk")
    parser.add_argument("--trees", type=Path, help="where registries of a size are looked for, and kept for the next run")
    parser.add_argument("--runs", type=int, help="of each scenario and program")
    parser.add_argument("--only", help="these scenarios, as in pushes,blobs,tags/1000")
    parser.add_argument("--work", type=Path, help="where the registries keep their data (a real disk)")
    parser.add_argument("--out", type=Path, default=RESULTS / "registry.json")
    arguments = parser.parse_args()
    runs = arguments.runs or (3 if arguments.quick else 5)
    leave_the_server_its_processor()
    results = Results(arguments.out, described(), arguments.only)
    with tempfile.TemporaryDirectory(prefix="lockgate-bench-", dir=arguments.work) as directory:
        work = Path(directory)
        for name, scenario in scenarios(arguments.quick, arguments.million, arguments.trees).items():
            if not results.wants(name):
                continue
            # Growth changes little from run to run.
            times = runs if "/" not in name else (runs + 1) // 2
            results.add(name, lambda scenario=scenario: side_by_side(
                REGISTRIES, lambda server: once(scenario, work, server), times))
            for leftover in work.glob("*-*0"):
                remove(leftover)
    print(f"written: {results.where()}")


if __name__ == "__main__":
    main()
