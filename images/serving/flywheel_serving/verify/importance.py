"""The importance of columns that training measured, as verify passes it on."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

FILE = "permutation_importance.json"
MAX_FEATURES = 10
MAX_NAME_CHARACTERS = 253  # as in the status


def read_importance(folder: Path, model: Path) -> dict[str, Any] | None:
    """The metric, and the first 10 columns as pairs of a name and an importance.

    None without the file, for one that cannot be read, and for that of another model, such as one before quantization.
    """
    try:
        document = json.loads((folder / FILE).read_bytes())
        if document["model"] != f"sha256:{_digest(model)}":
            return None
        features = [(str(each["name"]), float(each["importance"])) for each in document["features"][:MAX_FEATURES]]
        metric = str(document["metric"])[:MAX_NAME_CHARACTERS]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a container may write a file of this name for itself
    pairs = [[name, value] for name, value in features if len(name) <= MAX_NAME_CHARACTERS and math.isfinite(value)]
    return {"metric": metric, "features": pairs} if pairs else None


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
