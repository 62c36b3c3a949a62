"""A logged row answered again by the stored model, on this machine, and the two answers compared bit for bit."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flywheel.client.downloads import RemoteFile, save_files
from flywheel.client.errors import MissingExtra
from flywheel.client.transport.reader import Reader

MODULE = "flywheel_serving.recompute"
NEEDED_PACKAGES = ("onnxruntime", "flywheel_serving")
MODEL_FILE, SIGNATURE_FILE = "model.onnx", "signature.json"
FILES = (MODEL_FILE, SIGNATURE_FILE, "explanation.json", "golden.json")  # of an artifact, that the computation reads
MAX_SECONDS = 120.0
TOLERANCE = 1e-4  # as of golden rows: processors and releases of onnxruntime add numbers in other orders
EQUAL, DIFFERS, NOT_REPLAYED = "Equal", "Differs", "NotReplayed"
NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
WORDS = {"Drop": "dropped", "Hmac": "hashed", "Bucket": "the lower end of a bucket"}


class NotReplayed(Exception):
    """The row cannot be answered again; the message says why."""


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Returns where artifacts are kept between calls, each in a folder with its digest."""
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "flywheel" / "artifacts"


def fetch_artifact(reader: Reader, files: Sequence[RemoteFile], digest: str) -> Path:
    """Downloads what the computation reads of an artifact, unless an earlier call did, and verifies it; returns its folder.

    Raises:
        FlywheelError: the reader refused, or bytes do not have their SHA-256.
    """
    folder = cache_folder() / digest.removeprefix("sha256:")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    save_files(reader, [each for each in files if each.target in FILES], folder, force=True)
    return folder


def describe_rule(rule: Mapping[str, Any]) -> str:
    """Returns what the log does with a column, in words."""
    words = WORDS.get(str(rule.get("action")), "not as it was")
    return f"{words} {rule['width']} wide" if rule.get("action") == "Bucket" and "width" in rule else words


def lacking_inputs(
    features: Mapping[str, Any], rules: Mapping[str, Mapping[str, Any]], inputs: Sequence[str] | None
) -> dict[str, str]:
    """Returns the model's inputs whose values the log does not have, each with the reason. Without `inputs` those of the row are meant."""
    lacking = {}
    for name in features if inputs is None else inputs:
        if name in rules:
            lacking[name] = describe_rule(rules[name])
        elif name not in features:
            lacking[name] = "absent"
    return lacking


def recompute(folder: Path, features: Mapping[str, Any]) -> dict[str, Any]:
    """Computes one row in a process of its own; returns `outputs`, `software`, and `contributions` or `notExplained`.

    Raises:
        NotReplayed: a package is missing, or the model does not answer.
    """
    for package in NEEDED_PACKAGES:
        if find_spec(package) is None:
            raise NotReplayed(MissingExtra(package, "answering the row again").message)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    command = [sys.executable, "-P", "-m", MODULE, "--model", str(folder)]
    given = json.dumps({"features": dict(features)}).encode()
    try:
        ended = subprocess.run(
            command, input=given, capture_output=True, env=environment, timeout=MAX_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotReplayed(f"the model did not answer within {MAX_SECONDS:g} s") from None
    if ended.returncode != 0:
        lines = ended.stderr.decode(errors="replace").strip().splitlines()
        raise NotReplayed(f"the model did not answer: {lines[-1][:500] if lines else f'exit code {ended.returncode}'}")
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def compare_answers(
    logged: Mapping[str, Any], computed: Mapping[str, Sequence[Any]], rules: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Compares the log's outputs with computed ones, each value bit for bit.

    Returns `result` (Equal, Differs, or NotReplayed where no output is comparable), the outputs that were `compared`, those that were not
    with the reason, and the `largest` difference: column, both values, and how far numbers are apart; `isWithinTolerance` says whether all
    values are numbers that are at most TOLERANCE apart.
    """
    compared: list[str] = []
    left_out: dict[str, str] = {}
    differences: list[dict[str, Any]] = []
    for name, values in computed.items():
        held = logged.get(name)
        if name in rules or held is None:
            left_out[name] = describe_rule(rules[name]) if name in rules else "not in the log"
            continue
        compared.append(name)
        differences += _differences(name, held if isinstance(held, list) else [held], list(values))
    if not compared:
        return {
            "result": NOT_REPLAYED,
            "reason": "no output of the model is in the log as it was",
            "notCompared": left_out,
        }
    found: dict[str, Any] = {"result": DIFFERS if differences else EQUAL, "compared": compared, "notCompared": left_out}
    if differences:
        largest = max(differences, key=_size)
        found |= {"differing": len(differences), "largest": largest, "isWithinTolerance": _size(largest) <= TOLERANCE}
    return found


def without_nonfinite(value: Any) -> Any:
    """Returns the value with "NaN", "Infinity" and "-Infinity" in place of such numbers, as the reader writes them."""
    if isinstance(value, dict):
        return {key: without_nonfinite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_nonfinite(each) for each in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return next(name for name, number in NOT_FINITE.items() if str(number) == str(value))
    return value


def _differences(name: str, logged: Sequence[Any], computed: Sequence[Any]) -> list[dict[str, Any]]:
    if len(logged) != len(computed):
        return [
            {"column": name, "logged": len(logged), "computed": len(computed), "difference": None, "what": "values"}
        ]
    found = []
    for place, (ours, theirs) in enumerate(zip(logged, computed, strict=True)):
        ours, theirs = without_nonfinite(ours), without_nonfinite(theirs)
        if ours == theirs or (isinstance(theirs, int) and ours == str(theirs)):  # whole numbers beyond JSON's are texts
            continue
        column = name if len(logged) == 1 else f"{name}[{place}]"
        apart = abs(ours - theirs) if _is_number(ours) and _is_number(theirs) else None
        found.append({"column": column, "logged": ours, "computed": theirs, "difference": apart})
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _size(difference: Mapping[str, Any]) -> float:
    return float("inf") if difference["difference"] is None else float(difference["difference"])
