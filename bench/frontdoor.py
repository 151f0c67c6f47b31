"""What a proxy costs: much at once, and much of little.

Each scenario is a function of a contender's name and a `Stage` that returns `{figure: value}` for one run.
`proxy.py` calls them for each contender in turn, again and again: A B C A B C.
"""

import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import upstream
from load import PASSWORD, USER, curl, watched_memory, wrk
from peers import Site, serving
from servers import MIB


@dataclass(frozen=True)
class Users:
    """An htpasswd file of so many lines; the last of them is the one that asks."""

    cost: int
    count: int = 10

    def lines(self):
        hashed = bcrypt(self.cost)
        return tuple((f"user-{number}", hashed) for number in range(1, self.count)) + ((USER, hashed),)


@cache
def bcrypt(cost):
    line = subprocess.run(["htpasswd", "-nbBC", str(cost), USER, PASSWORD], check=True, capture_output=True, text=True)
    return line.stdout.strip().partition(":")[2]


# What `htpasswd -B` makes of a password.
USUAL = Users(cost=5)
# What is recommended.
COSTLY = Users(cost=10)
OPEN = ", no password"


@dataclass(frozen=True)
class Stage:
    """A directory, certificates and the ports of the upstreams, for all scenarios."""

    place: Path
    files: int
    discarding: int

    @contextmanager
    def server(self, name, users=USUAL, to_discard=False, key="ecdsa"):
        """The contender: a peer, or one that asks for no password."""
        peer = name.removesuffix(OPEN)
        site = Site(
            place=self.place, certificate=self.place / f"{key}.crt", key=self.place / f"{key}.key",
            upstream=self.discarding if to_discard else self.files,
            users=None if peer != name else users.lines())
        with serving(peer, site) as server:
            # The first of everything, which nobody waits for later.
            curl([f"https://127.0.0.1:{server.port}/v2/"], 202 if to_discard else 200)
            yield server


KEYS = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}


@contextmanager
def stage(place, blobs):
    """With blobs of so many MiB in the upstream."""
    for name, kind in KEYS.items():
        subprocess.run(
            ["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-newkey", *kind,
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", place / f"{name}.key", "-out", place / f"{name}.crt"], check=True, capture_output=True)
    sizes = {str(mebibytes): mebibytes * MIB for mebibytes in blobs}
    with upstream.files(place, sizes) as files, upstream.discarding(place) as discarding:
        yield Stage(place, files, discarding)


@contextmanager
def accounted(server, figures, of, amount):
    """Adds what the block cost the server: processor time by `amount()`, and memory."""
    with watched_memory(server) as peak:
        before, began = server.cpu(), time.monotonic()
        yield
        took = time.monotonic() - began
        figures[f"cpu {of}"] = (server.cpu() - before) / amount()
    figures |= {"wall s": took, "peak MB": peak[-1] / 1e6}


def bulk(name, stage, direction, version, connections, mebibytes):
    """So many connections transfer one blob each."""
    options = ["--tls-max", version, f"--tlsv{version}"]
    content = stage.place / "www" / upstream.blob(str(mebibytes))[1:]
    target, expected = upstream.UPLOAD, 202
    if direction == "pull":
        target, expected = upstream.blob(str(mebibytes)), 200
    else:
        framing = ["--header", "Transfer-Encoding: chunked"] if direction == "push chunked" else []
        options += ["--request", "PATCH", "--upload-file", content, "--header", "Expect:", *framing]
    gibibytes, figures = connections * mebibytes / 1024, {}
    with stage.server(name, to_discard=direction != "pull") as server:
        urls = connections * [f"https://127.0.0.1:{server.port}{target}"]
        with accounted(server, figures, "s per GiB", lambda: gibibytes):
            curl(urls, expected, *map(str, options))
    figures["MiB per s"] = connections * mebibytes / figures.pop("wall s")
    return figures


def small(name, stage, method, target, seconds, connections=8, close=False, users=COSTLY):
    """Small requests as fast as they are answered."""
    figures = {}
    with stage.server(name, users) as server:
        with accounted(server, figures, "ms per 1,000", lambda: figures["requests"] / 1e6):
            figures |= wrk(stage.place, f"https://127.0.0.1:{server.port}{target}", seconds, connections, method, close)
    del figures["wall s"], figures["requests"]
    return figures
