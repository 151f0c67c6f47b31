"""The least that any program pays which keeps what it receives: receive, write, sync, and on demand one hash pass.

    python3 bench/floor.py FILE [--hash]       prints its address, takes one connection, answers when all is synced

No HTTP and no threads: nearly all of its processor time is the kernel's, and the hash is OpenSSL's, over bytes that
are still in the processor's cache.
"""

import hashlib
import os
import socket
import sys

RECEIVE = 128 * 1024
# As in the backend (`WRITE` in disk/upload.rs): larger writes cost more where the pages come from the host.
WRITE = 32 * 1024


def store(connection, file, hasher):
    buffer = memoryview(bytearray(RECEIVE))
    # Whole buffers: else it would write what came by chance, and be woken for it.
    while received := connection.recv_into(buffer, 0, socket.MSG_WAITALL):
        for start in range(0, received, WRITE):
            piece = buffer[start : min(start + WRITE, received)]
            os.write(file, piece)
            if hasher:
                hasher.update(piece)
    os.fdatasync(file)


def main():
    path, *options = sys.argv[1:]
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    hasher = hashlib.sha256() if "--hash" in options else None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
        connection, _ = listener.accept()
    with connection:
        store(connection, file, hasher)
        connection.sendall(hasher.digest() if hasher else b"stored")
        # Until the other side leaves: its clock is read meanwhile.
        connection.recv(1)


if __name__ == "__main__":
    main()
