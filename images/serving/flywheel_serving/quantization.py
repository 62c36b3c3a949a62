"""What the step before verify (`flywheel_runtime quantize`) found, as verify reports it."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel_serving.errors import ModelRefused

FILE = "quantization.json"
PREFIX = "fp32_"  # of the metrics that the model had before


def read(params: Mapping[str, Any], folder: Path) -> dict[str, Any] | None:
    """The report, or None where nothing was to be quantised. Raises ModelRefused: with its words if it could not be."""
    if not params.get("quantize"):
        return None
    try:
        report = json.loads((folder / FILE).read_bytes())
    except (OSError, ValueError) as error:
        words = f"{FILE} cannot be read: {error}; the step before verify left none"
        raise ModelRefused("QuantizationInvalid", words) from error
    if "reason" in report:
        raise ModelRefused(str(report["reason"]), str(report["message"]))
    return dict(report)


def metrics(report: Mapping[str, Any] | None) -> dict[str, float]:
    """`quantization_gap`, `fp32_size_bytes`, and the former test metrics as `fp32_<metric>`."""
    if report is None:
        return {}
    before = {f"{PREFIX}{name}": float(value) for name, value in (report.get("metricsBefore") or {}).items()}
    return {"quantization_gap": float(report["gap"]), f"{PREFIX}size_bytes": float(report["sizeBefore"]), **before}


def facts(report: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the operator tells of it."""
    if report is None:
        return {}
    told = ("weights", "rows", "gap", "sizeBefore", "size")
    return {"quantization": {name: report[name] for name in told if name in report}}


def pack(report: Mapping[str, Any] | None, folder: Path, output: Path) -> None:
    """The rewritten artifact is a new one, with all its documents. What verify itself has written there stays."""
    if report is None:
        return
    output.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_file() and path.suffix in (".json", ".onnx") and not path.name.startswith("."):
            if path.suffix == ".onnx" and (output / "model.onnx").exists():
                continue  # a brought model, which has its own name
            if not (output / path.name).exists():
                shutil.copyfile(path, output / path.name)
