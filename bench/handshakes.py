#!/usr/bin/env python3
"""TLS handshakes: in full, resumed, and with the hybrid key exchange X25519MLKEM768.

As a program it is the client: `handshakes.py PORT SECONDS full|resumed|hybrid` shakes hands again and again, and prints
how often it did, as JSON. `hybrid` needs pyOpenSSL with an OpenSSL that knows it, 3.5 or later; Debian 12 has 3.0.
"""

import json
import socket
import ssl
import subprocess
import sys
import time

from load import AUTHORIZATION, Refused

HYBRID = "X25519MLKEM768"
# So that the server always has one to work on while another waits.
CLIENTS = 3


def hybrid_is_at_hand():
    try:
        from OpenSSL import SSL
    except ImportError:
        return False
    return SSL.OPENSSL_VERSION_NUMBER >= 0x30500000 and hasattr(SSL.Connection, "get_group_name")


def handshakes(name, stage, kind, key, seconds):
    """Processor time of the server for a handshake, the connection's beginning and end included."""
    with stage.server(name, key=key) as server:
        before = server.cpu()
        clients = [subprocess.Popen([sys.executable, __file__, str(server.port), str(seconds), kind],
                                    stdout=subprocess.PIPE, text=True) for _ in range(CLIENTS)]
        answers = [client.communicate()[0] for client in clients]
        if any(client.returncode for client in clients):
            raise Refused(f"{name} did not shake hands: {kind} {key}")
        done = [json.loads(answer) for answer in answers]
        took, cpu = max(one["seconds"] for one in done), server.cpu() - before
        count = sum(one["count"] for one in done)
        if kind == "hybrid" and name == "lockgate" and any(one["groups"] != [HYBRID] for one in done):
            raise Refused(f"{name} chose {done[0]['groups']} and not {HYBRID}")
        return {"cpu us per handshake": cpu / count * 1e6, "handshakes per s": count / took}


def _drained(plain):
    """Takes what the server sends behind its handshake, tickets, so that the connection ends without a reset."""
    plain.shutdown(socket.SHUT_WR)
    while plain.recv(1 << 14):
        pass


def _plain(port):
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return plain


def _by_python(port, resumed):
    """A function that shakes hands once, and nothing known of the groups."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    session = None
    if resumed:
        with context.wrap_socket(_plain(port)) as stream:
            stream.sendall(f"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n{AUTHORIZATION}\r\n\r\n".encode())
            # The tickets come before the answer.
            assert stream.recv(1 << 14)
            session = stream.session

    def once():
        stream = context.wrap_socket(_plain(port), session=session)
        assert stream.session_reused == resumed
        # Below TLS: what comes is not looked at.
        with socket.socket(fileno=stream.detach()) as plain:
            _drained(plain)

    return once, set()


def _by_pyopenssl(port):
    from OpenSSL import SSL

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    groups = set()

    def once():
        with _plain(port) as plain:
            stream = SSL.Connection(context, plain)
            stream.set_connect_state()
            stream.do_handshake()
            groups.add(stream.get_group_name())
            _drained(plain)

    return once, groups


def main():
    port, seconds, kind = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    once, groups = _by_pyopenssl(port) if kind == "hybrid" else _by_python(port, kind == "resumed")
    count, began = 0, time.monotonic()
    while (took := time.monotonic() - began) < seconds:
        once()
        count += 1
    print(json.dumps({"count": count, "seconds": took, "groups": sorted(groups)}))


if __name__ == "__main__":
    main()
