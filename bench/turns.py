#!/usr/bin/env python3
"""A comparison that repeats, on a machine that others use, too.

    python3 bench/turns.py [--lockgate PATH] [--before PATH] [--backend PATH] [--default] [--pairs N] [--minutes N]
                           [--only CELL,...]

Every program is started once and stays. Many short transfers are measured in turn, A B, B A, and half-way the proxies
and the clients exchange their processors. What counts is the processor time of one transfer by that of its neighbour:
the median of these ratios, and the interval that it lies in. `--before` is a second build of Lockgate beside the first;
`--backend` adds a gate and a registry in two processes. Cells: gate/{small, rights, each, pull, push, chunked, h2-pull,
h2-push, pushes, idle} and whole/{pull, push, manifest}; `--only gate` takes all of a kind. It prints a table and
writes `bench/results/turns.json`. Needed: nginx, wrk, hey, curl, htpasswd, openssl, docker-registry.
"""

import argparse
import json
import os
import resource
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import frontdoor
import peers
import servers
from client import Client, begin_upload, expect, image, path, push_blob, put_manifest, with_digest
from figures import Measured
from images import STACKS
from load import AUTHORIZATION, Refused, curl, hey, wrk
from registry import content
from runs import RESULTS, Results, machine
from servers import MIB, cpu_of, pids_from, running
from stage import OPEN, set_up
from upstream import MANIFEST, REPOSITORY

TOOLS = {"nginx": "nginx-light", "wrk": "wrk", "hey": "hey", "curl": "curl", "htpasswd": "apache2-utils",
         "openssl": "openssl", "docker-registry": "docker-registry"}

# A hash of a password, which nginx makes for each request, is about two in a hundred of a transfer.
BULK_MIB, WHOLE_PULL_MIB, WHOLE_PUSH_MIB = 128, 128, 64
# wrk counts in whole seconds.
SMALL_SECONDS, SMALL_CONNECTIONS = 1, 8
EACH_REQUESTS = 400
PUSHES, PUSHES_MIB = 100, 8
IDLE_CONNECTIONS = 2000
# Memory hardly depends on what others do, and each run starts anew: what was held before would count.
RUNS_OF_MEMORY = 2

CIPHER = "TLS_AES_128_GCM_SHA256"
OPENSSL = f"openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = tls\n[tls]\nCiphersuites = {CIPHER}\n"

OURS, BEFORE, BEST, DEFAULT = "lockgate", "before", "nginx-best", "nginx-default"
HTTP2, HTTP1 = ", h2", ", h1"
RIGHTS, GRANTS = ", 1,000 grants, a token", 1000
UP, OUR_TWO, THEIR_TWO = " up", "lockgate, lockgate-backend", "nginx-best, docker-registry"
PROBLEMS = (RuntimeError, OSError, subprocess.SubprocessError)
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Cell:
    """What is measured, of which programs, and what is meant to be reached."""

    unit: str
    # The first is the one that is judged.
    names: list
    base: str
    # Of a name: one figure.
    measure: Callable
    # Of the ratio to the base, or of the figure itself.
    goal: float
    absolute: bool = False
    # It starts its programs itself, so often.
    anew: int | None = None


class Contender:
    """All the programs that answer together; the first is the one that is asked."""

    def __init__(self, *of):
        self._servers, self.port, self.url = of, of[0].port, of[0].url

    def cpu(self):
        return sum(server.cpu() for server in self._servers)

    def pids(self):
        return [pid for server in self._servers for pid in server.pids()]


