"""What main logged beside its metrics: tags.json, parameters.json, and the last values of its curves, read with distrust."""

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from flywheel_runtime.contract.errors import UnsafeFile
from flywheel_runtime.contract.safe_files import open_regular_file

TAGS_FILE, PARAMETERS_FILE, LOG_FILE = "tags.json", "parameters.json", "main.log.gz"
MAX_FILE_BYTES = 1 << 20
MAX_CURVE_END_BYTES = 1 << 20  # of metrics.jsonl, in which the last values are looked for


def parse_tags(text: bytes) -> dict[str, str]:
    """The tags in tags.json. Raises ValueError with a sentence."""
    return dict(_entries(text, TAGS_FILE, (str,), "a text"))


def parse_parameters(text: bytes) -> dict[str, Any]:
    """The parameters in parameters.json. Raises ValueError with a sentence."""
    return dict(_entries(text, PARAMETERS_FILE, (str, bool, int, float), "a text, a finite number, true or false"))


def read_file(path: Path) -> bytes | None:
    """The bytes of a small file of main's; None where there is none. Raises ValueError with a sentence."""
    try:
        with open_regular_file(path) as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except (UnsafeFile, OSError) as error:
        raise ValueError(f"{path.name} is not read, since it is {error}") from error
    if len(text) > MAX_FILE_BYTES:
        raise ValueError(f"{path.name} has more than {MAX_FILE_BYTES} bytes")
    return text


def last_values(curves: Path) -> dict[str, float]:
    """The last finite value of each metric near the end of metrics.jsonl: what is known of a main that left no metrics.json."""
    found: dict[str, float] = {}
    with suppress(OSError, UnsafeFile), open_regular_file(curves) as file:
        start = max(0, file.seek(0, os.SEEK_END) - MAX_CURVE_END_BYTES)
        file.seek(start)
        for line in file.read().splitlines()[1 if start else 0 :]:
            with suppress(ValueError, RecursionError):
                _add_point(found, json.loads(line))
    return found


def _add_point(found: dict[str, float], point: Any) -> None:
    if not isinstance(point, dict) or not isinstance(point.get("name"), str):
        return
    if _is_finite_number(point.get("value")):
        found[point["name"]] = point["value"]


def _entries(text: bytes, name: str, types: tuple[type, ...], wanted: str) -> Mapping[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ValueError(f"{name} is not a JSON object")  # noqa: TRY004  every error here is a ValueError
    for key, value in body.items():
        if not isinstance(value, types) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"'{key}' in {name} is not {wanted}")
    return body


def _is_finite_number(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond 1e308
        return False
