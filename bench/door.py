"""Slow and many clients at the door: what they cost, and what the others notice of them.

    python3 bench/door.py trickle [CASE]   # processor time of one byte per TLS record
    python3 bench/door.py idle 10000       # resident memory of an idle TLS connection
    python3 bench/door.py attack H 2000 60 # slowhttptest (H header, B body, X read) and a clean client

Each starts `target/dist/lockgate` (or that in PROGRAMS_DIR), and nginx with `--nginx`, in front of the
same upstream, on loopback: a small program, for X lockgate-backend with a blob. `ulimit -n` must allow the
connections. The machine's other load falls into every time, not into processor seconds and memory: run it
on a quiet machine, and more than once.
"""

import argparse
import asyncio
import base64
import hashlib
import http.client
import os
import re
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from servers import Server, free_port, lockgate_backend, lockgate_program

USER, PASSWORD = "alice", "correct-horse"
AUTHORIZATION = "Authorization: Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
HEAD = f"Host: localhost\r\n{AUTHORIZATION}\r\n"

NGINX = """
worker_processes 2; worker_rlimit_nofile 20000; pid {dir}/nginx.pid; error_log {dir}/nginx.log; daemon off;
events {{ worker_connections 16000; }}
http {{
  access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  upstream registry {{ server 127.0.0.1:{upstream}; keepalive 128; }}
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096; ssl_certificate {dir}/c.crt; ssl_certificate_key {dir}/c.key;
    client_max_body_size 0; chunked_transfer_encoding on; keepalive_timeout 75s;
    location /v2/ {{
      auth_basic "Registry Realm"; auth_basic_user_file {dir}/htpasswd;
      proxy_pass http://registry; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_request_buffering off; proxy_buffering off; proxy_read_timeout 900;
    }}
  }}
}}
"""


@contextmanager
def stopped_after(server):
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def small_upstream(place):
    port = free_port()
    command = [sys.executable, __file__, "upstream", port]
    with stopped_after(Server("upstream", command, place / "upstream.log", port=port, pinned=False)) as server:
        yield server


BLOB = bytes(64 << 20)
BLOB_PATH = f"/v2/a/blobs/sha256:{hashlib.sha256(BLOB).hexdigest()}"


@contextmanager
def registry(place):
    """lockgate-backend, with a blob of 64 MiB at BLOB_PATH."""
    with stopped_after(lockgate_backend(place / "data", place, pinned=False)) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port)
        client.request("POST", "/v2/a/blobs/uploads/?digest=" + BLOB_PATH.rsplit("/")[-1], BLOB)
        assert client.getresponse().status == 201
        client.close()
        yield server


@contextmanager
def door(name, settings="", behind=small_upstream):
    """A proxy in front of an upstream, on all processors."""
    with tempfile.TemporaryDirectory() as text, behind(Path(text)) as upstream:
        place, port = Path(text), free_port()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", place / "c.key", "-out", place / "c.crt"],
            check=True, capture_output=True,
        )
        # apr1, which nginx computes at every request: it is cheap.
        hashed = subprocess.run(["openssl", "passwd", "-apr1", PASSWORD], check=True, capture_output=True, text=True)
        (place / "htpasswd").write_text(f"{USER}:{hashed.stdout}")
        (place / "lockgate.toml").write_text(
            f'listen.https = "127.0.0.1:{port}"\ntls.certificate = "{place}/c.crt"\ntls.key = "{place}/c.key"\n'
            f'auth.htpasswd = "{place}/htpasswd"\nupstream.url = "http://127.0.0.1:{upstream.port}"\nlog.level = "warn"\n'
            f"limits.connections = 16000\nlimits.connections_per_address = 0\n{settings}\n"
        )
        (place / "nginx.conf").write_text(NGINX.format(dir=place, port=port, upstream=upstream.port))
        os.chmod(place, 0o755)
        os.chmod(place / "htpasswd", 0o644)
        command = {
            "lockgate": lambda: [lockgate_program("lockgate"), "serve", "--config", place / "lockgate.toml"],
            "nginx": lambda: ["nginx", "-c", place / "nginx.conf"],
        }[name]()
        with stopped_after(Server(name, command, place / f"{name}.log", port=port, pinned=False)) as server:
            yield server


@cache
def trusting():
    # Without the system's authorities, which take longer to load than a handshake.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def connect(port):
    stream = trusting().wrap_socket(socket.create_connection(("127.0.0.1", port)))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.settimeout(60)
    return stream


# Between two records, so that the proxy wakes for each: else the kernel hands it many at once.
PAUSE = 0.0002

# About the least that `limits.min_body_rate` allows, in seconds a byte.
SLOWEST = 0.001


def trickled(running, first, rest, pause=PAUSE):
    """Processor seconds and time of what `rest` costs, sent in records of one byte after `first`."""
    with connect(running.port) as stream:
        stream.sendall(first)
        before, start = running.cpu(), time.monotonic()
        for at, byte in enumerate(rest):
            stream.send(bytes([byte]))
            # By the clock where the pace matters: a sleep takes longer than it says.
            time.sleep(pause if pause == PAUSE else max(0.0, start + at * pause - time.monotonic()))
        answer = stream.recv(4096)
        return running.cpu() - before, time.monotonic() - start, answer.split(b"\r\n")[0].decode()


