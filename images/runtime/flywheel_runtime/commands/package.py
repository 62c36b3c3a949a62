"""The step `package`: a model's artifact as it will be registered, quantised if requested (images/README.md)."""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import Step, log_line, path_in_artifact, step_command, write_json
from flywheel_runtime.models.quantization import REPORT, quantize_artifact
from flywheel_runtime.params import Params

MODEL, GOLDEN = "model.onnx", "golden.json"
PREFIX_BEFORE = "fp32_"  # of what the model had before quantisation, as in verify
REPORTED_KEYS = ("weights", "rows", "gap", "sizeBefore", "size")


class PackageConfig(Params):
    """The configuration in params.json: the model's file in the artifact, and how to quantise it."""

    path: str = "model.onnx"
    quantize: Literal["Dynamic"] | None = None


@step_command
def main(step: Step) -> None:
    """Copy input `model` to output `model`, quantise it there if requested, with input `data` for its metrics; exits with 0 with an artifact, 2 where the model cannot be packaged."""
    config, source = PackageConfig.parse(step.params), step.input("model")
    path = config.path
    if not (source / path_in_artifact(path)).is_file():
        raise Failure("ModelMissing", f"The artifact has no file '{path}'; correct package.path, or train again.")
    artifact = step.output("model")
    # Inputs and outputs are two volumes, so no hard links. The report of an earlier packaging is left out.
    skipped = shutil.ignore_patterns(REPORT)
    shutil.copytree(source, artifact, dirs_exist_ok=True, copy_function=shutil.copyfile, ignore=skipped)
    model = _rename_model(artifact, path)
    report = quantize_artifact(artifact, MODEL, step.input("data")) if config.quantize else None
    if report is not None:
        write_json(artifact / REPORT, report)
    evaluation = _read_test(artifact / "evaluation.json")
    step.finish(_metrics(model, report, evaluation), _facts(report, evaluation))
    log_line(f"packaged {path}: {model.stat().st_size:,} bytes")


def _rename_model(artifact: Path, path: str) -> Path:
    """Move the model to `model.onnx`, with the golden rows of its folder: a version need not know where it was."""
    model, golden = artifact / MODEL, (artifact / path).parent / GOLDEN
    (artifact / path).replace(model)
    if golden.is_file():
        golden.replace(artifact / GOLDEN)
    return model


def _read_test(path: Path) -> Mapping[str, Any]:
    try:
        test = json.loads(path.read_bytes()).get("test") if path.is_file() else None
    except (ValueError, AttributeError) as error:
        message = f"The artifact's evaluation.json cannot be read ({type(error).__name__}); train again."
        raise Failure("EvaluationInvalid", message) from error
    return test if isinstance(test, dict) else {}


def _metrics(model: Path, report: Mapping[str, Any] | None, evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Size and gap first, then the test metrics of the packaged model, then those of the model before."""
    metrics: dict[str, float] = {"size_bytes": model.stat().st_size}
    if report is not None:
        metrics |= {"quantization_gap": report["gap"], f"{PREFIX_BEFORE}size_bytes": report["sizeBefore"]}
    tested = evaluation.get("metrics") or {}
    metrics |= {name: value for name, value in tested.items() if type(value) in (int, float) and math.isfinite(value)}
    before = (report or {}).get("metricsBefore") or {}
    return metrics | {f"{PREFIX_BEFORE}{name}": value for name, value in before.items()}


def _facts(report: Mapping[str, Any] | None, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if report is not None:
        facts["quantization"] = {name: report[name] for name in REPORTED_KEYS if name in report}
    if isinstance(evaluation.get("digest"), str):
        facts["testDigest"] = evaluation["digest"]
    return facts