class Fleet:
    """The contenders, each started when it is first asked for, and then kept."""

    def __init__(self, stage, stack):
        self._stage, self._stack, self._started = stage, stack, {}

    def gate(self, name, to_discard=False):
        return self._get((name, to_discard), lambda place: self._gate(name, to_discard, place))

    def whole(self, name):
        return self._get((name, None), lambda place: self._whole(name, place))

    def _get(self, key, start):
        if key not in self._started:
            place = Path(tempfile.mkdtemp(dir=self._stage.place))
            self._started[key] = contender = self._stack.enter_context(start(place))
            check_cipher(contender)
        return self._started[key]

    @contextmanager
    def _gate(self, name, to_discard, place):
        with self._stage.server(name, to_discard=to_discard, place=place) as server:
            yield Contender(server)

    @contextmanager
    def _whole(self, name, place):
        with ExitStack() as stack:
            proxy, behind = name, []
            if name in STACKS:
                proxy, registry = STACKS[name]
                behind.append(stack.enter_context(running(registry, place / "data", place)))
            site = self._stage.site(behind[0].port if behind else None, place=place)
            contender = Contender(stack.enter_context(peers.serving(proxy, site)), *behind)
            fill(contender)
            yield contender

    def seat(self, processor):
        """The contenders on that processor; clients, upstreams and this program on the others."""
        ours = {pid for contender in self._started.values() for pid in contender.pids()}
        others = set(range(os.cpu_count())) - {processor}
        for pid in pids_from(os.getpid()):
            for thread in os.listdir(f"/proc/{pid}/task"):
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread), {processor} if pid in ours else others)

    def idle(self):
        """Milliseconds of processor time a second, of the one that takes most while nobody asks."""
        before = [contender.cpu() for contender in self._started.values()]
        began = time.monotonic()
        time.sleep(1)
        after = [contender.cpu() for contender in self._started.values()]
        took = time.monotonic() - began
        return max((then - now for now, then in zip(before, after)), default=0) / took * 1000


def tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def check_cipher(contender):
    """This client would rather have AES-256."""
    with Client(contender.port, tls()) as client:
        if (chosen := client.cipher()) != CIPHER:
            raise Refused(f"{contender.url('')} chose {chosen}")


def registry_client(contender):
    return Client(contender.port, tls(), [AUTHORIZATION.split(": ")], timeout=60)


def push(client, repository, pieces, digest):
    """As docker does it: POST, a chunked PATCH, PUT."""
    status, headers, _ = client.push_chunked(begin_upload(client, repository), pieces)
    expect(202, status, "PATCH")
    status, _, _ = client.request("PUT", with_digest(path(headers["location"]), digest))
    expect(201, status, "PUT")


def fill(contender):
    """What is pulled of a whole registry."""
    _, digest, pieces = content(WHOLE_PULL_MIB)
    with registry_client(contender) as client:
        push(client, "bench/large", pieces, digest)
        config, layer = push_blob(client, "bench/app", b"{}"), push_blob(client, "bench/app", b"a layer")
        put_manifest(client, "bench/app", "v1", *image(config, 5 * [layer]))


def cost(contender, of, work):
    """Processor time of the contender for `work`, which says how much of it was done, in units of `of` seconds."""
    before = contender.cpu()
    amount = work(contender)
    return (contender.cpu() - before) / amount / of


MICROSECONDS = 1e-6


def small(contender, place, target="/v2/", headers=(), authorization=AUTHORIZATION):
    done = wrk(place, contender.url(target), SMALL_SECONDS, SMALL_CONNECTIONS, headers=headers,
               authorization=authorization)
    if not done["requests"]:
        raise Refused(f"{target}: no answer in {SMALL_SECONDS} s")
    return done["requests"]


def session_token(contender):
    with registry_client(contender) as client:
        scope = f"repository:{REPOSITORY}:pull"
        status, _, answer = client.request("GET", f"/token?service=lockgate&scope={scope}")
    expect(200, status, "/token")
    return "Authorization: Bearer " + json.loads(answer)["token"]


def each(contender):
    hey(None, contender.url("/v2/"), None, SMALL_CONNECTIONS, close=True, count=EACH_REQUESTS)
    return EACH_REQUESTS


def bulk(contender, stage, direction, version="1.1"):
    frontdoor.transfer(contender, stage, direction, BULK_MIB, version=version)
    return BULK_MIB / 1024


def whole_pull(contender):
    _, digest, _ = content(WHOLE_PULL_MIB)
    curl([contender.url(f"/v2/bench/large/blobs/{digest}")], f"200 {WHOLE_PULL_MIB * MIB}",
         shown="%{http_code} %{size_download}")
    return WHOLE_PULL_MIB / 1024


