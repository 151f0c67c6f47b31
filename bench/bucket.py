#!/usr/bin/env python3
"""Measures the backend over a bucket side by side with Debian's docker-registry over the same store.

    python3 bench/bucket.py [--runs N] [--mebibytes 1024] [--layers 40] [--only small,tags] [--work DIRECTORY]

Both run in turn, A B A B, each over a bucket of its own of one SeaweedFS; as docker does it, five layers are on their way
at once. It writes `bench/results/bucket.json`, and from it `report.py` makes a table of bench/NOTES.md.
Needed: weed (`make clients` has it), docker-registry, taskset, and a build for deployment of lockgate-backend.
"""

import argparse
import http.client
import json
import os
import random
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from client import Client, begin_upload, chunked, digest, expect, image, path, push_blob, put_manifest, with_digest
from runs import RESULTS, Results, leave_the_server_its_processor, machine, side_by_side
from servers import MIB, Server, free_port, lockgate_program

# Layers that docker pushes, and pulls, at once.
AT_ONCE = 5
# How often a page is asked for.
PAGES = 3
KEY, SECRET = "bench", "of-the-measurement"


def lockgate_backend(store, bucket, work):
    config = work / "backend.toml"
    config.write_text(f"listen.http = '127.0.0.1:0'\nstorage.data = 's3://{bucket}'\n[s3]\nendpoint = '{store.endpoint}'\n"
                      "path_style = true\nallow_http = true\n")
    return Server("lockgate-backend", [lockgate_program("lockgate-backend"), "serve", "--config", config],
                  work / "lockgate-backend.log", {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET})


def docker_registry(store, bucket, work):
    config = work / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\n"
        f"storage: {{s3: {{region: us-east-1, regionendpoint: '{store.endpoint}', bucket: {bucket}, accesskey: {KEY}, "
        f"secretkey: {SECRET}, secure: false, v4auth: true, rootdirectory: /}}, redirect: {{disable: true}}}}\n"
        "http: {addr: '127.0.0.1:0', secret: of-the-measurement}\n")
    return Server("docker-registry", ["docker-registry", "serve", config], work / "docker-registry.log")


REGISTRIES = {"lockgate-backend": lockgate_backend, "docker-registry": docker_registry}


