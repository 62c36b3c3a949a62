"""One look at an A/B test, at files as servers leave them: which rows and labels count, and what the verdict says."""

from pathlib import Path

import numpy as np
import pytest

from flywheel.kinds.inferenceservice.schema import ab_test as schema
from flywheel_runtime.commands.ab_test.units import LOG_SECONDS
from tests.runtime.commands.ab_test.log_of_test import DELAY, ABTestLog, TestedRow

pytestmark = pytest.mark.integration  # each look starts a database

ARMS = {"Champion": "v1", "Challenger": "v2"}
random = np.random.default_rng(11)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ABTestLog:
    return ABTestLog(tmp_path, monkeypatch)


def row(number: int, arm: str, **changed: object) -> TestedRow:
    given = {"id": f"r{number}", "second": number, "unit": f"u{number}", "arm": arm, "version": ARMS[arm]}
    return TestedRow(**{**given, **changed})  # type: ignore[arg-type]


def rows_of_both(units: int) -> list[TestedRow]:
    return [row(number, list(ARMS)[number % 2]) for number in range(units)]


def rewards(rows: list[TestedRow], rates: dict[str, float]) -> list[tuple[str, str, int]]:
    """A label for each row: 1 with the rate of its arm."""
    return [(each.id, str(int(random.random() < rates[str(each.arm)])), each.second + 5) for each in rows]


@pytest.mark.parametrize(
    ("rate", "verdict", "words"),
    [
        pytest.param(0.8, "Better", "is better: mean label ", id="better"),
        pytest.param(0.2, "NotBetter", "is worse: mean label ", id="worse"),
        pytest.param(0.5, "NotBetter", "is not better by 0.1: mean label ", id="no better"),
    ],
)
def test_the_reward_of_the_arms_decides(log: ABTestLog, rate: float, verdict: str, words: str) -> None:
    rows = rows_of_both(3_000)
    log.write_rows(rows)
    log.write_labels(rewards(rows, {"Champion": 0.5, "Challenger": rate}))
    found = log.look()

    assert (found["verdict"], found["message"].startswith(words)) == (verdict, True), found["message"]
    numbers = found["numbers"]
    assert abs(numbers["effect"] - (rate - 0.5)) < 0.06
    assert numbers["effectLow"] < rate - 0.5 < numbers["effectHigh"]
    assert (numbers["championUnits"], numbers["challengerUnits"]) == (1_500, 1_500)


def test_a_look_that_is_repeated_finds_the_same_whatever_the_files_are_called(log: ABTestLog) -> None:
    rows = rows_of_both(400)
    labels = rewards(rows, {"Champion": 0.4, "Challenger": 0.6})
    log.write_rows(rows[:200], "b")
    log.write_rows(rows[200:], "a")
    log.write_labels(labels)
    first = log.look()
    log.write_rows(rows[:200], "a")
    log.write_rows(rows[200:], "b")

    assert log.look() == first


def test_the_rows_of_a_unit_are_one_outcome(log: ABTestLog) -> None:
    rows = rows_of_both(40)
    many = [row(1_000 + number, "Challenger", unit="u1", second=2) for number in range(50)]
    log.write_rows([*rows, *many])
    log.write_labels([*((each.id, "0", each.second) for each in rows), *((each.id, "1", 3) for each in many)])
    numbers = log.look()["numbers"]

    assert numbers["challengerUnits"] == 20
    assert numbers["challenger"] == pytest.approx(50 / 51 / 20)


def test_a_unit_counts_by_its_arm_also_where_the_champion_answered(log: ABTestLog) -> None:
    rows = [row(number, list(ARMS)[number % 2], version="v1") for number in range(200)]
    log.write_rows(rows)
    log.write_labels(rewards(rows, {"Champion": 0.0, "Challenger": 1.0}))
    found = log.look()

    assert (found["verdict"], found["numbers"]["challenger"], found["numbers"]["champion"]) == ("Better", 1.0, 0.0)
    assert "the champion answered 100 of 100 rows of the challenger's arm" in found["message"]


def test_a_unit_counts_when_its_outcome_cannot_change_any_more(log: ABTestLog) -> None:
    old = 3_600 - 2 * DELAY - LOG_SECONDS
    new = old + 1
    rows = [row(0, "Champion", second=old), row(1, "Challenger", second=old), row(2, "Champion", second=new)]
    late_row = row(3, "Challenger", unit="u1", second=old + DELAY)
    log.write_rows([*rows, late_row])
    log.write_labels([("r0", "1", old + 1), ("r1", "0", old + 1), ("r2", "1", new + 1), ("r3", "1", old + DELAY)])
    numbers = log.look()["numbers"]

    assert (numbers["championUnits"], numbers["championAssigned"], numbers["challenger"]) == (1, 2, 0.0)


def test_labels_too_late_unknown_contradicting_drawn_or_no_number_are_left_out_and_told(log: ABTestLog) -> None:
    log.write_rows([row(number, "Champion", second=10) for number in range(5)])
    posted = [("r0", "1", 20), ("r1", "1", 10 + DELAY + 1), ("r2", "1", 20), ("r2", "0", 20), ("r3", "late", 20)]
    log.write_labels([*posted, ("unknown", "1", 20)])
    found = log.look()

    assert found["numbers"]["championUnits"] == 1
    assert "1 labels that are no outcome, 1 rows with labels refused (conflicts)" in found["message"]


