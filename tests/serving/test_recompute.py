"""A logged row, answered again by the stored model, has the logged answer, bit for bit."""

import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2e.onnx_models import columns
from flywheel_serving.explanation.method_choice import load_explainer
from flywheel_serving.model.onnx_model import OnnxModel
from flywheel_serving.recompute import recompute_row
from tests.examples import examples
from tests.serving.prediction_log.log_store import LogStore, body, send_request, start_server, stop_server

WEIGHTS = {"a": 0.1, "b": -3.7, "c": 1e-3}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "model.onnx").write_bytes(columns(WEIGHTS))
    return folder


@pytest.mark.integration
def test_served_rows_have_the_same_answer_and_their_ids_the_minute(logged_flights: Path, log_store: LogStore) -> None:
    before = int(time.time() // 60)
    rows = [(1, 2.5, "UA"), (12, 7.1, "DL"), (3, None, None)]
    with start_server(logged_flights, log_store.config_json()) as running:
        answers = [send_request(running, body([each])) for each in rows]
        stop_server(running)

    minutes = [re.fullmatch(r"[0-9a-f]{12}-([0-9a-f]{7})-[1-3]", each["id"]) for each in answers]
    assert all(each and before <= int(each[1], 16) <= before + 2 for each in minutes)
    logged = log_store.rows()
    assert {row["id"] for row in logged} == {each["id"] for each in answers}
    for row in logged:
        outputs = recompute_row(logged_flights, row["features"])["outputs"]
        assert outputs["label"] == [row["outputs"]["label"]]
        assert outputs["probabilities"] == row["outputs"]["probabilities"]


@pytest.mark.integration
def test_a_model_without_an_exact_method_is_explained_as_beside_the_server(logged_flights: Path) -> None:
    golden = json.loads((logged_flights / "golden.json").read_text())["inputs"]

    found = recompute_row(logged_flights, {name: values[0] for name, values in golden.items()})

    assert found["contributions"]["method"] == load_explainer(logged_flights).method_name == "KernelSHAP"
    [output] = found["contributions"]["outputs"].values()
    assert output["contributions"].keys() == golden.keys()


@pytest.mark.integration
@settings(max_examples=examples(100, ci=20), deadline=None)
@given(values=st.lists(st.floats(width=32), min_size=3, max_size=3))
def test_numbers_pass_through_json_without_a_change(model: Path, values: list[float]) -> None:
    names = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
    texts = [next((name for name, each in names.items() if str(each) == str(value)), value) for value in values]
    features = json.loads(json.dumps(dict(zip(WEIGHTS, texts, strict=True))))

    found = recompute_row(model, features)["outputs"]["prediction"]

    feeds = {name: np.array([[value]], np.float32) for name, value in zip(WEIGHTS, values, strict=True)}
    [expected] = OnnxModel(model / "model.onnx", threads=1).run(feeds, ["prediction"])
    is_number = ~np.isnan(expected.ravel())  # a NaN has bits that tell nothing
    given_again = np.array(found, np.float32)
    assert np.array_equal(np.isnan(given_again), ~is_number)
    assert given_again[is_number].tobytes() == expected.ravel()[is_number].tobytes()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("features", "says"),
    [
        pytest.param({"a": 1.0, "b": 2.0}, "the row has no value of c, which the model reads", id="a column less"),
        pytest.param({"a": "x", "b": 2.0, "c": 3.0}, "wanted numbers", id="a text"),
        pytest.param(None, "not iterable", id="nothing"),
    ],
)
def test_a_row_that_does_not_fit_is_a_sentence(model: Path, features: Any, says: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "flywheel_serving.recompute", "--model", str(model)],
        input=json.dumps({"features": features}).encode(),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (2, b"")
    assert says in ended.stderr.decode()
    assert len(ended.stderr.splitlines()) == 1
