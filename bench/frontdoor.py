"""What a proxy costs: much at once, much of little, both together, and what it holds meanwhile.

Each scenario is a function of a contender's name and a `Stage` that returns `{figure: value}` for one run.
`proxy.py` calls them for each contender in turn, again and again: A B C A B C.
"""

import select
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

import upstream
from load import AUTHORIZATION, MemoryWatch, Refused, curl, hey, wrk
from servers import MIB
from stage import COSTLY, accounted


def transfer(server, stage, direction, mebibytes, *options, connections=1, version="1.1"):
    """All of one blob over each of so many connections, in that version of HTTP."""
    # A push is answered with 202 when the upstream has all of it.
    target, expected = upstream.blob(mebibytes), f"200 {version} {mebibytes * MIB}"
    if direction != "pull":
        framing = ["--header", "Transfer-Encoding: chunked"] if direction == "push chunked" else []
        target, expected = upstream.UPLOAD, f"202 {version} 0"
        options += ("--request", "PATCH", "--upload-file", stage.blob(mebibytes), "--header", "Expect:", *framing)
    curl(connections * [server.url(target)], expected, f"--http{version}", *options,
         shown="%{http_code} %{http_version} %{size_download}")


def bulk(name, stage, direction, version, connections, mebibytes):
    """So many connections transfer one blob each."""
    options = ["--tls-max", version, f"--tlsv{version}"]
    gibibytes, figures = connections * mebibytes / 1024, {}
    with stage.server(name, to_discard=direction != "pull") as server:
        with accounted(server, figures, "s per GiB", lambda: gibibytes):
            transfer(server, stage, direction, mebibytes, *options, connections=connections)
    figures["MiB per s"] = connections * mebibytes / figures.pop("wall s")
    return figures


def small(name, stage, method, target, seconds, connections, close=False, users=COSTLY):
    """Small requests as fast as they are answered. A connection for each, as docker makes them, shakes hands in
    full; and an answer to HEAD is more than wrk can read."""
    figures = {}
    load = hey if close or method == "HEAD" else wrk
    with stage.server(name, users) as server:
        with accounted(server, figures, "ms per 1,000", lambda: figures["requests"] / 1e6):
            figures |= load(stage.place, server.url(target), seconds, connections, method, close)
            if not figures["requests"]:
                raise Refused(f"{name} answered no request in {seconds} s")
    for unasked in ("wall s", "requests", "MiB per s"):
        figures.pop(unasked, None)
    return figures


BLOB_OF_MANY_MIB = 1


def mixed(name, stage, connections, seconds):
    """Of the connections 45 % ask for HEAD of a manifest, 45 % GET it, and 10 % pull blobs; at least one each."""
    few, many = max(1, connections // 10), max(1, connections * 45 // 100)
    loads = {"HEAD": (hey, upstream.MANIFEST, "HEAD", many), "GET": (wrk, upstream.MANIFEST, "GET", many),
             "blobs": (wrk, upstream.blob(BLOB_OF_MANY_MIB), "GET", few)}
    figures = {}
    with stage.server(name) as server, ThreadPoolExecutor(len(loads)) as pool, MemoryWatch(server) as memory:
        running = {what: pool.submit(load, stage.place, server.url(target), seconds, count, method)
                   for what, (load, target, method, count) in loads.items()}
        done = {what: future.result() for what, future in running.items()}
        if not all(done[what]["requests"] for what in ("HEAD", "GET")):
            raise Refused(f"{name} answered no small request in {seconds} s")
        figures["peak MB"] = memory.peak / 1e6
    return {
        "small requests per s": done["HEAD"]["requests per s"] + done["GET"]["requests per s"],
        "blobs MiB per s": done["blobs"]["MiB per s"],
        **{f"{what} {share} ms": done[what][f"{share} ms"] for what in ("HEAD", "GET") for share in ("p50", "p99")},
        **figures,
    }


def held(name, stage, connections):
    """Memory of idle connections, each of which asked once."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = f"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n{AUTHORIZATION}\r\n\r\n".encode()
    streams = []
    with stage.server(name) as server:
        idle = server.memory()
        try:
            for _ in range(connections):
                streams.append(context.wrap_socket(socket.create_connection(("127.0.0.1", server.port))))
                streams[-1].sendall(request)
                if not streams[-1].recv(1 << 14).startswith(b"HTTP/1.1 200"):
                    raise Refused(f"{name} did not answer connection {len(streams)}")
            held_by = server.memory()
            # What can be read of an idle connection is its end.
            idle_ones = select.poll()
            for stream in streams:
                idle_ones.register(stream, select.POLLIN)
            if ended := idle_ones.poll(0):
                raise Refused(f"{name} closed {len(ended)} of {connections} connections")
        finally:
            for stream in streams:
                stream.close()
    each = (held_by - idle) / connections
    return {"idle MB": idle / 1e6, "connections MB": held_by / 1e6, "KiB each": each / 1024}


def pushes(name, stage, count, mebibytes):
    """Memory while many push at once, by one curl that serves all of them in turn."""
    with stage.server(name, to_discard=True) as server, MemoryWatch(server) as memory:
        curl([[server.url(upstream.UPLOAD)] * count], 202,
             "--parallel", "--parallel-immediate", "--parallel-max", count, "--request", "PATCH", "--header", "Expect:", "--header", "Transfer-Encoding: chunked",
             *["--upload-file", stage.blob(mebibytes)] * count)
        return {"peak MB": memory.peak / 1e6}
