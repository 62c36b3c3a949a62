"""The join of logged rows with labels: which row has which label, what is counted of the others, and the same bytes every time."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.datasets.sql import connect
from flywheel_runtime.monitoring.labels.admission import LabelPolicy
from flywheel_runtime.monitoring.labels.join import JoinedWindows, join_labels
from flywheel_runtime.monitoring.labels.label_matching import Delay
from flywheel_runtime.monitoring.labels.labelled_curves import describe_slices
from flywheel_runtime.monitoring.labels.performance import PerformanceTarget, TestMetric, measure_performance
from flywheel_runtime.monitoring.labels.sources import (
    DatasetLabels,
    OutputNames,
    read_dataset_labels,
    read_logged_rows,
    read_posted_labels,
)
from flywheel_runtime.monitoring.labels.window_rows import LoggedVersion, find_class, read_answered_rows
from tests.examples import examples
from tests.runtime.monitoring.labels.log_files import LoggedRow, PostedLabel, write_labels, write_rows

HOUR = 3_600
START = 1_800_000_000 - 1_800_000_000 % HOUR
DELAY = Delay(0, 2 * HOUR)
VERSIONS = {"v1": LoggedVersion(("0", "1"))}


def join(
    row_files: Sequence[Path],
    label_files: Sequence[Path],
    delay: Delay = DELAY,
    versions: dict[str, LoggedVersion] | None = None,
    starts: Sequence[int] = (START,),
) -> JoinedWindows:
    with connect() as connection:
        read_logged_rows(connection, row_files, OutputNames(), ("region",))
        read_posted_labels(connection, label_files)
        return join_labels(connection, versions or VERSIONS, starts, HOUR, LabelPolicy(delay), ("region",))


def join_all(folder: Path, rows: Sequence[LoggedRow], labels: Sequence[PostedLabel], **more: object) -> JoinedWindows:
    return join([write_rows(folder / "rows.parquet", rows)], [write_labels(folder / "labels.parquet", labels)], **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", ["rmse", "mae", "mape"])
@pytest.mark.parametrize("probability", [None, 0.5], ids=["labelled anyway", "drawn"])
def test_a_label_beyond_all_others_gives_numbers_that_are_finite(
    tmp_path: Path, metric: str, probability: float | None
) -> None:
    rows = [LoggedRow(str(number), START + number) for number in range(50)]
    labels = [PostedLabel("1.5" if number else "-1e300", START + 99, id=str(number), probability=probability) for number in range(50)]  # fmt: skip
    [window] = join_all(tmp_path, rows, labels, versions={"v1": LoggedVersion()}).windows
    performance = measure_performance(window, PerformanceTarget(metric, 0.1), TestMetric(0.5, 1_000))

    _, outcome = performance.observe(None, 0.01, 30)

    assert (window.counts.labelled, window.counts.invalid) == (49, 1)
    assert outcome.log10_evidence is not None
    assert np.isfinite([*performance.losses, performance.drop, outcome.log10_evidence]).all()
    assert np.isfinite([performance.interval.low, performance.interval.high]).all()
    assert [each for each in describe_slices([window], metric, ("region",), 30) if not np.isfinite(each.get("value", 0.0))] == []  # fmt: skip


def test_rows_of_another_server_need_neither_id_nor_row_where_no_label_names_them(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "logged.parquet", [LoggedRow("a", START, 0.9), LoggedRow("b", START + 1, 0.2)])
    file = tmp_path / "rows.parquet"
    with connect() as connection:
        connection.execute(f"COPY (SELECT time, version, features, outputs FROM '{rows}') TO '{file}' (FORMAT parquet)")
        read_logged_rows(connection, [file], OutputNames(), ("region",))
        [found] = read_answered_rows(connection, VERSIONS, [START], HOUR, ("region",))

    assert (found.logged, found.predicted.tolist()) == (2, [1, 0])
    names, numbers = found.groups["region"]
    assert [names[number] for number in numbers] == ["north", "north"]


def test_labels_join_by_id_and_row_and_by_key(tmp_path: Path) -> None:
    rows = [LoggedRow("a", START, 0.9), LoggedRow("a", START, 0.2, row=1), LoggedRow("b", START + 5, 0.7, key="UA-7")]
    labels = [PostedLabel("0", START + 9, id="a", row=1), PostedLabel("1", START + 9, id="a"), PostedLabel("1.0", START + 9, key="UA-7")]  # fmt: skip

    joined = join_all(tmp_path, rows, labels)

    [window] = joined.windows
    assert (window.counts.rows, window.counts.labelled, joined.unknown) == (3, 3, 0)
    assert window.scored.y_true.tolist() == [1, 0, 1]
    assert window.scored.probabilities[:, 1] == pytest.approx([0.9, 0.2, 0.7])
    assert window.groups["region"][0] == ["north", "(other)"]


@pytest.mark.parametrize(
    ("labels", "counted"),
    [
        pytest.param([], {}, id="none"),
        pytest.param([("1", 5), ("1", 6), ("1", 7)], {"labelled": 1, "duplicates": 2}, id="the same again"),
        pytest.param([("1", 5), ("0", 6)], {"conflicts": 1}, id="another one"),
        pytest.param([("1", 2 * HOUR), ("0", 2 * HOUR + 1)], {"labelled": 1, "tooLate": 1}, id="another one too late"),
        pytest.param([("1", 2 * HOUR + 1)], {"tooLate": 1}, id="too late"),
        pytest.param([("late", 5)], {"invalid": 1}, id="no class"),
        pytest.param([("true", 5)], {"labelled": 1}, id="a Boolean"),
    ],
)
def test_every_label_is_counted(labels: list[tuple[str, int]], counted: dict[str, int], tmp_path: Path) -> None:
    posted = [PostedLabel(text, START + seconds, id="a") for text, seconds in labels]

    [window] = join_all(tmp_path, [LoggedRow("a", START)], posted).windows

    zero = dict.fromkeys(("labelled", "conflicts", "invalid", "ambiguous", "unanswered", "duplicates", "tooLate"), 0)
    counts = window.counts.to_json()
    assert {name: counts[name] for name in zero} == {**zero, **counted}
    assert counts["coverage"] == counted.get("labelled", 0)


def test_an_id_that_several_requests_had_names_no_row(tmp_path: Path) -> None:
    rows = [LoggedRow("1", START), LoggedRow("1", START + 1), LoggedRow("2", START)]

    [window] = join_all(tmp_path, rows, [PostedLabel("1", START, id=each) for each in ("1", "2")]).windows

    assert (window.counts.labelled, window.counts.ambiguous) == (1, 2)


def test_labels_of_no_row_are_unknown_and_those_of_another_window_are_not(tmp_path: Path) -> None:
    rows = [LoggedRow("a", START), LoggedRow("earlier", START - 1)]
    labels = [PostedLabel("1", START, id=each) for each in ("a", "earlier", "made-up")]

    joined = join_all(tmp_path, rows, [*labels, PostedLabel("1", START, key="nobody")])

    assert (joined.labels, joined.unknown) == (4, 2)
    assert [each.counts.rows for each in joined.windows] == [1]


@pytest.mark.parametrize("by", ["id", "key"])
def test_a_subject_that_many_rows_and_labels_share_costs_no_more_than_others(tmp_path: Path, by: str) -> None:
    rows = [LoggedRow("a" if by == "id" else f"r{at}", START + at % HOUR, key="carrier") for at in range(4_000)]
    shared = PostedLabel("1", START, id="a") if by == "id" else PostedLabel("1", START, key="carrier")
    labels = [replace(shared, second=START + at) for at in range(4_000)]
    row_file, label_file = write_rows(tmp_path / "r.parquet", rows), write_labels(tmp_path / "l.parquet", labels)

    with connect(tmp_path, memory_fraction=0.5) as connection:
        connection.execute("SET memory_limit = '64MiB'; SET max_temp_directory_size = '0KiB'")
        read_logged_rows(connection, [row_file], OutputNames(), ("region",))
        read_posted_labels(connection, [label_file])
        [window] = join_labels(connection, VERSIONS, [START], HOUR, LabelPolicy(DELAY)).windows

    expected = (0, 4_000) if by == "id" else (4_000, 0)
    assert (window.counts.labelled, window.counts.ambiguous) == expected


def test_rows_without_an_output_are_not_compared(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "a.parquet", [LoggedRow("a", START)])
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * REPLACE ({{'label': NULL::BIGINT, 'probabilities': NULL::FLOAT[]}} AS outputs) FROM '{rows}') TO '{tmp_path}/b.parquet'"
        )
    labels = [write_labels(tmp_path / "labels.parquet", [PostedLabel("1", START, id="a")])]

    [window] = join([tmp_path / "b.parquet"], labels).windows

    assert (window.counts.labelled, window.counts.unanswered) == (0, 1)


def test_versions_with_other_outputs_are_read_from_the_same_folder(tmp_path: Path) -> None:
    files = [write_rows(tmp_path / "a.parquet", [LoggedRow("a", START)])]
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT 'b' AS id, 0 AS row, to_timestamp($1) AS time, 'v2' AS version, NULL::VARCHAR AS digest, "
            f"{{'prediction': 7.5::FLOAT}} AS outputs) TO '{tmp_path}/b.parquet'",
            [START],
        )
    files.append(tmp_path / "b.parquet")
    labels = [PostedLabel("1", START, id="a"), PostedLabel("8", START, id="b")]

    joined = join(
        files, [write_labels(tmp_path / "labels.parquet", labels)], versions={**VERSIONS, "v2": LoggedVersion()}
    )

    first, second = joined.windows
    assert (first.version, first.scored.is_binary) == ("v1", True)
    assert (second.version, second.scored.y_true.tolist(), second.scored.predicted.tolist()) == ("v2", [8.0], [7.5])


def test_rows_that_another_artifact_answered_are_of_no_version_and_their_labels_are_known(tmp_path: Path) -> None:
    rows = [
        LoggedRow("a", START, digest="sha256:1"),
        LoggedRow("b", START, digest="sha256:2"),
        LoggedRow("c", START, digest=""),
    ]
    row_file = write_rows(tmp_path / "rows.parquet", rows)
    label_file = write_labels(tmp_path / "labels.parquet", [PostedLabel("1", START, id=each) for each in "abc"])

    with connect() as connection:
        read_logged_rows(connection, [row_file], OutputNames(), digests={"v1": "sha256:1", "v2": "sha256:2"})
        read_posted_labels(connection, [label_file])
        joined = join_labels(connection, VERSIONS, [START], HOUR, LabelPolicy(DELAY))

    [window] = joined.windows
    assert (window.counts.rows, window.counts.labelled, joined.unknown) == (2, 2, 0)


def test_numbers_are_grouped_by_ranges_and_all_answered_rows_without_labels(tmp_path: Path) -> None:
    values = ["1", "2.5", "4", "nan", "x", None]
    rows = [LoggedRow(f"r{at}", START + at, 0.2 * at, region=value) for at, value in enumerate(values)]
    version = LoggedVersion(("0", "1"), {"region": (2.0, 4.0)})

    with connect() as connection:
        read_logged_rows(connection, [write_rows(tmp_path / "rows.parquet", rows)], OutputNames(), ("region",))
        [found] = read_answered_rows(connection, {"v1": version}, [START], HOUR, ("region",))

    names, numbers = found.groups["region"]
    assert [names[number] for number in numbers] == ["< 2", "2 to 4", "≥ 4", "(missing)", "(no number)", "(missing)"]
    assert (found.logged, found.predicted.tolist()) == (6, [0, 0, 0, 1, 1, 1])


def test_rows_of_a_dataset_are_labels_by_key(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.parquet", [LoggedRow("a", START, key="7"), LoggedRow("b", START, key="8")])
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT 7 AS flight, 1 AS late UNION ALL SELECT 9, 0 UNION ALL SELECT 8, NULL) TO '{tmp_path}/train.parquet'")  # fmt: skip

    with connect() as connection:
        read_logged_rows(connection, [file], OutputNames())
        read_dataset_labels(connection, DatasetLabels([tmp_path / "train.parquet"], "flight", "late"))
        joined = join_labels(connection, VERSIONS, [START], HOUR, LabelPolicy(DELAY))

    [window] = joined.windows
    assert (window.counts.rows, window.counts.labelled, joined.unknown) == (2, 1, 1)


def test_a_row_of_several_draws_has_the_largest_probability_and_may_be_in_both_samples(tmp_path: Path) -> None:
    rows = [LoggedRow(name, START + at, 0.9) for at, name in enumerate("abcd")]
    first = [PostedLabel("1", START + 9, id=name, probability=0.2) for name in "ab"]
    again = [PostedLabel("1", START + 9, id="a", probability=0.5), PostedLabel("1", START + 9, id="c")]
    late = [PostedLabel("1", START + 9 * HOUR, id="c", probability=0.9)]
    files = [write_labels(tmp_path / f"{at}.parquet", each) for at, each in enumerate((first, [*again, *late]))]
    earlier = write_labels(tmp_path / "earlier.parquet", [PostedLabel("1", START + 9, id="b")])

    joined = join([write_rows(tmp_path / "rows.parquet", rows)], [*files, earlier])

    [window] = joined.windows
    assert (window.counts.labelled, window.counts.drawn, window.counts.duplicates) == (3, 2, 2)
    assert window.counts.redrawn == 1
    assert window.sample.probabilities is not None
    assert window.sample.is_uniform is not None
    assert window.sample.probabilities == pytest.approx([0.5, 0.2, np.nan], nan_ok=True)
    assert window.sample.is_uniform.tolist() == [False, True, True]


def test_without_a_drawn_row_all_rows_count_alike(tmp_path: Path) -> None:
    [window] = join_all(tmp_path, [LoggedRow("a", START)], [PostedLabel("1", START, id="a")]).windows

    assert (window.weights, window.counts.drawn) == (None, 0)


@pytest.mark.parametrize("probability", [1e-310, 9e-7, 0.0, -0.5, 1.5, np.nan, np.inf])
def test_a_stored_label_with_a_probability_that_no_draw_has_is_invalid(probability: float, tmp_path: Path) -> None:
    """A file of an earlier release may have one: alone it gives its row no label, and beside another one it adds nothing."""
    rows = [LoggedRow(name, START + at, 0.9) for at, name in enumerate("abc")]
    stored = [PostedLabel("1", START + 9, id=name, probability=probability) for name in "ab"]
    usable = [PostedLabel("1", START + 9, id=name, probability=0.25) for name in "bc"]

    [window] = join_all(tmp_path, rows, [*stored, *usable]).windows

    assert (window.counts.labelled, window.counts.invalid, window.counts.drawn) == (2, 1, 2)
    assert window.sample.probabilities == pytest.approx([0.25, 0.25])
    assert window.sample.is_uniform is not None
    assert not window.sample.is_uniform.any()


@pytest.mark.parametrize(("label", "invalid"), [("1e36", 0), ("-1e38", 1), ("1e200", 1), ("inf", 1), ("nan", 1)])
def test_a_true_value_whose_squared_error_has_no_sum_is_invalid(label: str, invalid: int, tmp_path: Path) -> None:
    labels = [PostedLabel(label, START + 9, id="a"), PostedLabel("2", START + 9, id="b")]
    rows = [LoggedRow("a", START), LoggedRow("b", START)]

    [window] = join_all(tmp_path, rows, labels, versions={"v1": LoggedVersion()}).windows

    assert (window.counts.labelled, window.counts.invalid) == (2 - invalid, invalid)


@pytest.mark.parametrize("given", ["0", "1.5", "'much'", "-0.1", "1e-310", "9e-7", "'nan'::DOUBLE"])
def test_a_probability_that_is_none_is_refused_since_its_label_would_count_as_of_a_fair_sample(
    given: str, tmp_path: Path
) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT 'a' AS flight, 1 AS late, {given} AS chance) TO '{tmp_path / 'train.parquet'}'"
        )

    with (
        connect() as connection,
        pytest.raises(Undefined, match="Column 'chance'"),
    ):
        read_dataset_labels(connection, DatasetLabels([tmp_path / "train.parquet"], "flight", "late", "chance"))


def test_rows_of_a_dataset_are_drawn_where_they_have_a_probability(tmp_path: Path) -> None:
    rows = [LoggedRow(name, START, key=name) for name in "ab"]
    with duckdb.connect() as connection:
        given = "SELECT * FROM (VALUES ('a', 1, 0.25), ('b', 0, NULL)) AS given (flight, late, chance)"
        connection.execute(f"COPY ({given}) TO '{tmp_path / 'train.parquet'}'")
    file = write_rows(tmp_path / "rows.parquet", rows)

    with connect() as connection:
        read_logged_rows(connection, [file], OutputNames())
        read_dataset_labels(connection, DatasetLabels([tmp_path / "train.parquet"], "flight", "late", "chance"))
        [window] = join_labels(connection, VERSIONS, [START], HOUR, LabelPolicy(DELAY)).windows

    assert (window.counts.labelled, window.counts.drawn) == (2, 1)


IDS = st.sampled_from([f"r{number}" for number in range(6)])
ROWS = st.lists(
    st.builds(LoggedRow, IDS, st.integers(START - 10, START + HOUR + 10), st.floats(0, 1, width=32), st.integers(0, 1), st.sampled_from([None, "k1", "k2"])),
    max_size=12,
)  # fmt: skip
LABELS = st.lists(
    st.one_of(
        st.builds(PostedLabel, st.sampled_from(["0", "1", "x"]), st.integers(START, START + 3 * HOUR), IDS, st.integers(0, 1), st.none(), st.sampled_from([None, 0.2, 1.0])),
        st.builds(PostedLabel, st.sampled_from(["0", "1"]), st.integers(START, START + 3 * HOUR), st.none(), st.just(0), st.sampled_from(["k1", "k3"])),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=examples(40, ci=8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, labels=LABELS, random=st.randoms(use_true_random=False))
def test_any_order_of_rows_and_files_gives_the_same_bytes(
    rows: list[LoggedRow], labels: list[PostedLabel], random: st.DataObject, tmp_path: Path
) -> None:
    contents = []
    for cut in (0, 1):
        row_files = [write_rows(tmp_path / f"{cut}-{part}.parquet", each) for part, each in enumerate(_cut(rows, cut))]
        label_files = [write_labels(tmp_path / f"l{cut}-{part}.parquet", each) for part, each in enumerate(_cut(labels, cut))]  # fmt: skip
        joined = join(row_files[:: -1 if cut else 1], label_files)
        contents.append((joined.labels, joined.unknown, [window.content() for window in joined.windows]))
        random.shuffle(rows)  # type: ignore[attr-defined]
        random.shuffle(labels)  # type: ignore[attr-defined]

    assert contents[0] == contents[1]


def _cut(items: list[Any], cut: int) -> list[list[Any]]:
    return [items[: len(items) // 2], items[len(items) // 2 :]] if cut else [items]


@settings(max_examples=examples(40, ci=8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, labels=LABELS)
def test_rows_are_labelled_as_by_one_row_after_the_other(
    rows: list[LoggedRow], labels: list[PostedLabel], tmp_path: Path
) -> None:
    joined = join_all(tmp_path, rows, labels)

    matched = {at: [r for r in rows if names(label, r)] for at, label in enumerate(labels)}
    ambiguous = [r for at, found in matched.items() if labels[at].id is not None and len(found) > 1 for r in found]
    truths = []
    for row in rows:
        texts = {lb.label for lb in labels if names(lb, row) and lb.second <= row.second + DELAY.max_seconds}
        if (
            START <= row.second < START + HOUR
            and len(texts) == 1
            and texts <= {"0", "1"}
            and not any(row is each for each in ambiguous)
        ):
            truths.append((int(next(iter(texts))), round(float(np.float32(row.probability)), 5)))
    found = [
        (int(truth), round(float(score), 5))
        for window in joined.windows
        for truth, score in zip(window.scored.y_true, window.scored.probabilities[:, 1], strict=True)
    ]
    assert sorted(found) == sorted(truths)
    assert joined.unknown == sum(not each for each in matched.values())


def names(label: PostedLabel, row: LoggedRow) -> bool:
    """Whether the label is for the row."""
    if label.id is not None:
        return (label.id, label.row) == (row.id, row.row)
    return label.key is not None and label.key == row.key


@pytest.mark.parametrize(
    ("text", "classes", "number"),
    [("late", ("late", "on-time"), 0), ("1.0", ("0", "1"), 1), ("true", ("0", "1"), 1), ("2", ("0", "1"), None), ("True", ("false", "true"), 1), ("nan", ("0", "1"), None)],
)  # fmt: skip
def test_a_label_names_a_class(text: str, classes: tuple[str, ...], number: int | None) -> None:
    assert find_class(text, classes) == number
