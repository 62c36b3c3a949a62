"""The record of features by SQL that are computed in the model's graph, as verify checks it and passes it on."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel_serving.errors import ModelRefused

FILE = "features.json"
METADATA = "flywheel.rowwise"  # of the model: the digest of the record
INVALID = "FeaturesInvalid"
DESCRIBED = ("columns", "duckdb", "rowwise")
MAX_NAME_CHARACTERS = 128
MAX_FEATURES = 64  # as in the status


def read_rowwise(folder: Path, metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """The names of the features, and their largest difference from DuckDB in units in the last place; None for a model without any.

    Raises ModelRefused for a model with such features whose record is missing, or is of other expressions.
    """
    digest = metadata.get(METADATA)
    if digest is None:
        return None
    try:
        document = json.loads((folder / FILE).read_bytes())
        described = {name: document[name] for name in DESCRIBED}
        names, largest = [str(name) for name in document["rowwise"]], float(document["largestDifference"])
        recorded = str(document["digest"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"the model computes features by SQL, and {FILE}, the record of their comparison with DuckDB, cannot be read: {error}; train again"
        raise ModelRefused(INVALID, message) from error
    if recorded != digest or _digest(described) != digest:
        message = f"{FILE} is the record of other expressions than those in the model (digest {digest}); train again"
        raise ModelRefused(INVALID, message)
    if not names or not math.isfinite(largest) or any(len(name) > MAX_NAME_CHARACTERS for name in names):
        raise ModelRefused(INVALID, f"{FILE} names no features, or has no largest difference; train again")
    return {"features": names[:MAX_FEATURES], "largestDifference": largest}


def _digest(described: Mapping[str, Any]) -> str:
    """As the training computes it: SHA-256 of JSON with sorted keys and no spaces."""
    text = json.dumps(described, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
