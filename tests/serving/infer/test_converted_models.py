"""Models of other frameworks' converters are served with what the framework itself predicts: rows in, values by name out.

`tests/serving/converted_models/make.py` wrote them; docs/models.md has the table of versions.
"""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from flywheel_serving.infer.config import InferConfig
from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.metrics.server_metrics import ServerMetrics
from flywheel_serving.rest.predict.predictor import Predictor
from flywheel_serving.verify.verification import verify

MODELS = Path(__file__).parent.parent / "converted_models"
TOLERANCE = 1e-4


def predict(folder: Path, rows: list[Any]) -> list[dict[str, Any]]:
    """The predictions of a server of `folder`, for rows as lists."""

    async def serve() -> bytes:
        dataplane = DataPlane(InferConfig(folder, "m", "1"), ServerMetrics("m", "1"))
        try:
            await dataplane.warm_up()
            predictor = Predictor(dataplane)
            request = predictor.decode(json.dumps({"instances": rows}).encode())
            return predictor.encode(await dataplane.infer(request))
        finally:
            dataplane.close()

    found: list[dict[str, Any]] = json.loads(asyncio.run(serve()))["predictions"]
    return found


def values_of(prediction: dict[str, Any]) -> tuple[Any, dict[str, float]]:
    """The label or number, and the probabilities by class."""
    scores: list[dict[str, float]] = [value for value in prediction.values() if isinstance(value, dict)]
    [value] = [value for value in prediction.values() if not isinstance(value, dict)]
    return value, scores[0] if scores else {}


@pytest.mark.parametrize("name", sorted(path.stem for path in MODELS.glob("*.onnx")))
def test_a_converted_model_predicts_what_its_framework_does(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "inputs" / "model"
    folder.mkdir(parents=True)
    shutil.copyfile(MODELS / f"{name}.onnx", folder / "model.onnx")
    (tmp_path / "params.json").write_text(json.dumps({"format": "ONNX", "brought": True}))
    expected = json.loads((MODELS / f"{name}.json").read_bytes())

    verify(tmp_path)
    predictions = predict(tmp_path / "outputs" / "model", expected["rows"])

    values, scores = zip(*map(values_of, predictions), strict=True)
    if "classes" not in expected:
        assert values == pytest.approx(expected["predict"], abs=TOLERANCE)
        return
    assert [*map(str, values)] == [*map(str, expected["predict"])]
    for found, wanted in zip(scores, expected["probabilities"], strict=True):
        assert found == pytest.approx(dict(zip(expected["classes"], wanted, strict=True)), abs=TOLERANCE)
