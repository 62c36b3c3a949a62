"""The artifact as verify reads it, and the one that it writes for a version that needs another."""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from flywheel_serving.errors import ModelRefused
from flywheel_serving.model.golden_rows import EXAMPLE_FIELD, InputRows, parse_golden_rows, read_golden_rows
from flywheel_serving.model.graph import replace_zipmaps
from flywheel_serving.model.onnx_file import read_model
from flywheel_serving.model.signature import Signature

GOLDEN = "golden.json"
DOCUMENT_SUFFIXES = (".json", ".onnx")
Params = Mapping[str, Any]


def path_inside(folder: Path, name: str) -> Path:
    """The file `name` of the artifact in `folder`. Raises ModelRefused if it leaves the artifact."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise ModelRefused("PathInvalid", f"path {str(relative)!r} leaves the artifact; name a file inside it")
    return folder / relative


def read_example(params: Params, folder: Path) -> dict[str, Any] | None:
    """The document of spec.example, given inline or as a file of the artifact; None without one. Raises ModelRefused."""
    example = params.get("example") or {}
    if not example:
        return None
    where = str(example.get("file") or "spec.example.inline")
    try:
        content = path_inside(folder, where).read_bytes() if example.get("file") else example["inline"]
        document = orjson.loads(content)  # which refuses NaN and infinities, as JSON has none
    except OSError as error:
        advice = "name a file of the artifact in spec.example.file"
        raise ModelRefused("ExampleInvalid", f"{where} cannot be read: {error}; {advice}") from error
    except (ValueError, KeyError) as error:
        raise ModelRefused("ExampleInvalid", f"{where} is no JSON: {error}; correct it") from error
    if not isinstance(document, dict):
        raise ModelRefused("ExampleInvalid", f"{where} must hold an object with 'inputs'; correct it")
    return {"v": 1, **document}


def recorded_rows(example: dict[str, Any] | None, golden: Path, signature: Signature) -> InputRows | None:
    """The rows of spec.example, else those of the file `golden`, else None. Raises ModelRefused."""
    if example is not None:
        return parse_golden_rows(example, signature, EXAMPLE_FIELD)
    return read_golden_rows(golden, signature)


def read_evaluation(path: Path) -> dict[str, Any]:
    """The object `test` of evaluation.json, empty without one."""
    if not path.is_file():
        return {}
    test = read_json(path, "EvaluationInvalid").get("test") or {}
    if not isinstance(test, dict):
        raise ModelRefused(
            "EvaluationInvalid",
            "evaluation.json: 'test' must be an object; correct the file, or train and register again",
        )
    return test


def reported_metrics(evaluation: Params) -> dict[str, float]:
    """The finite numbers among the metrics of `evaluation`."""
    reported = evaluation.get("metrics") or {}
    return {name: value for name, value in reported.items() if type(value) in (int, float) and math.isfinite(value)}


def write_brought(folder: Path, path: Path, signature: Signature) -> None:
    """Writes the model and its signature; ZipMap's outputs are tensors in what is written."""
    folder.mkdir(parents=True, exist_ok=True)
    model = read_model(path)
    if replace_zipmaps(model):
        (folder / "model.onnx").write_bytes(model.SerializeToString())
    else:
        shutil.copyfile(path, folder / "model.onnx")
    write_json(folder / "signature.json", signature.document())


def copy_documents(source: Path, folder: Path, signature: Signature) -> None:
    """Copies the model and the documents of a trained artifact; `signature` is written if it has none."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_file() and path.suffix in DOCUMENT_SUFFIXES and not path.name.startswith("."):
            shutil.copyfile(path, folder / path.name)
    if not (folder / "signature.json").exists():
        write_json(folder / "signature.json", signature.document())


def write_golden(folder: Path, example: dict[str, Any] | None, golden: Path) -> None:
    """Writes the rows with which the server warms up, if there are any."""
    if example is not None:
        write_json(folder / GOLDEN, example)
    elif golden.is_file():
        shutil.copyfile(golden, folder / GOLDEN)


def read_json(path: Path, reason: str) -> dict[str, Any]:
    """The object in a file. Raises ModelRefused with `reason`."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelRefused(
            reason, f"{path.name} cannot be read: {error}; the artifact or the step is damaged"
        ) from error
    if not isinstance(document, dict):
        raise ModelRefused(reason, f"{path.name} must hold an object; the artifact or the step is damaged")
    return document


def dump_json(document: dict[str, Any]) -> bytes:
    """Compact JSON without NaN."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Writes by renaming, so that a reader finds the complete file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(dump_json(document))
    temporary.rename(path)
