"""A bill of materials for each image (CycloneDX 1.6), from what is in the image: Debian's packages, Python's with the hashes of the lock file,
and the Go modules of a static binary. Standard library alone. The same image gives the same bytes.

`make images` writes .cluster/sbom/<image>.cdx.json for the current images.
"""

import email
import json
import re
import subprocess
import tarfile
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from e2e.cluster import buildah, golang, images, paths
from e2e.cluster.files import write_if_changed
from e2e.cluster.images import Image
from e2e.cluster.paths import CHECKOUT
from e2e.cluster.progress import Failure, step

DPKG_STATUS = "var/lib/dpkg/status"
PYTHON_PACKAGES = "usr/local/lib/python3.11/dist-packages"
OUR_OWN = "flywheel_runtime.dist-info"  # code of this repository, which the image itself is the version of
METADATA = re.compile(rf"^\.?/?{PYTHON_PACKAGES}/[^/]+\.dist-info/METADATA$")
RELEASE = "bookworm"
_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)((?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE)

Component = dict[str, Any]


def write_all(digests: dict[str, str], *, docker: bool) -> list[Path]:
    """Writes the BOM of each current image and returns the paths. `digests` by the image's full name, where the cluster tells them."""
    folder = paths.DOT_CLUSTER / "sbom"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for image in images.IMAGES_OF_OURS:
        name = images.current_name(image)
        path, digest = folder / f"{image.name}.cdx.json", digests.get(name, "")
        if not _describes(path, name, digest):
            with step(f"SBOM of {image.name}"):
                bom = image_bom(name, digest, image_components(image, name, docker=docker))
                write_if_changed(path, json.dumps(bom, indent=1) + "\n")
        written.append(path)
    return written


def image_bom(name: str, digest: str, components: list[Component]) -> dict[str, Any]:
    """Returns the BOM of an image of that name and digest; the digest may be unknown."""
    repository, _, tag = name.rpartition(":")
    described = {"type": "container", "bom-ref": name, "name": repository, "version": digest or tag}
    components = sorted(components, key=lambda each: str(each["bom-ref"]))
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([name, digest, components], sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": described},
        "components": components,
    }


def image_components(image: Image, name: str, *, docker: bool) -> list[Component]:
    """Returns what is in an image."""
    if image == images.STORE:
        return go_components(golang.build(golang.VERSITYGW))
    lock = (CHECKOUT / "requirements" / f"{image.name}.txt").read_text()
    with docker_root(name) if docker else buildah.mounted(name) as root:
        status = (root / DPKG_STATUS).read_text()
        found = sorted((root / PYTHON_PACKAGES).glob("*.dist-info/METADATA"))
        metadata = [path.read_text() for path in found if path.parent.name != OUR_OWN]
    return [*debian_components(status), *python_components(metadata, lock)]


def debian_components(status: str) -> list[Component]:
    """Returns the packages that dpkg's status file has as installed."""
    found = []
    for stanza in status.split("\n\n"):
        package = email.message_from_string(stanza)
        if package.get("Status", "").split()[-1:] == ["installed"]:
            name, version = package["Package"], package["Version"]
            purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={package['Architecture']}&distro={RELEASE}"
            found.append(_component(name, version, purl))
    return found


def python_components(metadata: list[str], lock: str) -> list[Component]:
    """Returns the installed Python packages, each with the hashes of its files in the lock file.

    Raises:
        Failure: a package is installed that the lock file does not have.
    """
    locked = {
        (normal_name(name), version): sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", hashes))
        for name, version, hashes in _LOCKED.findall(lock)
    }
    found = []
    for each in map(email.message_from_string, metadata):
        name, version = normal_name(each["Name"]), each["Version"]
        hashes = locked.get((name, version))
        if hashes is None:
            raise Failure(f"'{name} {version}' is in the image and not in its lock file; build the image again")
        purl = f"pkg:pypi/{name}@{version}"
        files = {"type": "distribution", "url": purl, "hashes": [{"alg": "SHA-256", "content": sha} for sha in hashes]}
        found.append(_component(name, version, purl) | {"externalReferences": [files]})
    return found


def go_components(binary: Path) -> list[Component]:
    """Returns the modules that a Go binary was built of, and the standard library."""
    done = subprocess.run([golang.go(), "version", "-m", binary], capture_output=True, text=True, check=True)
    return go_modules(done.stdout)


def go_modules(text: str) -> list[Component]:
    """Returns the modules that `go version -m` prints; of a replaced one, what replaces it."""
    first, *lines = text.splitlines()
    found = [_component("stdlib", first.split()[-1], f"pkg:golang/stdlib@{first.split()[-1].removeprefix('go')}")]
    for line in lines:
        words = line.split()
        if words[:1] == ["=>"]:
            found.pop()
        if words[:1] in (["dep"], ["=>"]) and len(words) >= 3:
            module, version = words[1:3]
            sums = [{"name": "go:sum", "value": words[3]}] if len(words) > 3 else []
            component = _component(module, version, f"pkg:golang/{module}@{quote(version, safe='')}")
            found.append(component | ({"properties": sums} if sums else {}))
    return found


def normal_name(name: str) -> str:
    """Returns a Python package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _component(name: str, version: str, purl: str) -> Component:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _describes(path: Path, name: str, digest: str) -> bool:
    """Whether the file is of that image."""
    if not path.exists():
        return False
    described = json.loads(path.read_text())["metadata"]["component"]
    return (described["bom-ref"], described["version"]) == (name, digest or name.rpartition(":")[2])


@contextmanager
def docker_root(name: str) -> Iterator[Path]:
    """A folder with the files of Docker's image that a BOM is made of."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        container = _docker("create", name)
        try:
            _docker("export", "--output", str(archive), container)
        finally:
            _docker("rm", container)
        with tarfile.open(archive) as files:
            chosen = [each for each in files if each.name == DPKG_STATUS or METADATA.match(each.name)]
            files.extractall(folder, chosen, filter="data")
        yield Path(folder)


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"'docker {words[0]}' failed: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()
