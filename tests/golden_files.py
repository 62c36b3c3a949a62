"""Manifests and charts as they were once looked at and accepted. `GOLDEN=write` accepts what is rendered now: look at the difference before committing it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def same_as(file: Path, *manifests: Mapping[str, Any]) -> bool:
    """Whether the file holds these manifests; with `GOLDEN=write` it does afterwards."""
    text = yaml.safe_dump_all([dict(manifest) for manifest in manifests], sort_keys=True, width=120)
    if os.environ.get("GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return list(yaml.safe_load_all(file.read_text())) == list(yaml.safe_load_all(text))


def same_text(file: Path, text: str) -> bool:
    """Whether the file holds this text; with `GOLDEN=write` it does afterwards."""
    if os.environ.get("GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return file.read_text() == text