class Store:
    """A SeaweedFS, which counts what it is asked."""

    def __init__(self, work):
        self.ports = dict(zip(("master", "volume", "filer", "s3", "metrics"), (free_port() for _ in range(5))))
        self.endpoint = f"http://127.0.0.1:{self.ports['s3']}"
        actions = {"name": KEY, "actions": ["Admin"], "credentials": [{"accessKey": KEY, "secretKey": SECRET}]}
        (work / "users.json").write_text(json.dumps({"identities": [actions]}))
        (work / "store").mkdir()
        of_ports = [f"-{name}.port={self.ports[name]}" for name in ("master", "volume", "filer", "s3")]
        grpc = [f"-{name}.port.grpc={free_port()}" for name in ("master", "volume", "filer", "s3")]
        self.server = Server(
            "weed", ["weed", "-v=0", "server", "-s3", f"-dir={work / 'store'}", *of_ports, *grpc, "-ip=127.0.0.1",
                     "-ip.bind=127.0.0.1", f"-metricsPort={self.ports['metrics']}", "-master.telemetry=false",
                     "-master.electionTimeout=1s", "-master.volumeSizeLimitMB=1024", "-volume.max=100",
                     f"-s3.config={work / 'users.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0",
                     f"-filer.localSocket={work / 'filer.sock'}", f"-s3.localSocket={work / 's3.sock'}"],
            work / "weed.log", port=self.ports["s3"], pinned=False)

    def asked(self):
        """How many requests it has answered, by what they asked for."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['metrics']}/metrics") as answer:
            lines = re.findall(r'^SeaweedFS_s3_request_total\{.*?type="(\w+)".*?\} (\S+)$', answer.read().decode(), re.M)
        counts = {}
        for kind, count in lines:
            counts[kind] = counts.get(kind, 0) + int(float(count))
        return counts

    def make_bucket(self, name):
        """A bucket is a directory of the store's own files."""
        self.write([(f"buckets/{name}/", b"")])

    def write(self, files):
        """Writes past S3, by the store's own protocol, which is quicker."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["filer"], timeout=60)
        for name, content in files:
            connection.request("POST" if name.endswith("/") else "PUT", f"/{name}", content)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{name}: {answer.status} {body[:200]}")


@contextmanager
def running(name, store, work):
    bucket = f"{name}-{time.monotonic_ns()}"
    store.make_bucket(bucket)
    server = REGISTRIES[name](store, bucket, work)
    try:
        yield server
    finally:
        server.stop()


def at_once(tasks, do):
    """Does all, so many at a time, each on a connection of its own; how long it took."""
    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(do, tasks))
    return time.monotonic() - began


def large_image(name, store, work, layers):
    """An image pushed and pulled; its layers are made before."""
    with running(name, store, work) as server:
        def push(layer):
            name, pieces = layer
            with Client(server.port) as client:
                status, headers, _ = client.push_chunked(begin_upload(client, "bench/large"), pieces)
                expect(202, status, "PATCH")
                status, _, body = client.request("PUT", with_digest(path(headers["location"]), name))
                expect(201, status, f"PUT {body[:200]}")

        def pull(layer):
            with Client(server.port) as client:
                client.pull(f"/v2/bench/large/blobs/{layer[0]}")

        figures = {}
        for direction, do in (("push", push), ("pull", pull)):
            before = server.cpu()
            figures[f"{direction} wall s"] = at_once(layers, do)
            figures[f"{direction} cpu s"] = server.cpu() - before
        return {**figures, "peak MB": server.peak_memory() / 1e6}


def small_image(name, store, work):
    """How many requests the store is asked for an image of one small layer, pushed and pulled."""
    with running(name, store, work) as server, Client(server.port) as client:
        server.await_rest()
        # What is asked once for all is not of this image.
        push(client, "bench/first", b"first")
        figures, before = {}, store.asked()
        layer, manifest = push(client, "bench/small", b"small")
        after = store.asked()
        figures["push requests"] = sum(after.values()) - sum(before.values())
        of_each = {kind: count - before.get(kind, 0) for kind, count in after.items()}
        print(f"  {name}: {({kind: count for kind, count in of_each.items() if count})}", file=sys.stderr)
        client.request("GET", "/v2/bench/small/manifests/v1")
        client.pull(f"/v2/bench/small/blobs/{layer}")
        figures["pull requests"] = sum(store.asked().values()) - sum(after.values())
        return figures


def push(client, repository, content):
    """As docker does it: HEAD, POST, PATCH, PUT of each blob."""
    def blob(content):
        name = digest(content)
        status, _, _ = client.request("HEAD", f"/v2/{repository}/blobs/{name}")
        expect(404, status, "HEAD")
        status, headers, _ = client.push_chunked(begin_upload(client, repository), chunked(content))
        expect(202, status, "PATCH")
        status, _, _ = client.request("PUT", with_digest(path(headers["location"]), name))
        expect(201, status, "PUT")
        return name

    layer = blob(content)
    manifest = image(blob(b"{}" + content), [layer])
    put_manifest(client, repository, "v1", *manifest)
    return layer, manifest


def fill(store, bucket, keys):
    files = [(f"buckets/{bucket}/{key}", content) for key, content in keys]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.write, (files[start::8] for start in range(8))))


def tags(count):
    """The keys of a repository with so many tags, as distribution has them, and as ours are named."""
    link = digest(b"a manifest")
    for number in range(count):
        yield f"docker/registry/v2/repositories/bench/app/_manifests/tags/v{number:06}/current/link", link
        yield f".lockgate/names/tags/bench.app/v{number:06}", b""


def repositories(count):
    link = digest(b"a layer")
    for number in range(count):
        layer = link.replace(":", "/")
        yield f"docker/registry/v2/repositories/bench/r{number:06}/_layers/{layer}/link", link
        yield f".lockgate/names/repositories/bench.r{number:06}", b""


GROWTH = {"tags": (tags, "/v2/bench/app/tags/list?n=100&last=v{:06}"),
          "repositories": (repositories, "/v2/_catalog?n=100&last=bench/r{:06}")}


def growth(name, store, work, kind, count):
    """What a page from the middle costs in a bucket of so many."""
    keys, page = GROWTH[kind]
    bucket = f"growth-{time.monotonic_ns()}"
    store.make_bucket(bucket)
    fill(store, bucket, [*keys(count), (".lockgate/names/complete", b"")])
    server = REGISTRIES[name](store, bucket, work)
    try:
        with Client(server.port) as client:
            server.await_rest()

            def ask():
                began = time.monotonic()
                status, _, body = client.request("GET", page.format(count // 2))
                expect(200, status, "GET of a page")
                # docker-registry 2.8 has no pages of tags: it answers with all.
                if len(json.loads(body)[kind]) < 100:
                    raise RuntimeError(f"no page of 100: {body[:200]}")
                return (time.monotonic() - began) * 1000

            ask()
            before = sum(store.asked().values())
            times = [ask() for _ in range(PAGES)]
            return {"page ms": statistics.median(times),
                    "page requests": (sum(store.asked().values()) - before) / PAGES}
    finally:
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=8, help="of each program")
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=40)
    parser.add_argument("--only", help="these scenarios, as in large,tags/1000")
    parser.add_argument("--work", type=Path, help="where the store keeps its data (a real disk)")
    parser.add_argument("--out", type=Path, default=RESULTS / "bucket.json")
    arguments = parser.parse_args()
    # With it Debian's docker-registry does not start.
    os.environ.pop("AWS_CA_BUNDLE", None)
    size = arguments.mebibytes * MIB // arguments.layers
    results = Results(arguments.out, machine(), arguments.only)
    with tempfile.TemporaryDirectory(prefix="lockgate-bench-", dir=arguments.work) as directory:
        work = Path(directory)
        store = Store(work)
        leave_the_server_its_processor()
        try:
            contents = (random.Random(layer).randbytes(size) for layer in range(arguments.layers))
            layers = [(digest(content), chunked(content)) for content in contents]
            scenarios = {"large": lambda name: large_image(name, store, work, layers),
                         "small": lambda name: small_image(name, store, work)}
            for kind in GROWTH:
                for count in (1_000, 10_000, 100_000):
                    scenarios[f"{kind}/{count}"] = lambda name, kind=kind, count=count: growth(
                        name, store, work, kind, count)
            for name, scenario in scenarios.items():
                if results.wants(name):
                    # Growth changes little from run to run.
                    runs = 1 if "/" in name else arguments.runs
                    results.add(name, lambda scenario=scenario: side_by_side(REGISTRIES, scenario, runs))
        finally:
            store.server.stop()
    print(f"written: {results.where()}")


if __name__ == "__main__":
    main()
