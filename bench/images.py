"""A real client and a whole registry: an image pushed and pulled through a proxy with a registry behind it.

A contender is a proxy and its registry; what both take is added up, and both share the servers' processor.
"""

import gzip
import hashlib
import json
import random
import subprocess
import time
from contextlib import contextmanager

from load import PASSWORD, USER, Refused
from peers import serving
from servers import MIB, remove, running

# Contenders: (proxy, registry).
STACKS = {"lockgate, lockgate-backend": ("lockgate", "lockgate-backend"),
          "nginx-best, docker-registry": ("nginx-best", "docker-registry"),
          "nginx-default, docker-registry": ("nginx-default", "docker-registry")}


def image(name, stage, layers, mebibytes):
    """skopeo pushes an image of so many layers, together so many MiB, and pulls it."""
    layout, pulled = _layout(stage.place, layers, mebibytes), stage.place / "pulled"
    figures = {}
    with _deployed(name, stage) as (door, registry):
        reference = f"docker://127.0.0.1:{door.port}/bench/image:v1"
        for direction, arguments in (("push", ["--dest-tls-verify=false", f"oci:{layout}:v1", reference]),
                                     ("pull", ["--src-tls-verify=false", reference, f"dir:{pulled}"])):
            before = door.cpu(), registry.cpu()
            figures[f"{direction} wall s"] = _skopeo(direction, arguments)
            of_each = door.cpu() - before[0], registry.cpu() - before[1]
            figures |= {f"{direction} cpu s": sum(of_each), f"{direction} cpu s of the proxy": of_each[0]}
    remove(pulled)
    return figures


@contextmanager
def _deployed(name, stage):
    proxy, registry = STACKS[name]
    data = stage.place / "registry"
    remove(data)
    with running(registry, data, stage.place) as store, serving(proxy, stage.site(store.port)) as door:
        yield door, store
    remove(data)


def _skopeo(direction, arguments):
    """How long it took, in seconds."""
    side = "dest" if direction == "push" else "src"
    command = ["skopeo", "copy", "--quiet", "--insecure-policy", f"--{side}-creds={USER}:{PASSWORD}", *arguments]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Refused(f"{direction}: {done.stderr}")
    return time.monotonic() - began


def _layout(place, layers, mebibytes):
    """An OCI image layout, made once. Its layers are gzip that holds its content as it is: nothing is compressed again."""
    layout = place / f"image-{layers}-{mebibytes}"
    if layout.exists():
        return layout
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)

    def add(content, media_type):
        hexadecimal = hashlib.sha256(content).hexdigest()
        (blobs / hexadecimal).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{hexadecimal}", "size": len(content)}

    kind = "application/vnd.oci.image"
    size = mebibytes * MIB // layers
    descriptors, plain = [], []
    for layer in range(layers):
        content = random.Random(layer).randbytes(size)
        plain.append("sha256:" + hashlib.sha256(content).hexdigest())
        descriptors.append(add(gzip.compress(content, 0, mtime=0), f"{kind}.layer.v1.tar+gzip"))
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": plain}}
    config = add(json.dumps(config).encode(), f"{kind}.config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json", "config": config, "layers": descriptors}
    manifest = add(json.dumps(manifest).encode(), manifest["mediaType"])
    tagged = manifest | {"annotations": {"org.opencontainers.image.ref.name": "v1"}}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [tagged]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return layout
