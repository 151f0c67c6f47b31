"""Registries of any size, written as files in distribution's layout: pushing 100,000 tags would take hours."""

import os
import time
from hashlib import sha256

from client import digest, image

REPOSITORY = "bench/app"
ROOT = "docker/registry/v2"


def tag(index):
    return f"v1.{index:07}"


def repository(index, count):
    """Ten teams share all of them."""
    return f"team-{index * 10 // count}/app-{index:07}"


def blob(index):
    return digest(index.to_bytes(8, "big"))


def _write(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _store(root, content):
    """Stores a blob; its digest, and its digest's last two path components."""
    hexadecimal = sha256(content).hexdigest()
    _write(root / f"blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data", content)
    return f"sha256:{hexadecimal}".encode(), f"sha256/{hexadecimal}"


def _store_image(root, name):
    """A repository with one image; its manifest's digest."""
    config, below = _store(root, b"{}")
    _write(root / f"repositories/{name}/_layers/{below}/link", config)
    manifest, below = _store(root, image(config.decode())[0])
    _write(root / f"repositories/{name}/_manifests/revisions/{below}/link", manifest)
    return manifest


def tagged_image(data, tag_name):
    """An image of its own with one tag, as distribution writes it; its manifest's digest."""
    root = data / ROOT
    manifests = f"repositories/{REPOSITORY}/_manifests"
    manifest, below = _store(root, image(digest(b"{}"), annotation=tag_name)[0])
    _write(root / f"{manifests}/revisions/{below}/link", manifest)
    _write(root / f"{manifests}/tags/{tag_name}/index/{below}/link", manifest)
    _write(root / f"{manifests}/tags/{tag_name}/current/link", manifest)
    return manifest.decode()


def tags(data, count):
    root = data / ROOT
    manifest = _store_image(root, REPOSITORY)
    for index in range(count):
        _write(root / f"repositories/{REPOSITORY}/_manifests/tags/{tag(index)}/current/link", manifest)


def repositories(data, count):
    for index in range(count):
        (data / ROOT / "repositories" / repository(index, count) / "_layers").mkdir(parents=True)


def blobs(data, count):
    root = data / ROOT
    _store_image(root, REPOSITORY)
    for index in range(count):
        name, below = _store(root, index.to_bytes(8, "big"))
        _write(root / f"repositories/{REPOSITORY}/_layers/{below}/link", name)


GROW = {"tags": tags, "repositories": repositories, "blobs": blobs}


# Of each manifest of `images`: blobs of its own, its config among them, and blobs that it shares with its repository.
OWN, SHARED = 8, 2
# Manifests in a repository of `images`.
OF_A_REPOSITORY = 100


class _Old:
    """Writes files that are older than any grace, and few system calls a file: there are millions."""

    def __init__(self, data):
        self._root = str(data / ROOT)
        self._then = (int(time.time()) - 10 * 24 * 3600,) * 2
        self._made = set()

    def make(self, directory):
        if directory not in self._made:
            os.makedirs(f"{self._root}/{directory}", exist_ok=True)
            self._made.add(directory)

    def write(self, above, names, content):
        """A file below a directory that may be there, and directories that are not."""
        self.make(above)
        path = f"{self._root}/{above}"
        *directories, name = names.split("/")
        for directory in directories:
            path += f"/{directory}"
            os.mkdir(path)
        file = os.open(f"{path}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(file, content)
        os.utime(file, self._then)
        os.close(file)

    def blob(self, content):
        name = digest(content)
        hexadecimal = name.removeprefix("sha256:")
        self.write(f"blobs/sha256/{hexadecimal[:2]}", f"{hexadecimal}/data", content)
        return name

    def link(self, where, name):
        self.write(f"repositories/{where}/sha256", f"{name.removeprefix('sha256:')}/link", name.encode())


def of_image(index):
    """An image of `images`: its repository, its tag, and the digest of a blob of its own."""
    return f"team-{index // OF_A_REPOSITORY % 10}/app-{index // OF_A_REPOSITORY:05}", tag(index), digest(_own(index)[-1])


def _own(index):
    return [b"own %d of %d" % (part, index) for part in range(OWN)]


def images(data, count):
    """So many manifests with ten blobs each, with a tag each, in repositories of a hundred."""
    old = _Old(data)
    for index in range(count):
        name, tag_name, _ = of_image(index)
        if index % OF_A_REPOSITORY == 0:
            shared = [old.blob(b"shared %d by %s" % (part, name.encode())) for part in range(SHARED)]
            for layer in shared:
                old.link(f"{name}/_layers", layer)
        config, *layers = map(old.blob, _own(index))
        for layer in (config, *layers):
            old.link(f"{name}/_layers", layer)
        manifest = old.blob(image(config, [*layers, *shared])[0])
        manifests = f"repositories/{name}/_manifests"
        old.link(f"{name}/_manifests/revisions", manifest)
        old.write(f"{manifests}/tags", f"{tag_name}/index/sha256/{manifest.removeprefix('sha256:')}/link", manifest.encode())
        old.write(f"{manifests}/tags/{tag_name}", "current/link", manifest.encode())


def litter(data, count, repositories):
    """So many blobs that no manifest of `images` names: every second one has a link in one of so many repositories."""
    old = _Old(data)
    for index in range(count):
        blob = old.blob(b"litter %d of %d" % (index, time.time_ns()))
        if index % 2:
            name, _, _ = of_image(index % repositories * OF_A_REPOSITORY)
            old.link(f"{name}/_layers", blob)
