"""What a registry costs: pushes, pulls, manifests, memory, and how all of that grows with what it holds.

Each scenario is a function of a server's name and a work directory that returns `{figure: value}` for one
run. `bench.py` calls them for each server in turn, again and again: A B A B.
"""

import os
import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier

import tree
from client import (
    Client,
    begin_upload,
    chunked,
    digest,
    expect,
    image,
    path,
    push_blob,
    put_manifest,
    with_digest,
)
from servers import MIB, floor, running


@cache
def content(mebibytes):
    """Bytes that no two blobs share a part of, their digest, and themselves cut into a chunked body."""
    whole = random.Random(mebibytes).randbytes(MIB) * mebibytes
    return whole, digest(whole), chunked(whole)


def bare_hash(mebibytes):
    """Processor seconds of SHA-256 alone, by OpenSSL's assembler."""
    whole, _, _ = content(mebibytes)
    began = time.process_time()
    digest(whole)
    return time.process_time() - began


def kernels_part(work, pieces, *options):
    """Processor seconds and time of a program that receives these bytes, writes and syncs them, and does no more."""
    with floor(work, *options) as server, socket.create_connection(("127.0.0.1", server.port)) as connection:
        cpu, began = server.cpu(), time.monotonic()
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(64)
        took = time.monotonic() - began
        return server.cpu() - cpu, took


def transfer(name, work, mebibytes):
    """One large blob, pushed in one chunked PATCH and a PUT, and pulled."""
    whole, of_blob, pieces = content(mebibytes)
    with running(name, work / "data", work) as server, Client(server.port) as client:
        cpu, began = server.cpu(), time.monotonic()
        status, headers, _ = client.push_chunked(begin_upload(client, "bench/large"), pieces)
        expect(202, status, "PATCH")
        status, _, _ = client.request("PUT", with_digest(path(headers["location"]), of_blob))
        expect(201, status, "PUT")
        took = time.monotonic() - began
        pushed = {"push cpu s": server.cpu() - cpu, "push wall s": took}
        cpu, began = server.cpu(), time.monotonic()
        client.pull(f"/v2/bench/large/blobs/{of_blob}")
        took = time.monotonic() - began
        pulled = {"pull cpu s": server.cpu() - cpu, "pull wall s": took}
        peak = server.peak_memory()
    hashed = bare_hash(mebibytes)
    stored, _ = kernels_part(work, pieces)
    floored, floored_took = kernels_part(work, pieces, "--hash")
    return {
        **pushed,
        **pulled,
        "bare hash cpu s": hashed,
        "push in hash passes": pushed["push cpu s"] / hashed,
        "receive, write, sync cpu s": stored,
        "receive, write, hash, sync cpu s": floored,
        "receive, write, hash, sync wall s": floored_took,
        "push over that ratio": pushed["push cpu s"] / floored,
        "peak MB": peak / 1e6,
    }


# What takes long is repeated less.
SECONDS_EACH = 4


def cost_of(server, repeats, request):
    """Microseconds of the server's processor time for one request."""
    cpu, end, done = server.cpu(), time.monotonic() + SECONDS_EACH, 0
    while done < repeats and (done == 0 or time.monotonic() < end):
        request(done)
        done += 1
    return (server.cpu() - cpu) / done * 1e6


def manifests(name, work, repeats):
    """GET and HEAD of an image's manifest by its tag, one after the other on one connection."""
    with running(name, work / "data", work) as server, Client(server.port) as client:
        config = push_blob(client, "bench/app", b"{}")
        layers = [push_blob(client, "bench/app", bytes([layer])) for layer in range(5)]
        put_manifest(client, "bench/app", "v1", *image(config, layers))
        accept = [("Accept", "application/vnd.oci.image.manifest.v1+json")]

        def ask(method):
            status, _, _ = client.request(method, "/v2/bench/app/manifests/v1", headers=accept)
            expect(200, status, method)

        ask("GET")
        return {
            f"manifest {method} cpu us": cost_of(server, repeats, lambda _, method=method: ask(method))
            for method in ("GET", "HEAD")
        }


def many_pushes(name, work, clients, mebibytes):
    """Memory when many push at once, each another repository's blob, all at the same time."""
    _, of_blob, pieces = content(mebibytes)
    together = Barrier(clients)
    with running(name, work / "data", work) as server:
        idle = server.peak_memory()

        def push(index):
            with Client(server.port) as client:
                location = begin_upload(client, f"bench/many-{index}")
                together.wait()
                status, headers, _ = client.push_chunked(location, pieces)
                expect(202, status, "PATCH")
                together.wait()
                status, _, _ = client.request("PUT", with_digest(path(headers["location"]), of_blob))
                expect(201, status, "PUT")

        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(push, range(clients)))
        return {"idle MB": idle / 1e6, f"peak MB of {clients} pushes": server.peak_memory() / 1e6}


