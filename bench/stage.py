"""What every proxy is put into: certificates, users, upstreams; and how a run is accounted."""

import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import upstream
from load import PASSWORD, USER, MemoryWatch, curl
from peers import Site, serving


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
# What may follow the name of a proxy: it asks for no password, or has so many users.
OPEN = ", no password"
MANY_USERS = ", 10,000 users"


@dataclass(frozen=True)
class Stage:
    """A directory, certificates and the ports of the upstreams, for all scenarios."""

    place: Path
    files: int
    discarding: int

    def blob(self, mebibytes):
        """The file of which it is made."""
        return self.place / "www" / upstream.blob(mebibytes)[1:]

    def site(self, port, users=USUAL, key="ecdsa", place=None):
        """What a proxy is put in front of: a registry at that port. Several that run at once need a place each."""
        return Site(place=place or self.place, certificate=self.place / f"{key}.crt", key=self.place / f"{key}.key",
                    upstream=port, users=users and users.lines())

    @contextmanager
    def server(self, name, users=USUAL, to_discard=False, key="ecdsa", place=None):
        """The contender: a proxy, maybe one that asks for no password or has many users."""
        peer = name.removesuffix(OPEN).removesuffix(MANY_USERS)
        users = Users(users.cost, 10_000) if name.endswith(MANY_USERS) else users
        upstream_port = self.discarding if to_discard else self.files
        site = self.site(upstream_port, None if name.endswith(OPEN) else users, key, place)
        with serving(peer, site) as server:
            # The first of everything, which nobody waits for later.
            curl([server.url("/v2/")], 202 if to_discard else 200)
            if site.users is not None:
                # A door that stands open would be no comparison.
                curl([server.url("/v2/")], 401, "--header", "Authorization:")
            yield server


KEYS = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}


@contextmanager
def set_up(place, blobs):
    """The stage, with blobs of so many MiB in the upstream."""
    for name, kind in KEYS.items():
        subprocess.run(
            ["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-newkey", *kind,
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", place / f"{name}.key", "-out", place / f"{name}.crt"], check=True, capture_output=True)
    with upstream.files(place, blobs) as files, upstream.discarding(place) as discarding:
        yield Stage(place, files, discarding)


@contextmanager
def accounted(server, figures, of, amount):
    """Adds what the block cost the server: processor time by `amount()`, and memory."""
    with MemoryWatch(server) as memory:
        before, began = server.cpu(), time.monotonic()
        yield
        took = time.monotonic() - began
        figures[f"cpu {of}"] = (server.cpu() - before) / amount()
    figures |= {"wall s": took, "peak MB": memory.peak / 1e6}
