"""What main left: metrics, facts and output folders, read with distrust."""

import json
import math
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flywheel_runtime.contract.errors import Failure, ManifestInvalid, UnsafeFile
from flywheel_runtime.contract.safe_files import ConfinedPath, open_regular_file
from flywheel_runtime.contract.termination_message import format_bytes
from flywheel_runtime.store.manifest import check_path

METRICS_LIMIT = 1 << 20  # bytes
FACTS_LIMIT = 2000
MOST_FILES = 100_000
DEEPEST = 64  # folders


def read_metrics(path: Path) -> dict[str, float]:
    """The numbers of metrics.json, in their order. Failure MetricsMissing or MetricsInvalid."""
    cure = 'write it last, for instance with run.finish({"loss": 0.4})'
    try:
        body = _read_object(path, METRICS_LIMIT, "MetricsInvalid")
    except FileNotFoundError:
        raise Failure("MetricsMissing", f"main ended without {path}; {cure}") from None
    for name, value in body.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            words = f"metric '{name}' in {path} is {_kind(value)}"
            raise Failure("MetricsInvalid", f"{words}; every metric must be a finite number")
        if not _finite(value):
            words = f"metric '{name}' in {path} is {_spelled(value)}"
            raise Failure("MetricsInvalid", f"{words}; every metric must be a finite number")
    return body


def read_facts(path: Path) -> dict[str, Any]:
    """The object of facts.json, empty where there is none. Failure FactsTooLarge or FactsInvalid."""
    try:
        if (size := path.lstat().st_size) > FACTS_LIMIT:
            words = f"{path} has {size} bytes and may have {FACTS_LIMIT}; write large results into an output instead"
            raise Failure("FactsTooLarge", words)
        body = _read_object(path, FACTS_LIMIT, "FactsInvalid")
        json.dumps(body, allow_nan=False)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise Failure("FactsInvalid", f"{path} holds a number that is not finite") from error
    return body


def read_output(name: str, folder: Path, required: bool) -> list[tuple[str, ConfinedPath]]:
    """Its files as (relative path, file). Failure OutputMissing or OutputInvalid.

    Main, which owns the folder, may change them until they are uploaded: that opens them again without following links.
    """
    try:
        files = list(_files(name, ConfinedPath.from_file(folder), "", 0))
    except FileNotFoundError:
        files = []
    except UnsafeFile:
        raise _invalid(name, "is a link; write its files themselves") from None
    except NotADirectoryError:
        raise _invalid(name, f"is a file; write it into {folder}/") from None
    if not files and required:
        words = f"output '{name}' is empty; main must write at least one file under {folder}/"
        raise Failure("OutputMissing", f"{words} or the output must not be required")
    if len(files) > MOST_FILES:
        raise _invalid(name, f"has {len(files)} files and may have {MOST_FILES}; put them into archives")
    return files


def _files(name: str, folder: ConfinedPath, below: str, depth: int) -> Iterator[tuple[str, ConfinedPath]]:
    if depth > DEEPEST:
        raise _invalid(name, f"has more than {DEEPEST} folders inside each other")
    try:
        entries = folder.entries()
    except PermissionError:
        raise _invalid(name, f"holds a folder that cannot be read, '{below}'; make it readable") from None
    for entry in entries:
        path, file = f"{below}{entry.name}", folder / entry.name
        shown = path.encode(errors="backslashreplace").decode()
        if entry.kind == stat.S_IFLNK:
            raise _invalid(name, f"holds a link, '{shown}'; write the file itself there")
        try:
            if entry.kind == stat.S_IFDIR:
                yield from _files(name, file, path + "/", depth + 1)
                continue
            check_path(path)
            open_regular_file(file).close()
        except UnsafeFile as error:
            raise _invalid(name, f"holds {error}, '{shown}'; write a readable file or remove it") from error
        except ManifestInvalid as error:
            raise _invalid(name, f"holds a file with a name that cannot be stored: {error}; rename it") from error
        yield path, file


def _invalid(name: str, words: str) -> Failure:
    return Failure("OutputInvalid", f"output '{name}' {words}")


def _read_object(path: Path, limit: int, reason: str) -> dict[str, Any]:
    """The JSON object in the file. Raises FileNotFoundError, and Failure with `reason`."""
    try:
        with open_regular_file(path) as file:
            text = file.read(limit + 1)
    except UnsafeFile as error:
        raise Failure(reason, f"{path} is {error}") from error
    if len(text) > limit:
        raise Failure(reason, f"{path} has more than {format_bytes(limit)}")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Failure(reason, f"{path} is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Failure(reason, f"{path} is not a JSON object")
    return body


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond 1e308
        return False


def _spelled(value: float) -> str:
    if isinstance(value, int):
        return "too large"
    return "NaN" if math.isnan(value) else "infinite"


def _kind(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return "text" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"
