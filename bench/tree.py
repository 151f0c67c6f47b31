"""Registries of any size, written as files in distribution's layout: pushing 100,000 tags would take hours."""

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
