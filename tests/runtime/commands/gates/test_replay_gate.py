"""The gate `replay`, whole: two models answer the log of a service."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2e.onnx_models import classifier, columns
from flywheel_runtime.commands.gates.traffic import measurement
from flywheel_runtime.commands.gates.traffic.flips import share_interval
from flywheel_runtime.commands.gates.traffic.model_answers import ClassCodes
from tests.runtime.commands.gates.traffic_job import UNTIL, TrafficJob, answer, draw, write_log

RUN = measurement._run
pytestmark = pytest.mark.integration

OLD = classifier({"distance": 0.1, "month": 0.1}, -10.0)
ALIKE = classifier({"distance": 0.1001, "month": 0.1}, -10.0)
OTHER = classifier({"distance": 0.1, "month": 0.0}, -10.0)  # nearly nobody is late by it
YESTERDAY = {"name": "yesterday", "replay": {"window": "24h", "maxFlips": "2%", "by": "origin"}}


def replay(**changes: Any) -> dict[str, Any]:
    gate: dict[str, Any] = copy.deepcopy(YESTERDAY)
    gate["replay"] |= changes
    return gate


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def build(challenger: bytes = ALIKE, rows: int = 3_000, champion: bytes = OLD, **log: Any) -> TrafficJob:
        made = TrafficJob(tmp_path / "job", monkeypatch, challenger, champion)
        if rows:
            table = draw(rows)
            write_log(made.rows / "delay-0001.parquet", table, answer(champion, table), **log)
        return made

    return build


def test_a_challenger_that_decides_alike_passes(job: Any) -> None:
    made = job()
    found = made.run(YESTERDAY)["yesterday"]
    document = made.document("yesterday")

    assert found["passed"], found
    assert "of 3,000 decisions flip (95% interval" in found["message"]
    assert "of the last 24h of InferenceService 'delay' (10% logged)" in found["message"]
    assert document["answers"] == {"logged": 3000, "byChampion": 0}
    assert document["latency"]["challenger"]["p99Ms"] >= document["latency"]["challenger"]["p50Ms"] > 0
    assert document["latency"]["challenger"]["rowsPerSecond"] > 1000


def test_one_that_decides_otherwise_fails_and_the_document_has_groups_and_rows(job: Any) -> None:
    made = job(OTHER)
    found = made.run(YESTERDAY)["yesterday"]
    document = made.document("yesterday")
    table = draw(3_000)
    flipped = (answer(OLD, table)["label"] != answer(OTHER, table)["label"]).mean()

    assert (found["passed"], "measured" in found) == (False, False), found
    assert document["share"] == pytest.approx(flipped)
    assert document["low"] < flipped < document["high"]
    assert {each["group"] for each in document["groups"]} == {"EWR", "JFK", "LGA"}
    assert sum(each["flips"] for each in document["groups"]) == document["flips"]
    assert sum(each["rows"] for each in document["changes"]) == document["flips"]
    assert len(document["differences"]) == 20
    first = document["differences"][0]
    assert first["flips"]
    assert first["difference"] == pytest.approx(
        abs(first["champion"]["scores"]["1"] - first["challenger"]["scores"]["1"]), abs=1e-6
    )
    assert first["features"].keys() == {"distance", "month"}
    assert first["difference"] == max(each["difference"] for each in document["differences"])


def test_groups_are_named_in_a_status_only_where_the_data_may_be_shown(job: Any) -> None:
    made = job(OTHER)
    hidden = made.run(YESTERDAY)["yesterday"]["message"]
    (made.inputs / "data").mkdir()
    (made.inputs / "data/schema.json").write_text('{"showValues": true, "columns": []}')
    shown = made.run(YESTERDAY)["yesterday"]["message"]

    assert "most of origin (named in the document): " in hidden
    assert any(f"most of origin '{each}': " in shown for each in ("EWR", "JFK", "LGA"))


def test_rows_that_another_version_answered_are_answered_by_the_champion(job: Any) -> None:
    made = job(rows=1_000)
    table = draw(1_000, seed=4)
    write_log(made.rows / "delay-0002.parquet", table, answer(OTHER, table), version="delay-0", first=5_000)
    table = draw(500, seed=5)
    write_log(made.rows / "delay-0003.parquet", table, answer(OTHER, table), digest="sha256:cc", first=9_000)

    found = made.run(YESTERDAY)["yesterday"]

    assert found["passed"], found
    assert made.document("yesterday")["answers"] == {"logged": 1000, "byChampion": 1500}


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"origin": "Hmac"}, "'origin' is hashed"),
        ({"distance": "Drop", "month": "Bucket"}, "'distance' is dropped, 'month' is bucketed"),
    ],
)
def test_columns_that_the_log_protects_are_named(job: Any, rules: dict[str, str], words: str) -> None:
    found = job().run(YESTERDAY, services=[{"name": "delay", "sample": "10%", "protected": rules}])["yesterday"]

    assert (found["passed"], found["measured"]) == (False, False)
    assert words in found["message"]


def test_a_protected_column_that_is_not_needed_is_no_matter(job: Any) -> None:
    services = [{"name": "delay", "sample": "10%", "protected": {"carrier": "Hmac"}}]
    assert job().run(YESTERDAY, services=services)["yesterday"]["passed"]


@pytest.mark.parametrize("action", ["Hmac", "Bucket"])
def test_an_answer_that_the_log_protects_is_computed_and_not_taken_for_the_champions(job: Any, action: str) -> None:
    made = job(rows=0)
    table = draw(1_000)
    hashed = {**answer(OLD, table), "label": np.array(["5f1d", "9c0e"])[np.arange(1_000) % 2]}
    write_log(made.rows / "delay-0001.parquet", table, hashed)
    services = [{"name": "delay", "sample": "10%", "protected": {"label": action}}]
    found = made.run(YESTERDAY, services=services)["yesterday"]

    assert found["passed"], found
    assert made.document("yesterday")["answers"] == {"logged": 0, "byChampion": 1_000}


def test_rows_that_the_champion_cannot_answer_from_what_the_log_protects_are_left_out(job: Any) -> None:
    made = job(classifier({"month": 0.1}, -5.0), rows=1_000)
    table = draw(400, seed=4)
    write_log(made.rows / "delay-0002.parquet", table, answer(OLD, table), version="delay-0", first=5_000)
    services = [{"name": "delay", "sample": "10%", "protected": {"distance": "Bucket"}}]
    found = made.run(replay(by="month"), services=services)["yesterday"]

    assert made.document("yesterday")["answers"] == {"logged": 1_000, "byChampion": 0}
    assert (
        "rows without a column that a version takes, as it was sent, are left out: 'distance' (400)" in found["message"]
    )


@pytest.mark.parametrize("requests", [3, 12, 40])
@pytest.mark.parametrize(("flip", "other"), [(1, 32), (3, 7)])
def test_the_interval_covers_the_share_also_of_few_large_requests(requests: int, flip: int, other: int) -> None:
    random, share, trials = np.random.default_rng(5), flip / (flip + other), 300
    numbers = np.repeat(np.arange(requests), 100)
    covered = 0
    for rates in random.beta(flip, other, (trials, requests)):
        found = share_interval((random.random(len(numbers)) < rates[numbers]).astype(float), numbers, 0.95)
        covered += found.low <= share <= found.high

    assert covered / trials >= 0.92


def test_requests_that_happen_to_flip_alike_do_not_count_as_all_their_rows() -> None:
    numbers = np.repeat([0, 1], 1_000)
    alike = np.tile(np.arange(1_000) < 300, 2)
    nearly = alike.copy()
    nearly[300] = True

    for flips in (alike, nearly):
        found = share_interval(flips, numbers, 0.95)
        assert found.high - found.low > 0.5


def test_a_window_without_requests_says_what_to_do(job: Any) -> None:
    made = job(until=UNTIL.replace(year=2025))
    found = made.run(YESTERDAY)["yesterday"]

    assert (found["passed"], found["measured"]) == (False, False)
    assert "logged no request in the last 24h; send requests, lengthen window or raise" in found["message"]
    assert "flywheel.ml/verify-requested" in found["message"]


@pytest.mark.parametrize(
    ("services", "words"),
    [([], "no InferenceService serves the Model"), ([{"name": "delay"}], "InferenceService 'delay' logs no rows")],
)
def test_without_a_log_it_says_so(job: Any, services: Any, words: str) -> None:
    assert words in job().run(YESTERDAY, services=services)["yesterday"]["message"]


def test_few_rows_do_not_tell(job: Any) -> None:
    found = job(rows=60).run(YESTERDAY)["yesterday"]

    assert (found["passed"], found["measured"]) == (False, False)
    assert "too few rows to tell" in found["message"]


def test_no_flip_may_be_asked_for(job: Any) -> None:
    assert job(OLD, rows=60).run(replay(maxFlips="0%"))["yesterday"]["passed"]


def test_rows_of_one_request_count_as_fewer(job: Any) -> None:
    alone = job(OTHER)
    alone.run(YESTERDAY)
    narrow = alone.document("yesterday")
    table = draw(3_000)
    for file in alone.rows.iterdir():
        file.unlink()
    write_log(alone.rows / "delay-0001.parquet", table, answer(OLD, table), rows_of_a_request=600)
    alone.run(YESTERDAY)
    wide = alone.document("yesterday")

    assert (wide["share"], wide["requests"], narrow["requests"]) == (narrow["share"], 5, 3000)


def test_values_flip_beyond_a_share_of_the_champions_spread(job: Any) -> None:
    old, new = columns({"distance": 0.2, "month": 1.0}), columns({"distance": 0.2, "month": 1.05})
    made = job(new, champion=old)
    wide = made.run(replay(tolerance="10%"))["yesterday"]
    narrow = made.run(replay(tolerance="1%"))["yesterday"]
    document = made.document("yesterday")
    values = answer(old, draw(3_000))["prediction"]
    low, high = np.quantile(values, [0.05, 0.95])

    assert (wide["passed"], narrow["passed"]) == (True, False), (wide, narrow)
    assert document["tolerance"] == pytest.approx(0.01 * (high - low), rel=1e-5)
    assert "values differ by more than" in narrow["message"]
    assert document["differences"][0]["difference"] == pytest.approx(5.0, abs=0.1)


def test_more_rows_than_asked_for_are_drawn_by_request(job: Any) -> None:
    made = job(rows=4_000)
    made.run(replay(maxRows=1_000))
    document = made.document("yesterday")

    assert document["rowsInWindow"] == 4_000
    assert 850 < document["rows"] < 1_150


def test_files_of_earlier_builds_and_broken_ones_lose_no_others(job: Any) -> None:
    made = job(rows=1_000)
    table = draw(500, seed=9)
    write_log(made.rows / "delay-0002.parquet", table, answer(OLD, table), drop=("id", "row", "digest", "route", "key"))
    (made.rows / "delay-0003.parquet").write_bytes(b"PAR1 no longer")

    assert made.run(YESTERDAY)["yesterday"]["passed"]
    document = made.document("yesterday")
    assert (document["rows"], document["requests"], document["unreadableFiles"]) == (1_500, 1_500, 1)


def test_a_column_that_callers_do_not_send_is_named(job: Any) -> None:
    found = job(classifier({"distance": 0.1, "humidity": 0.1}, -10.0)).run(YESTERDAY)["yesterday"]

    assert (found["passed"], found["measured"]) == (False, False)
    assert "the logged rows of the window do not have the columns 'humidity'" in found["message"]


def test_rows_without_a_column_are_left_out_and_told(job: Any) -> None:
    made = job(rows=1_000)
    table = draw(400, seed=9)
    write_log(made.rows / "delay-0002.parquet", table, answer(OLD, table), features=("month", "origin"), first=5_000)
    found = made.run(YESTERDAY)["yesterday"]

    assert found["passed"], found
    assert "left out: 'distance' (400)" in found["message"]


def test_a_model_that_ends_the_process_is_a_finding(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = job()
    abort = ("python3", "-c", "import os; os.abort()")
    monkeypatch.setattr(measurement, "_run", lambda step, folder: RUN(step, folder, abort))
    found = made.run(YESTERDAY)["yesterday"]

    assert (found["passed"], found["measured"]) == (False, False)
    assert "a model ended the process that answers the logged requests with SIGABRT" in found["message"]


def test_a_model_that_does_not_come_back_is_a_finding(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = job()
    endless = ("python3", "-c", "import time; time.sleep(60)")
    monkeypatch.setattr(measurement, "_run", lambda step, folder: RUN(step, folder, endless, 0.3))

    assert "were not answered within" in made.run(YESTERDAY)["yesterday"]["message"]


def test_both_models_are_computed_in_a_process_of_their_own(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = job()
    monkeypatch.setattr(measurement, "_run", RUN)

    assert made.run(YESTERDAY)["yesterday"]["passed"]


def test_the_first_version_flips_nothing(job: Any) -> None:
    found = job().run(YESTERDAY, champion=None)["yesterday"]

    assert found["passed"]
    assert found["message"] == "there is no champion to compare the first version with"


@pytest.mark.parametrize("kind", ["int8", "int16", "int64", "uint8", "uint64", "float64"])
def test_labels_of_any_type_of_numbers_have_one_code(kind: str) -> None:
    limits = np.finfo(kind) if kind == "float64" else np.iinfo(kind)
    labels = np.array([3, limits.max, 1, 3, limits.min], kind)

    codes = ClassCodes(("1", "3")).encode(labels)

    assert codes[[0, 2, 3]].tolist() == [1, 0, 1]
    assert len(set(codes.tolist())) == 4