def whole_push(contender, hashed):
    """A blob that the registry does not have: what is the same of all was hashed before."""
    _, _, (*pieces, end) = content(WHOLE_PUSH_MIB)
    own, hashed = os.urandom(32), hashed.copy()
    hashed.update(own)
    with registry_client(contender) as client:
        push(client, "bench/pushed", [*pieces, b"%x\r\n%b\r\n" % (len(own), own), end], f"sha256:{hashed.hexdigest()}")
    return WHOLE_PUSH_MIB / 1024


def all_cells(fleet, stage, before, backend, default):
    """`{name: Cell}`"""
    mine = [OURS, *([BEFORE] if before else [])]
    more = [DEFAULT] if default else []
    http2 = [name + HTTP2 for name in mine]
    stacks = [*(name + UP for name in mine), *([OUR_TWO] if backend else []), THEIR_TWO]
    hashed = sha256(content(WHOLE_PUSH_MIB)[0])

    def of_gate(unit, work, to_discard=False):
        return lambda name: cost(fleet.gate(name, to_discard), unit, work)

    def by_version(direction):
        def measure(name):
            version = "2" if name.endswith(HTTP2) else "1.1"
            contender = fleet.gate(name.partition(",")[0] + HTTP2, direction != "pull")
            return cost(contender, 1, partial(bulk, stage=stage, direction=direction, version=version))
        return measure

    def of_whole(unit, work):
        return lambda name: cost(fleet.whole(name), unit, work)

    def synced_push(name):
        # Else who syncs pays for what others, and the other one's turn, left unwritten.
        os.sync()
        return cost(fleet.whole(name), 1, partial(whole_push, hashed=hashed))

    def by_token_or_password(name):
        contender = fleet.gate(name)
        authorization = session_token(contender) if name.endswith(RIGHTS) else AUTHORIZATION
        work = partial(small, place=stage.place, target=MANIFEST, authorization=authorization)
        return cost(contender, MICROSECONDS, work)

    # Not asked for a password: nginx hashes it at each request.
    unlocked = [*mine, BEST + OPEN, BEST, *more]
    cells = {
        "gate/small": Cell("us a request", unlocked, BEST + OPEN,
                           of_gate(MICROSECONDS, partial(small, place=stage.place)), 1.1),
        "gate/rights": Cell("us a request", [OURS + RIGHTS, *mine], BEFORE if before else OURS, by_token_or_password, 1.05),
        "gate/each": Cell("us a request", unlocked, BEST + OPEN, of_gate(MICROSECONDS, each), 0.7),
    }
    for short, direction, goal in (("pull", "pull", 0.65), ("push", "push", 0.9), ("chunked", "push chunked", 0.9)):
        work = partial(bulk, stage=stage, direction=direction)
        cells[f"gate/{short}"] = Cell("s/GiB", [*mine, BEST, *more], BEST, of_gate(1, work, direction != "pull"), goal)
    for direction in ("pull", "push"):
        cells[f"gate/h2-{direction}"] = Cell(
            "s/GiB", [*http2, OURS + HTTP1], OURS + HTTP1, by_version(direction), 1.3)
    manifest = partial(small, place=stage.place, target="/v2/bench/app/manifests/v1",
                       headers=[f"Accept: {MANIFEST_TYPE}"])
    return cells | {
        "gate/pushes": Cell(
            "peak MB", [*mine, BEST], BEST,
            lambda name: frontdoor.pushes(name, stage, PUSHES, PUSHES_MIB)["peak MB"], 25, True, RUNS_OF_MEMORY),
        "gate/idle": Cell(
            "KiB each", [*mine, BEST], BEST,
            lambda name: frontdoor.held(name, stage, IDLE_CONNECTIONS)["KiB each"], 20, True, RUNS_OF_MEMORY),
        "whole/pull": Cell("s/GiB", stacks, THEIR_TWO, of_whole(1, whole_pull), 0.5),
        "whole/push": Cell("s/GiB", stacks, THEIR_TWO, synced_push, 0.35),
        "whole/manifest": Cell("us a request", stacks, THEIR_TWO, of_whole(MICROSECONDS, manifest), 70, True),
    }


