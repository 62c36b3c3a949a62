"""An image of one static binary, written as the archive that containerd and Docker load; no builder needed."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

from e2e.cluster import golang


def single_binary(archive: Path, image: str, program: Path) -> Path:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as files:
        add(files, program.name, program.read_bytes(), mode=0o755)
    digest = f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"
    config = {
        "architecture": golang.architecture(),
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [digest]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]
    with tarfile.open(archive, mode="w") as files:
        add(files, "layer.tar", layer.getvalue())
        add(files, "config.json", json.dumps(config).encode())
        add(files, "manifest.json", json.dumps(manifest).encode())
    return archive


def add(files: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    """No times and no owner: the same binary gives the same image."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    files.addfile(entry, io.BytesIO(content))
