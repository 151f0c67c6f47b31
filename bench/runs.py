"""Runs in turn, A B C A B C, and what came of them as JSON."""

import json
import os
import platform
import sys
import time
from pathlib import Path

from servers import REPOSITORY_ROOT, SERVER_CPU

RESULTS = Path(__file__).resolve().parent / "results"


def leave_the_server_its_processor():
    """This program, and all that it starts but the servers, runs on the other processors."""
    others = set(range(os.cpu_count())) - {SERVER_CPU}
    os.sched_setaffinity(0, others or {SERVER_CPU})


def side_by_side(names, once, runs):
    """`{name: [what once(name) returned, each time]}`"""
    samples = {name: [] for name in names}
    for _ in range(runs):
        for name in names:
            samples[name].append(once(name))
    return samples


def machine():
    information = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(":")[2].strip() for line in information.splitlines()
                  if line.startswith("model name")), platform.processor())
    instructions = f"{'with' if 'sha_ni' in information else 'without'} SHA instructions"
    return {"processor": f"{model}, {os.cpu_count()} processors, {instructions}", "kernel": platform.release()}


class Results:
    """A file of results, written anew after each scenario."""

    def __init__(self, path, machine, only):
        """With `only`, what other scenarios left there stays."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._only = path, only.split(",") if only else []
        self.content = json.loads(path.read_text()) if only and path.exists() else {"scenarios": {}}
        self.content["machine"] = machine

    def wants(self, name):
        return not self._only or name in self._only or name.partition("/")[0] in self._only

    def add(self, name, measure, **more):
        """Runs `measure`, which returns samples, and keeps them."""
        load, began = os.getloadavg()[0], time.monotonic()
        samples = measure()
        self.content["scenarios"][name] = {
            "date": time.strftime("%Y-%m-%d"), "load before": round(load, 2), **more, "samples": samples}
        print(f"{name}: {time.monotonic() - began:.0f} s, load {load:.1f}", file=sys.stderr)
        for server, runs_of in samples.items():
            print(f"  {server}: {json.dumps(runs_of[-1])}", file=sys.stderr)
        self._path.write_text(json.dumps(self.content, indent=1) + "\n")

    def where(self):
        inside = self._path.is_relative_to(REPOSITORY_ROOT)
        return self._path.relative_to(REPOSITORY_ROOT) if inside else self._path
