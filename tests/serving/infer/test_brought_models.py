"""The server answers with the shapes that it observed, and never with other rows than it was asked."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flywheel_serving.errors import InvalidRequest, ModelFailed
from flywheel_serving.infer.config import InferConfig
from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.infer.requests import InferRequest, InferResponse
from flywheel_serving.metrics.server_metrics import ServerMetrics

MODELS = Path(__file__).parent.parent / "brought_models"
FLOATS = np.float32


def infer(folder: Path, name: str, *requests: dict[str, Any], outputs: tuple[str, ...] = ()) -> list[Any]:
    """The outputs by name of each request, or its error, from a server that has warmed up."""
    shutil.copyfile(MODELS / f"{name}.onnx", folder / "model.onnx")

    async def serve() -> list[Any]:
        dataplane = DataPlane(InferConfig(folder, name, "1"), ServerMetrics(name, "1"))
        try:
            await dataplane.warm_up()
            decoded = [InferRequest("", tensors, list(outputs)) for tensors in requests]
            return await asyncio.gather(*map(dataplane.infer, decoded), return_exceptions=True)
        finally:
            dataplane.close()

    return [by_name(each) if isinstance(each, InferResponse) else each for each in asyncio.run(serve())]


def by_name(response: InferResponse) -> dict[str, Any]:
    return {spec.name: (list(spec.shape), array.tolist()) for spec, array in response.outputs}


def test_rows_that_a_model_loses_are_an_error(tmp_path: Path) -> None:
    one, two = infer(tmp_path, "batch_baked_in", {"x": np.ones((1, 2), FLOATS)}, {"x": np.ones((2, 2), FLOATS)})

    assert one["y"][1] == [[1.0, 1.0]]
    assert isinstance(two, ModelFailed)
    assert "output 'y' of the model has the shape [1, 4] for 2 rows, and each row must have a row of its own" in str(
        two
    )


def test_rows_that_depend_on_values_are_an_error(tmp_path: Path) -> None:
    [found] = infer(tmp_path, "nonzero_rows", {"x": np.array([[1], [0], [1]], FLOATS)})

    assert isinstance(found, ModelFailed)


@pytest.mark.parametrize("shape", [(2,), (2, 1), (2, 3), (2, 2, 2)])
def test_a_model_of_any_rank_takes_any_rank(tmp_path: Path, shape: tuple[int, ...]) -> None:
    rows = np.ones(shape, FLOATS)
    [found] = infer(tmp_path, "unknown_rank", {"x": rows})

    assert np.array(found["y"][1]).shape == shape


def test_a_scalar_beside_rows_is_left_out(tmp_path: Path) -> None:
    rows = {"x": np.ones((2, 1), FLOATS)}
    [found] = infer(tmp_path, "scalar_output", rows)
    assert found.keys() == {"y"}

    [refused] = infer(tmp_path, "scalar_output", rows, outputs=("m",))
    assert isinstance(refused, InvalidRequest)
    assert "outputs: unknown 'm'; the model has 'y'" in str(refused)


def test_a_model_that_takes_no_synthetic_row_is_served(tmp_path: Path) -> None:
    rows = {"num": np.array([[0.5]]), "cat": np.array([["red"]], object)}
    [found] = infer(tmp_path, "sklearn_onehot_default", rows)

    assert np.array(found["probabilities"][1]).shape == (1, 2)


def test_observed_shapes_are_published(tmp_path: Path) -> None:
    [boosted] = infer(tmp_path, "lightgbm_nozipmap", {"input": np.ones((3, 4), FLOATS)})

    assert boosted["label"][0] == [-1]
    assert len(boosted["label"][1]) == 3