def growth(name, work, trees, kind, count, repeats):
    """What requests cost in a registry that holds `count` tags, repositories or blobs, which is made in `trees`
    unless it is there."""
    data = work / "data"
    reference = trees / f"{kind}-{count}"
    if not reference.exists():
        tree.GROW[kind](reference, count)
        # Else whoever syncs first would pay for the writing of all that.
        os.sync()
    data.symlink_to(reference)
    with running(name, data, work) as server, Client(server.port) as client:
        server.await_rest()
        return {**GROWTH[kind](server, client, data, count, repeats), "peak MB": server.peak_memory() / 1e6}


# Manifests that are deleted, each with its one tag.
DELETES = 10


def _list(client, target):
    status, _, body = client.request("GET", target)
    expect(200, status, target)
    return body


def _tags(server, client, data, count, repeats):
    page = f"/v2/{tree.REPOSITORY}/tags/list?n=100"
    middle = f"{page}&last={tree.tag(count // 2)}"
    head = f"/v2/{tree.REPOSITORY}/manifests/{tree.tag(count // 2)}"
    content_and_type = image(digest(b"{}"))

    def put(index):
        put_manifest(client, tree.REPOSITORY, f"new-{os.urandom(4).hex()}-{index}", *content_and_type)

    def put_and_list(index):
        put(index)
        _list(client, middle)

    def push_one(_):
        name = f"gone-{os.urandom(4).hex()}"
        content, media_type = image(digest(b"{}"), annotation=name)
        put_manifest(client, tree.REPOSITORY, name, content, media_type)
        return digest(content)

    def delete(manifest):
        target = f"/v2/{tree.REPOSITORY}/manifests/{manifest}"
        status, _, body = client.request("DELETE", target)
        expect(202, status, f"DELETE {target}, {body[:200]}")

    figures = {
        "first page ever us": cost_of(server, 1, lambda _: _list(client, page)),
        "page us": cost_of(server, repeats, lambda _: _list(client, middle)),
        "HEAD us": cost_of(server, repeats, lambda _: client.request("HEAD", head)),
        "PUT us": cost_of(server, repeats, put),
        "PUT and page us": cost_of(server, repeats, put_and_list),
    }
    pushed = [push_one(index) for index in range(DELETES)]
    foreign = [tree.tagged_image(data, f"foreign-{os.urandom(4).hex()}") for _ in range(DELETES)]
    figures["DELETE us"] = cost_of(server, DELETES, lambda index: delete(pushed[index]))
    figures["DELETE of a foreign one us"] = cost_of(server, DELETES, lambda index: delete(foreign[index]))
    figures["whole list us"] = cost_of(server, 3, lambda _: _list(client, f"/v2/{tree.REPOSITORY}/tags/list"))
    return figures


def _repositories(server, client, _data, count, repeats):
    page = "/v2/_catalog?n=100"
    middle = f"{page}&last={tree.repository(count // 2, count).replace('/', '%2F')}"

    def push_new(index):
        push_blob(client, f"new/{os.urandom(4).hex()}-{index}", b"{}")

    return {
        "first page ever us": cost_of(server, 1, lambda _: _list(client, page)),
        "page us": cost_of(server, repeats, lambda _: _list(client, middle)),
        "PUT us": cost_of(server, repeats, push_new),
    }


def _blobs(server, client, _data, count, repeats):
    def head(index):
        target = f"/v2/{tree.REPOSITORY}/blobs/{tree.blob(index * 7919 % count)}"
        status, _, _ = client.request("HEAD", target)
        expect(200, status, target)

    def push_new(_):
        push_blob(client, tree.REPOSITORY, os.urandom(16))

    other = f"other/{os.urandom(4).hex()}"

    def mount(index):
        name = tree.blob(index * 104_729 % count)
        target = f"/v2/{other}/blobs/uploads/?mount={name}&from={tree.REPOSITORY}"
        status, _, _ = client.request("POST", target)
        expect(201, status, target)

    return {
        "HEAD us": cost_of(server, 10 * repeats, head),
        "PUT us": cost_of(server, repeats, push_new),
        "mount us": cost_of(server, repeats, mount),
    }


GROWTH = {"tags": _tags, "repositories": _repositories, "blobs": _blobs}
