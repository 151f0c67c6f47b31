"""The programs under measurement: started on one processor, watched from outside, stopped."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

# The server has one processor for itself, the client the others.
SERVER_CPU = 0

MIB = 1 << 20
REPOSITORY_ROOT = Path(__file__).resolve().parent.parent


class Server:
    """A running program with its children, its port, and what the kernel accounts to them."""

    def __init__(self, name, command, log, environment=None, port=None, pinned=True):
        self.name = name
        self._log = open(log, "w+")
        command = list(map(str, command))
        if pinned:
            command = ["taskset", "--cpu-list", str(SERVER_CPU), *command]
        # What is set for Lockgate is in its file.
        ours = {key: value for key, value in os.environ.items() if not key.startswith("LOCKGATE_")}
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env={**ours, **(environment or {})})
        self.pid = self._process.pid
        self.port = self._await_port(port)

    def _await_port(self, given):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            text = Path(self._log.name).read_text()
            found = re.search(r"(?:listening on |address=)127\.0\.0\.1:(\d+)", text)
            if found and given is None:
                return int(found.group(1))
            if given is not None and accepts(given):
                return given
            time.sleep(0.01)
        raise RuntimeError(f"{self.name} does not listen: {Path(self._log.name).read_text()[-2000:]}")

    def url(self, target):
        return f"https://127.0.0.1:{self.port}{target}"

    def pids(self):
        return pids_from(self.pid)

    def cpu(self):
        """Processor seconds so far: of the processes that run, all their threads, those that have ended included."""
        # A thread's time is added up when it pauses, or at the next tick.
        time.sleep(0.02)
        return cpu_of(self.pids())

    def memory(self):
        """Resident bytes, those that several of its processes share counted once."""
        rollups = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids())
        return sum(int(re.search(r"\nPss:\s+(\d+) kB", rollup).group(1)) * 1024 for rollup in rollups)

    def await_rest(self):
        """Waits until it does nothing: a registry may sweep its storage when it starts."""
        deadline = time.monotonic() + 60
        before = self.cpu()
        while time.monotonic() < deadline:
            time.sleep(0.2)
            now = self.cpu()
            if now - before < 0.001:
                return
            before = now

    def peak_memory(self):
        """The most bytes that were resident at once in its first process, since the start."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024

    def stop(self):
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._log.close()


def pids_from(first):
    """A process and all that it started."""
    pids = [first]
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            # A thread may end meanwhile; another one of its process has its children then.
            with suppress(FileNotFoundError, ProcessLookupError):
                pids += map(int, (task / "children").read_text().split())
    return pids


def cpu_of(pids):
    """Processor seconds of these processes so far, by the scheduler's clock, which counts nanoseconds."""
    process_clock = lambda pid: (~pid << 3) | 2
    return sum(time.clock_gettime(process_clock(pid)) for pid in pids)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def lockgate_backend(data, work, pinned=True):
    config = work / "backend.toml"
    config.write_text(f"listen.http = '127.0.0.1:0'\nstorage.data = '{data}'\n")
    return Server("lockgate-backend", [lockgate_program("lockgate-backend"), "serve", "--config", config],
                  work / "lockgate-backend.log", pinned=pinned)


def docker_registry(data, work):
    config = work / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {data}}}, delete: {{enabled: true}}}}\n"
        "http: {addr: '127.0.0.1:0', secret: of-the-measurement}\n"
    )
    return Server("docker-registry", ["docker-registry", "serve", config], work / "docker-registry.log")


REGISTRIES = {"lockgate-backend": lockgate_backend, "docker-registry": docker_registry}


@contextmanager
def floor(work, *options):
    """The program of `floor.py`, which keeps one stream of bytes, until the block ends."""
    stored = work / "floor.stored"
    program = [sys.executable, REPOSITORY_ROOT / "bench/floor.py", stored, *options]
    server = Server("floor", program, work / "floor.log")
    try:
        yield server
    finally:
        server.stop()
        stored.unlink()


# Programs of ours that are not where they are built: {name: path}.
PROGRAMS = {}


def lockgate_program(name):
    if name in PROGRAMS:
        return PROGRAMS[name]
    built = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY_ROOT / "target")) / "dist"
    program = Path(os.environ.get("PROGRAMS_DIR", built)) / name
    if not program.exists():
        raise SystemExit(f"{program} is missing; please build it: cargo build --profile dist -p {name}")
    return program


@contextmanager
def running(name, data, work):
    """A registry over the directory `data`, until the block ends."""
    data.mkdir(parents=True, exist_ok=True)
    server = REGISTRIES[name](data, work)
    try:
        yield server
    finally:
        server.stop()


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)
