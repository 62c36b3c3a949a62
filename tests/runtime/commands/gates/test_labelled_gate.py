"""The gate `labelled`, whole: two models on logged requests whose labels came later."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from e2e.onnx_models import classifier, columns
from tests.runtime.commands.gates.traffic_job import UNTIL, TrafficJob, answer, draw, write_log

pytestmark = pytest.mark.integration

TRUE = classifier({"distance": 0.1, "month": 0.1}, -10.0)  # by which labels are drawn
WORSE = classifier({"distance": 0.1, "month": 0.0}, -5.0)
LABELS = [{"gate": "labels", "monitor": "delay", "service": "delay", "maxDelaySeconds": 86_400}]
ROWS = 2_000


def gate(**changes: Any) -> dict[str, Any]:
    return {"name": "labels", "labelled": {"metric": "roc_auc", "minGain": "0", "window": "7d", **changes}}


def write_labels(file: Path, labels: Any, probabilities: Any = None) -> None:
    """Labels of the rows r-0, r-1, …, posted a minute before the measurement."""
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = {"label": np.asarray(labels).astype(str), "number": np.arange(len(labels))}
    probability = "NULL::DOUBLE"
    if probabilities is not None:
        columns["chance"], probability = probabilities, "chance"
    posted = int((UNTIL - timedelta(minutes=1)).timestamp() * 1e6)
    with duckdb.connect() as connection:
        connection.register("source", columns)
        connection.execute(
            f"COPY (SELECT 'r-' || number AS id, 0::INTEGER AS \"row\", NULL::VARCHAR AS key, label, make_timestamptz({posted}) AS time, "
            f"{probability} AS probability FROM source) TO '{file}' (FORMAT parquet)"
        )


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def build(challenger: bytes, champion: bytes, labelled: int = ROWS) -> TrafficJob:
        made = TrafficJob(tmp_path / "job", monkeypatch, challenger, champion)
        table = draw(ROWS)
        write_log(made.rows / "delay-0001.parquet", table, answer(champion, table))
        chance = answer(TRUE, table)["p1"]
        late = (np.random.default_rng(1).uniform(size=ROWS) < chance).astype(int)
        write_labels(made.inputs / "labels-delay/dt=2026-03-02/hour=11/delay-0001.parquet", late[:labelled])
        return made

    return build


def test_a_better_challenger_passes_with_its_interval(job: Any) -> None:
    made = job(TRUE, WORSE)
    found = made.run(gate(confidence="95%"), labels=LABELS)["labels"]

    assert found["passed"], found
    assert (
        "of champion 'delay-1' on 2,000 rows of InferenceService 'delay' with labels of the last 7d" in found["message"]
    )
    assert "(DeLong); at least 0 is required" in found["message"]


def test_a_worse_one_fails_by_the_same_rows(job: Any) -> None:
    found = job(WORSE, TRUE).run(gate(), labels=LABELS)["labels"]

    assert (found["passed"], "measured" in found) == (False, False), found
    assert "gain -0." in found["message"]


def test_the_same_model_is_not_worse(job: Any) -> None:
    assert job(TRUE, TRUE).run(gate(metric="log_loss"), labels=LABELS)["labels"]["passed"]


def test_few_labels_do_not_tell(job: Any) -> None:
    found = job(TRUE, WORSE, labelled=40).run(gate(), labels=LABELS)["labels"]

    assert (found["passed"], found["measured"]) == (False, False)
    assert "there are 40 rows" in found["message"]
    assert "minRows is 50" in found["message"]


def test_labels_that_contradict_each_other_count_for_no_row(job: Any) -> None:
    made = job(TRUE, WORSE)
    write_labels(made.inputs / "labels-delay/dt=2026-03-02/hour=11/delay-0002.parquet", np.full(ROWS, 1))
    found = made.run(gate(metric="accuracy", minGain="-1"), labels=LABELS)["labels"]

    assert "conflicts" in found["message"]
    assert "on 2,000 rows" not in found["message"]


def test_drawn_labels_count_for_those_that_were_not_drawn(job: Any) -> None:
    made = job(TRUE, WORSE)
    file = made.inputs / "labels-delay/dt=2026-03-02/hour=11/delay-0001.parquet"
    labels = duckdb.read_parquet(str(file)).fetchnumpy()["label"]
    write_labels(file, labels, np.where(np.arange(ROWS) % 2, 0.1, 0.9))
    found = made.run(gate(), labels=LABELS)["labels"]

    assert found["passed"], found
    assert "(bootstrap)" in found["message"]


def test_a_model_of_values_has_its_own_metrics(job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = columns({"distance": 0.2, "month": 1.0}), columns({"distance": 0.2, "month": 1.1})
    made = TrafficJob(tmp_path / "values", monkeypatch, new, old)
    table = draw(ROWS)
    write_log(made.rows / "delay-0001.parquet", table, answer(old, table))
    write_labels(made.inputs / "labels-delay/x.parquet", answer(new, table)["prediction"])
    better, unknown = gate(metric="mae", confidence="95%"), {**gate(metric="roc_auc"), "name": "other"}
    labels = [*LABELS, {**LABELS[0], "gate": "other"}]
    found = made.run(better, unknown, labels=labels)

    assert found["labels"]["passed"], found
    assert "roc_auc is no metric of Regression" in found["other"]["message"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([{"gate": "labels", "problem": "no ModelMonitor has spec.groundTruth; create one"}], "no ModelMonitor has spec.groundTruth"),
        ([{**LABELS[0], "key": "id", "column": "late"}], "there are no rows of InferenceService 'delay' with labels"),
    ],
)  # fmt: skip
def test_without_labels_it_says_so(job: Any, labels: Any, words: str) -> None:
    made = job(TRUE, WORSE)
    (made.inputs / "labels-delay/dt=2026-03-02/hour=11/delay-0001.parquet").unlink()
    found = made.run(gate(), labels=labels)["labels"]

    assert (found["passed"], found["measured"]) == (False, False)
    assert words in found["message"]


def write_data(job: TrafficJob, keys: list[str], learned: int) -> None:
    """The version's data, of which the train split has the first keys of the log."""
    data = job.inputs / "data"
    data.mkdir()
    columns = [{"name": "flight"}, {"name": "late"}]
    (data / "schema.json").write_text(json.dumps({"keys": keys, "columns": columns}))
    duckdb.sql(f"SELECT 'k-' || range AS flight, 1 AS late FROM range({learned})").write_parquet(
        str(data / "train.parquet")
    )


