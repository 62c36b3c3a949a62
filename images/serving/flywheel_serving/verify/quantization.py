"""The report of the step before verify (`flywheel_runtime quantize`), as verify passes it on."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel_serving.errors import ModelRefused

REPORT = "quantization.json"
FP32_PREFIX = "fp32_"  # of the metrics before quantization


def read_report(params: Mapping[str, Any], folder: Path) -> dict[str, Any] | None:
    """The report, or None without quantization. Raises ModelRefused, with the report's reason if quantization failed."""
    if not params.get("quantize"):
        return None
    try:
        report = json.loads((folder / REPORT).read_bytes())
    except (OSError, ValueError) as error:
        message = f"{REPORT} cannot be read: {error}; the step before verify did not write it"
        raise ModelRefused("QuantizationInvalid", message) from error
    if "reason" in report:
        raise ModelRefused(str(report["reason"]), str(report["message"]))
    return dict(report)


def metrics(report: Mapping[str, Any] | None) -> dict[str, float]:
    """`quantization_gap`, `fp32_size_bytes`, and the test metrics before quantization as `fp32_<metric>`."""
    if report is None:
        return {}
    before = {f"{FP32_PREFIX}{name}": float(value) for name, value in (report.get("metricsBefore") or {}).items()}
    return {"quantization_gap": float(report["gap"]), f"{FP32_PREFIX}size_bytes": float(report["sizeBefore"]), **before}


def facts(report: Mapping[str, Any] | None) -> dict[str, Any]:
    """The facts for the ModelVersion's status."""
    if report is None:
        return {}
    names = ("weights", "rows", "gap", "sizeBefore", "size")
    return {"quantization": {name: report[name] for name in names if name in report}}


def copy_artifact(report: Mapping[str, Any] | None, folder: Path, output: Path) -> None:
    """Copies the quantized artifact to `output`, as a new artifact with all its documents; existing files stay."""
    if report is None:
        return
    output.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_file() and path.suffix in (".json", ".onnx") and not path.name.startswith("."):
            if path.suffix == ".onnx" and (output / "model.onnx").exists():
                continue  # of a brought model, whose file may have another name
            if not (output / path.name).exists():
                shutil.copyfile(path, output / path.name)