def trickle(name, only=""):
    filler = "".join(f"X-{n}: {'a' * 1000}\r\n" for n in range(31))
    header = f"GET /v2/ HTTP/1.1\r\n{HEAD}{filler}"
    header += f"X: {'a' * (32 * 1024 - len(header) - 7)}\r\n\r\n"
    patch = f"PATCH /v2/a/blobs/uploads/u HTTP/1.1\r\n{HEAD}"
    sized, chunked = f"{patch}Content-Length: 32768\r\n\r\n", f"{patch}Transfer-Encoding: chunked\r\n\r\n"
    chunks = "1\r\na\r\n" * 5461 + "0\r\n\r\n"
    cases = {
        "header": ("", header, PAUSE),
        "header of a second request": (f"GET /v2/ HTTP/1.1\r\n{HEAD}\r\n", header, PAUSE),
        "body": (sized, "a" * 32768, PAUSE),
        "chunk of one byte each": (chunked, chunks, PAUSE),
        "chunk extension": (chunked, "1;" + "a" * 4000 + "\r\na\r\n0\r\n\r\n", PAUSE),
        "body, slowest": (sized, "a" * 32768, SLOWEST),
        "chunk of one byte each, slowest": (chunked, chunks, SLOWEST),
    }
    with door(name, "limits.header_timeout = \"60s\"") as running:
        for case, (first, rest, pause) in cases.items():
            if only and only not in case:
                continue
            seconds, took, answer = trickled(running, first.encode(), rest.encode(), pause)
            print(
                f"{name}: {case}: {len(rest)} records of one byte in {took:.0f} s: "
                f"{seconds:.2f} s of processor time; {answer}",
                flush=True,
            )


def idle(name, count):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    context = trusting()
    request = f"GET /v2/ HTTP/1.1\r\n{HEAD}\r\n".encode()
    for used in (False, True):
        with door(name, "limits.idle_timeout = \"900s\"\nlimits.handshake_timeout = \"60s\"") as running:
            base, streams = running.memory(), []
            for _ in range(count):
                stream = context.wrap_socket(socket.create_connection(("127.0.0.1", running.port)))
                if used:
                    stream.sendall(request)
                    stream.recv(4096)
                streams.append(stream)
            time.sleep(2)
            each = (running.memory() - base) / count / 1024
            what = "after a request" if used else "after the handshake"
            print(f"{name}: {count} idle connections {what}: {each:.1f} KiB each, {base >> 20} MiB before")


async def clean(port, seconds, rate=50):
    """Times of requests at a steady rate, each on one of a few kept connections."""
    times, failed = [], 0
    request = f"GET /v2/ HTTP/1.1\r\n{HEAD}\r\n".encode()
    end = time.monotonic() + seconds

    async def one_client(clients):
        nonlocal failed
        reader = writer = None
        while time.monotonic() < end:
            start = time.monotonic()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting())
                writer.write(request)
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
                assert head.startswith(b"HTTP/1.1 200"), head
                await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head).group(1)))
                times.append(time.monotonic() - start)
            except (OSError, AssertionError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                failed, writer = failed + 1, None
            await asyncio.sleep(max(0.0, start + clients / rate - time.monotonic()))

    await asyncio.gather(*(one_client(10) for _ in range(10)))
    return sorted(times), failed


def attack(name, kind, count, seconds):
    with door(name, behind=registry if kind == "X" else small_upstream) as running:
        url = f"https://127.0.0.1:{running.port}"
        quiet, _ = asyncio.run(clean(running.port, 10))
        options = {"H": ["-i", "10"], "B": ["-i", "10", "-s", "8192"], "X": ["-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3"]}
        path = url + {"H": "/v2/", "B": "/v2/a/blobs/uploads/u", "X": BLOB_PATH}[kind]
        # It has no option for a header of one's own, but does not look at what is in a cookie.
        credentials = f"a=b\r\n{AUTHORIZATION}"
        command = ["slowhttptest", f"-{kind}", "-c", count, "-r", "200", "-l", seconds, "-p", "3", "-u", path,
                   "-j", credentials, *options[kind]]
        before = running.cpu()
        attacker = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            times, failed = asyncio.run(clean(running.port, seconds))
        finally:
            attacker.terminate()
            attacker.wait()
        at = lambda times, share: times[int(len(times) * share)] * 1000
        print(
            f"{name}: slowhttptest -{kind} -c {count}, {seconds} s: {len(times)} clean requests, {failed} failed, "
            f"p50 {at(times, .5):.1f} ms, p99 {at(times, .99):.1f} ms (without attack {at(quiet, .5):.1f} and "
            f"{at(quiet, .99):.1f} ms), {running.cpu() - before:.1f} s of processor time, {running.memory() >> 20} MiB"
        )


async def upstream(port):
    """Answers everything with 200."""

    async def serve(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                if length:
                    await reader.readexactly(int(length.group(1)))
                elif b"chunked" in head.lower():
                    await reader.readuntil(b"0\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port, backlog=4096) as server:
        await server.serve_forever()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=["trickle", "idle", "attack", "upstream"])
    arguments.add_argument("rest", nargs="*")
    arguments.add_argument("--nginx", action="store_true")
    given = arguments.parse_args()
    name = "nginx" if given.nginx else "lockgate"
    if given.what == "upstream":
        asyncio.run(upstream(int(given.rest[0])))
    elif given.what == "trickle":
        trickle(name, *given.rest)
    elif given.what == "idle":
        idle(name, int(given.rest[0]))
    else:
        attack(name, given.rest[0], int(given.rest[1]), int(given.rest[2]))


if __name__ == "__main__":
    main()
