#!/usr/bin/env python3
"""What stands behind every proxy under measurement, and costs little beside it.

Pulls and small requests: nginx that serves files. Pushes: a program that reads a body to its end, throws it away and
only then answers. Both are on the clients' processor.
"""

import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from peers import nginx_configuration
from servers import MIB, accepts, free_port

REPOSITORY = "bench/app"
UPLOAD = f"/v2/{REPOSITORY}/blobs/uploads/7b1c2f0e-7f3c-4c58-9d8e-0d8f0a4f7b11"
MANIFEST = f"/v2/{REPOSITORY}/manifests/v1"


def blob(mebibytes):
    """Where the blob of that size is. Nobody compares its digest."""
    return f"/v2/{REPOSITORY}/blobs/sha256:{mebibytes:0>64}"


FILES = """
  access_log off; keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {place}/www;
    location = /v2/ {{ default_type application/json; return 200 "{{}}"; }}
    location ~ /manifests/ {{ default_type application/vnd.oci.image.manifest.v1+json; }}
  }}
"""


@contextmanager
def started(command, port, log):
    with open(log, "w") as output:
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output)
    try:
        end = time.monotonic() + 30
        while not accepts(port):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{command[0]} does not listen: {Path(log).read_text()[-2000:]}")
            time.sleep(0.01)
        yield port
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def files(place, sizes):
    """The port of a registry of files: a manifest, and a blob of each of `sizes` in MiB."""
    www = place / "www"
    manifest = www / MANIFEST[1:]
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text('{"schemaVersion": 2, "filler": "' + 2000 * "a" + '"}')
    for mebibytes in sizes:
        path = www / blob(mebibytes)[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            for _ in range(mebibytes):
                file.write(MIB * b"a")
    port = free_port()
    config = place / "upstream.conf"
    config.write_text(nginx_configuration(place, FILES.format(port=port, place=place), 8192))
    with started(["nginx", "-e", "stderr", "-c", config], port, place / "upstream.log"):
        yield port


@contextmanager
def discarding(place):
    """The port of a registry that takes every push."""
    port = free_port()
    with started([sys.executable, __file__, port], port, place / "discarding.log"):
        yield port


END_OF_CHUNKS = b"\r\n0\r\n\r\n"


def _discard(connection):
    """Answers request after request, each when its body has come to its end."""
    scrap = memoryview(bytearray(MIB))
    with connection, suppress(ConnectionError):
        while head_and_more := _head(connection):
            head, _, more = head_and_more.partition(b"\r\n\r\n")
            if length := re.search(rb"(?i)\ncontent-length: *(\d+)", head):
                left = int(length.group(1)) - len(more)
                while left > 0:
                    left -= _taken(connection, scrap)
            elif re.search(rb"(?i)\ntransfer-encoding: *chunked", head):
                # The bodies that are sent here have no such bytes in them.
                tail = more[-len(END_OF_CHUNKS):]
                while tail != END_OF_CHUNKS:
                    count = _taken(connection, scrap)
                    tail = (tail + bytes(scrap[max(0, count - len(END_OF_CHUNKS)):count]))[-len(END_OF_CHUNKS):]
            connection.sendall(b"HTTP/1.1 202 Accepted\r\nDocker-Distribution-Api-Version: registry/2.0\r\n"
                               b"Location: %b\r\nContent-Length: 0\r\n\r\n" % UPLOAD.encode())


def _head(connection):
    """A request's header and what came with it; nothing when there is no further one."""
    head = b""
    while b"\r\n\r\n" not in head:
        if not (piece := connection.recv(1 << 16)):
            return b""
        head += piece
    return head


def _taken(connection, scrap):
    """How many bytes of a body were received and thrown away."""
    if count := connection.recv_into(scrap):
        return count
    raise ConnectionError("the body ended early")


def main():
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096) as listener:
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_discard, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