def test_an_outcome_beyond_the_range_counts_as_its_bound_and_is_told(log: ABTestLog) -> None:
    log.write_rows([row(0, "Champion"), row(1, "Challenger")])
    log.write_labels([("r0", "-5", 2), ("r1", "250", 2)])
    found = log.look(range={"min": 0, "max": 100}, minEffect=10)

    assert (found["numbers"]["champion"], found["numbers"]["challenger"]) == (0.0, 100.0)
    assert "2 outcomes beyond the range count as its bound" in found["message"]


@pytest.mark.parametrize(
    ("metric", "more", "champion", "challenger"),
    [
        pytest.param("accuracy", {}, 0.0, 1.0, id="accuracy"),
        pytest.param("brier", {}, 0.64, 0.01, id="brier"),
        pytest.param("log_loss", {"range": {"max": 5}}, -np.log(0.2), -np.log(0.9), id="log loss"),
    ],
)
def test_metrics_of_answers_are_those_of_scikit_learn(
    log: ABTestLog, metric: str, more: dict[str, object], champion: float, challenger: float
) -> None:
    log.write_rows([row(0, "Champion", probability=0.2), row(1, "Challenger", probability=0.9)])
    log.write_labels([("r0", "1", 2), ("r1", "1", 2)])
    numbers = log.look(metric=metric, **more)["numbers"]

    assert (numbers["champion"], numbers["challenger"]) == pytest.approx((champion, challenger))
    assert numbers["effect"] == pytest.approx(abs(challenger - champion)), "a gain is above 0, also of a loss"


@pytest.mark.parametrize(
    ("rows", "labelled", "words"),
    [
        pytest.param([], (), "the log has no request of this test", id="no traffic"),
        pytest.param([TestedRow("x", 1, None, None)], (), "none of 1 rows names a unit; send the header", id="no unit"),
        pytest.param(rows_of_both(60), (), "no label has come for any unit of either arm in time; post them", id="no label"),
        pytest.param(rows_of_both(60), ("Champion",), "no label has come for any unit of the challenger's arm", id="labels of one arm alone"),
        pytest.param([row(number, "Champion") for number in range(60)], ("Champion",), "it has 0 % of the 60 units in the log, and 50 % are assigned to it", id="units of one arm alone"),
    ],
)  # fmt: skip
def test_what_keeps_a_test_from_ending_is_told(
    log: ABTestLog, rows: list[TestedRow], labelled: tuple[str, ...], words: str
) -> None:
    if rows:
        log.write_rows(rows)
    log.write_labels([("other", "1", 2), *((each.id, "1", each.second) for each in rows if each.arm in labelled)])
    found = log.look()

    assert (found["verdict"], words in found["message"]) == ("CannotMeasure", True), found["message"]
    last = log.look(final=True)
    assert (last["verdict"], words in last["message"]) == ("Inconclusive", True)


def test_rows_of_another_test_are_no_part_of_this_one(log: ABTestLog) -> None:
    log.write_rows(
        [row(0, "Champion"), row(1, "Challenger"), row(2, "Champion", test="t0"), row(3, "Champion", test=None)]
    )
    log.write_labels([(f"r{number}", "1", 5) for number in range(4)])

    assert log.look()["numbers"]["championAssigned"] == 1


def test_rows_that_another_artifact_of_that_name_answered_have_no_metric(log: ABTestLog) -> None:
    log.write_rows([row(0, "Champion", digest="sha256:2"), row(1, "Challenger")])
    log.write_labels([("r0", "1", 5), ("r1", "1", 5)])

    assert log.look(metric="accuracy")["numbers"]["championUnits"] == 0


def test_a_file_that_cannot_be_read_is_left_out(log: ABTestLog) -> None:
    log.write_rows([row(0, "Champion"), row(1, "Challenger")])
    log.write_labels([("r0", "1", 5), ("r1", "1", 5)])
    (log.root / "inputs" / "rows" / "z.parquet").write_bytes(b"no Parquet")

    assert log.look()["numbers"]["championUnits"] == 1


def test_labels_for_fewer_units_of_one_arm_hold_the_test_and_those_of_half_of_both_do_not(log: ABTestLog) -> None:
    rows = rows_of_both(1_000)
    labels = rewards(rows, {"Champion": 0.3, "Challenger": 0.6})
    log.write_rows(rows)
    log.write_labels([label for number, label in enumerate(labels) if number % 2 == 0 or number % 8 < 4])
    found = log.look()
    log.write_labels([label for number, label in enumerate(labels) if number % 4 < 2])

    words = "labels have come for 50 % of its units and for 100 % of the champion's, which is no chance"
    assert (found["verdict"], words in found["message"]) == ("CannotMeasure", True), found["message"]
    assert log.look()["verdict"] == "Better"


def test_the_operator_knows_how_long_the_log_takes() -> None:
    assert schema.LOG_SECONDS == LOG_SECONDS