class Neighbours:
    """What others took of the machine while the block ran."""

    def __enter__(self):
        self._before = self._sample()
        return self

    def __exit__(self, *_):
        total, busy, stolen, own = (now - then for now, then in zip(self._sample(), self._before))
        self.figures = {"load": round(os.getloadavg()[0], 1), "others": round(max(0, busy - own) / total, 3),
                        "steal": round(stolen / total, 3)}

    @staticmethod
    def _sample():
        """Processor seconds: of all there is, of all that was used, stolen by the host, and this program's with all
        that it started."""
        user, nice, system, idle, waiting, interrupts, soft, stolen = (
            int(ticks) / os.sysconf("SC_CLK_TCK") for ticks in Path("/proc/stat").read_text().split()[1:9])
        busy = user + nice + system + interrupts + soft
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = cpu_of(pids_from(os.getpid())) + ended.ru_utime + ended.ru_stime
        return busy + idle + waiting + stolen, busy, stolen, own


def in_turn(cell, pairs, seconds, fleet):
    """`{name: [figure, ...]}`: each round the other way round, half of them on each of two processors. It ends when
    the time is over, with two rounds a half at least."""
    samples = {name: [] for name in cell.names}
    halves = [0] if cell.anew else [0, 1]
    rounds = -(-min(pairs, cell.anew or pairs) // len(halves))
    for processor in halves:
        fleet.seat(processor)
        end = time.monotonic() + seconds / len(halves)
        for count in range(rounds):
            if count >= 2 and time.monotonic() > end:
                break
            for name in cell.names[:: -1 if count % 2 else 1]:
                samples[name].append(cell.measure(name))
    return samples


def rows(cell, samples):
    """`{program, median, beside, ratio, interval, pairs}` of each program, and of one build beside the other."""
    measured = {name: Measured(runs) for name, runs in samples.items()}
    twins = [(name.replace(BEFORE, OURS, 1), name) for name in cell.names if name.startswith(BEFORE)]
    beside = [(name, cell.base if name != cell.base else None) for name in cell.names]
    for name, base in [*beside[:1], *twins, *beside[1:]]:
        row = {"program": name, "median": measured[name].median, "pairs": len(samples[name])}
        if base:
            ratio = measured[name].ratio_to(measured[base])
            row |= {"beside": base, "ratio": ratio.median, "interval": ratio.interval()}
        if (name, base) == beside[0]:
            of = measured[name] if cell.absolute else ratio
            row |= {"goal": cell.goal, "verdict": verdict(of, cell)}
        yield row


def verdict(measured, cell):
    """Few pairs have no interval of 95 %."""
    least, most = measured.interval()
    unsure = least <= cell.goal < most or len(measured.runs) < 6 and not cell.anew
    return ("held" if measured.median <= cell.goal else "missed") + (", unsure" if unsure else "")


def line(cells):
    widths = (15, 13, 28, 9, 24, 6, 20, 6, 8, 15, 5, 7, 6)
    return " ".join(f"{text:<{width}}" for text, width in zip(cells, widths)).rstrip()


def table(content, names):
    yield line(["cell", "unit", "program", "median", "beside", "ratio", "95 % of its median", "pairs", "goal", "",
                "load", "others", "steal"])
    for name in names:
        scenario = content["scenarios"][name]
        around = scenario["around"]
        for number, row in enumerate(scenario["rows"]):
            first = number == 0
            ratio = f"{row['ratio']:.3f}" if "ratio" in row else ""
            interval = "{:.3f} to {:.3f}".format(*row["interval"]) if "ratio" in row else ""
            goal = [f"<= {row['goal']:g}", row["verdict"]] if "goal" in row else ["", ""]
            machine = [f"{around['load']}", f"{around['others']:.0%}", f"{around['steal']:.1%}"] if first else []
            yield line([name if first else "", scenario["unit"] if first else "", row["program"],
                        f"{row['median']:.4g}", row.get("beside", ""), ratio, interval, str(row["pairs"]), *goal,
                        *machine])


def contend(arguments, place):
    """Runs the cells that are wanted; how many of them failed."""
    results = Results(RESULTS / "turns.json", machine(), arguments.only)
    deadline = time.monotonic() + arguments.minutes * 60
    done, failed = [], 0
    blobs = {BULK_MIB, PUSHES_MIB}
    with set_up(place, blobs) as stage, ExitStack() as stack:
        # For what is started from here on; the certificates needed another.
        (place / "openssl.cnf").write_text(OPENSSL)
        os.environ["OPENSSL_CONF"] = str(place / "openssl.cnf")
        fleet = Fleet(stage, stack)
        cells = all_cells(fleet, stage, arguments.before, arguments.backend, arguments.default)
        cells = {name: cell for name, cell in cells.items() if results.wants(name)}
        if not cells:
            raise SystemExit(f"No such cell: {arguments.only}.")
        fleet.seat(servers.SERVER_CPU)
        # Everything runs, and did so once, before anything is measured.
        for name, cell in list(cells.items()):
            try:
                for program in cell.names if not cell.anew else []:
                    cell.measure(program)
            except PROBLEMS as problem:
                failed += 1
                print(f"{name} failed: {problem}", file=sys.stderr)
                del cells[name]
        results.content["programs"] = {name: str(program) for name, program in servers.PROGRAMS.items()}
        results.content["idle ms per s"] = idle = fleet.idle()
        print(f"idle programs take at most {idle:.2f} ms of processor time a second each", file=sys.stderr)
        for count, (name, cell) in enumerate(cells.items()):
            seconds = max(0, deadline - time.monotonic()) / (len(cells) - count)
            around, of_programs = {}, []

            def measure():
                with Neighbours() as neighbours:
                    samples = in_turn(cell, arguments.pairs, seconds, fleet)
                around.update(neighbours.figures)
                of_programs.extend(rows(cell, samples))
                return samples

            try:
                results.add(name, measure, unit=cell.unit, around=around, rows=of_programs)
                done.append(name)
            except PROBLEMS as problem:
                failed += 1
                print(f"{name} failed: {problem}", file=sys.stderr)
        print("\n".join(table(results.content, done)))
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lockgate", type=Path, help="the program; else that in target/dist or PROGRAMS_DIR")
    parser.add_argument("--before", type=Path, help="another build of it, measured beside")
    parser.add_argument("--backend", type=Path, help="lockgate-backend, measured behind a gate of its own, too")
    parser.add_argument("--default", action="store_true", help="measure nginx-default, too")
    parser.add_argument("--only", help="these cells, as in gate/small,whole")
    parser.add_argument("--pairs", type=int, default=40, help="of each cell, at most")
    parser.add_argument("--minutes", type=float, default=12, help="cells end early, with fewer pairs, to keep to that")
    parser.add_argument("--work", type=Path, help="where temporary files go, some 8 GB for 20 pairs")
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    peers.require(TOOLS)
    given = {OURS: arguments.lockgate, BEFORE: arguments.before, "lockgate-backend": arguments.backend}
    for name, program in given.items():
        if program:
            servers.PROGRAMS[name] = program.resolve(strict=True)
    for name in (OURS, BEFORE):
        peers.PEERS[name] = partial(peers.lockgate, program=name)
        peers.PEERS[name + HTTP2] = partial(peers.lockgate, program=name, more="listen.http2 = true")
        peers.PEERS[name + RIGHTS] = partial(peers.lockgate_with_rights, grants=GRANTS, program=name)
        peers.PEERS[name + UP] = partial(peers.lockgate_up, program=name)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # So that what was started is stopped, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="lockgate-turns-", dir=arguments.work) as directory:
        sys.exit(min(1, contend(arguments, Path(directory))))


if __name__ == "__main__":
    main()