def test_rows_from_which_the_version_learned_are_left_out_by_the_key(job: Any) -> None:
    made = job(TRUE, WORSE)
    table = draw(ROWS)
    write_log(made.rows / "delay-0001.parquet", table, answer(WORSE, table), keyed=True)
    write_data(made, ["flight"], learned=500)
    found = made.run(gate(), labels=LABELS)["labels"]

    assert "on 1,500 rows of InferenceService 'delay'" in found["message"]
    assert "500 training rows are left out by key 'flight'" in found["message"]


@pytest.mark.parametrize(
    ("keys", "keyed", "protected", "words"),
    [
        (["flight"], False, {}, "key 'flight' is not logged"),
        (["flight"], True, {"flight": "Hmac"}, "key 'flight' is not logged"),
        (["flight", "late"], True, {}, "its Dataset has no single key"),
        (None, True, {}, "no training data is known"),
    ],
)
def test_where_no_key_tells_from_which_rows_it_learned_the_message_says_so(
    job: Any, keys: list[str] | None, keyed: bool, protected: dict[str, str], words: str
) -> None:
    made = job(TRUE, WORSE)
    table = draw(ROWS)
    write_log(made.rows / "delay-0001.parquet", table, answer(WORSE, table), keyed=keyed)
    if keys is not None:
        write_data(made, keys, learned=500)
    services = [{"name": "delay", "sample": "10%", "protected": protected}]
    found = made.run(gate(), labels=LABELS, services=services)["labels"]

    assert "on 2,000 rows" in found["message"]
    assert f"may include training rows: {words}" in found["message"]
