"""A registry's client that costs little beside the server: sockets, and bytes made ahead."""

import hashlib
import json
import socket

# What Go's clients (docker, skopeo, crane) put into one chunk of a chunked body.
CHUNK = 32 * 1024


class Client:
    """One connection, kept alive."""

    def __init__(self, port, tls=None, always=(), timeout=None):
        """With `tls`, an SSLContext, over TLS; every request has the headers `always`."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self._socket = tls.wrap_socket(self._socket)
        self._always = always
        self._reader = self._socket.makefile("rb", buffering=1 << 16)
        self._scrap = bytearray(1 << 20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._reader.close()
        self._socket.close()

    def cipher(self):
        """Which one the server chose, over TLS."""
        return self._socket.cipher()[0]

    def request(self, method, target, body=b"", headers=()):
        """Sends a request, and returns status, headers and body."""
        head = self._head(method, target, [*headers, ("Content-Length", str(len(body)))])
        self._socket.sendall(head + body)
        return self._answer(method)

    def push_chunked(self, target, content, method="PATCH"):
        """Sends a body of unannounced length, in the pieces that were made by `chunked`."""
        self._socket.sendall(self._head(method, target, [("Transfer-Encoding", "chunked")]))
        for piece in content:
            self._socket.sendall(piece)
        return self._answer(method)

    def pull(self, target):
        """Receives a body and throws it away; how many bytes it had."""
        self._socket.sendall(self._head("GET", target, []))
        status, headers = self._answer_head()
        expect(200, status, target)
        left = length = int(headers["content-length"])
        while left:
            read = self._reader.readinto1(memoryview(self._scrap)[: min(left, len(self._scrap))])
            if not read:
                raise RuntimeError(f"{target} ended {left} bytes early")
            left -= read
        return length

    def _head(self, method, target, headers):
        fields = (f"{name}: {value}" for name, value in [*self._always, *headers])
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *fields]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _answer_head(self):
        status = int(self._reader.readline().split()[1])
        headers = {}
        while line := self._reader.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers

    def _answer(self, method):
        status, headers = self._answer_head()
        if method == "HEAD":
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, self._chunks()
        return status, headers, self._reader.read(int(headers.get("content-length", 0)))

    def _chunks(self):
        body = bytearray()
        while size := int(self._reader.readline(), 16):
            body += self._reader.read(size)
            self._reader.readline()
        self._reader.readline()
        return bytes(body)


def expect(wanted, status, what):
    if status != wanted:
        raise RuntimeError(f"{what}: {status} instead of {wanted}")


def chunked(content):
    """`content` as the pieces of a chunked body, many to a piece so that sending them costs little."""
    pieces = []
    for start in range(0, len(content), 32 * CHUNK):
        piece = bytearray()
        for offset in range(start, min(start + 32 * CHUNK, len(content)), CHUNK):
            chunk = content[offset : offset + CHUNK]
            piece += b"%x\r\n%b\r\n" % (len(chunk), chunk)
        pieces.append(bytes(piece))
    return [*pieces, b"0\r\n\r\n"]


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def begin_upload(client, repository):
    status, headers, _ = client.request("POST", f"/v2/{repository}/blobs/uploads/")
    expect(202, status, "POST of an upload")
    return path(headers["location"])


def path(location):
    """Distribution answers with absolute URLs."""
    return location if location.startswith("/") else "/" + location.split("/", 3)[3]


def with_digest(location, name):
    return f"{location}{'&' if '?' in location else '?'}digest={name}"


def push_blob(client, repository, content):
    """Pushes a small blob; its digest."""
    name = digest(content)
    status, _, body = client.request("PUT", with_digest(begin_upload(client, repository), name), content)
    expect(201, status, f"PUT of a blob, {body[:200]}")
    return name


def image(config, layers=(), annotation=None):
    """An image manifest over a config and layers that were pushed, as (content, media type). With another
    annotation it is another manifest."""
    media_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer, "size": 1} for layer in layers
        ],
    }
    if annotation is not None:
        manifest["annotations"] = {"org.opencontainers.image.version": annotation}
    return json.dumps(manifest).encode(), media_type


def put_manifest(client, repository, tag, content, media_type):
    target = f"/v2/{repository}/manifests/{tag}"
    status, _, body = client.request("PUT", target, content, [("Content-Type", media_type)])
    expect(201, status, f"PUT {target}, {body[:200]}")
