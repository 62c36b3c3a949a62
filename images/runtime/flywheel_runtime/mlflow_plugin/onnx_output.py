"""The output `model` of a step, made from an ONNX model that code logged with `mlflow.onnx.log_model`."""

import logging
from pathlib import Path
from typing import Any

_logger = logging.getLogger(__name__)
MODEL_FILE = "model.onnx"


def publish_onnx_model(logged: Path, output: Path) -> None:
    """Write the ONNX model in the folder of a logged model as `model.onnx` of the output, if nothing is in the output yet.

    MLflow writes weights above a kilobyte into a file beside the model, which Flywheel's servers do not read; they are put into the model.
    """
    source = _onnx_file(logged)
    if source is None:
        return
    if output.is_dir() and any(output.iterdir()):
        _logger.warning(
            "The output 'model' has files already, so '%s' is an artifact of the run, and not the model that Flywheel verifies and serves.",
            logged.name,
        )
        return
    import onnx

    output.mkdir(parents=True, exist_ok=True)
    unfinished = output / f".{MODEL_FILE}.part"
    onnx.save(onnx.load(str(source)), str(unfinished))
    unfinished.replace(output / MODEL_FILE)


def _onnx_file(logged: Path) -> Path | None:
    """The ONNX file that MLflow's description of the model names, or None."""
    import yaml

    try:
        description: Any = yaml.safe_load((logged / "MLmodel").read_text(encoding="utf-8"))
        flavor = description["flavors"]["onnx"]
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        return None
    file = logged / str(flavor.get("data", MODEL_FILE))
    return file if file.is_file() else None
