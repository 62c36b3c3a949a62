"""Which labels count: trusted sources decide, no other source decides more than its share, and nobody turns another's label."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_runtime.datasets.sql import connect
from flywheel_runtime.monitoring.labels.admission import Admitted, LabelPolicy, admit_labels
from flywheel_runtime.monitoring.labels.label_matching import Delay
from flywheel_runtime.monitoring.labels.source_shares import find_row_limit
from flywheel_runtime.monitoring.labels.sources import OutputNames, read_logged_rows, read_posted_labels
from tests.examples import examples
from tests.runtime.monitoring.labels.log_files import LoggedRow, PostedLabel, write_labels, write_rows

HOUR = 3_600
START = 1_800_000_000 - 1_800_000_000 % HOUR
CLAIMS, STRANGER, OTHER = (
    "system:serviceaccount:shop:claims",
    "system:serviceaccount:shop:stranger",
    "user-0123456789ab",
)
POLICY = LabelPolicy(Delay(0, HOUR))
TRUSTED = replace(POLICY, trusted_sources=(CLAIMS,))


def admit(
    folder: Path, rows: Sequence[LoggedRow], labels: Sequence[PostedLabel], policy: LabelPolicy = POLICY
) -> tuple[Admitted, dict[str, str]]:
    """What was admitted, and the label of each row that has one, by the id of its request."""
    with connect() as connection:
        read_logged_rows(connection, [write_rows(folder / "rows.parquet", rows)], OutputNames())
        read_posted_labels(connection, [write_labels(folder / "labels.parquet", labels)])
        admitted = admit_labels(connection, policy, [START], HOUR)
        query = "SELECT id, label FROM admitted JOIN logged ON logged.rowid = admitted.number ORDER BY id"
        return admitted, dict(connection.execute(query).fetchall())


@pytest.mark.parametrize(
    ("labels", "policy", "label", "refused", "overruled"),
    [
        pytest.param([("1", CLAIMS), ("1", STRANGER)], POLICY, "1", {}, 0, id="two sources agree"),
        pytest.param([("1", CLAIMS), ("0", STRANGER)], POLICY, None, {"conflicts": 1}, 0, id="neither of two counts"),
        pytest.param([("1", CLAIMS), ("0", STRANGER)], TRUSTED, "1", {}, 1, id="the trusted one decides"),
        pytest.param([("0", STRANGER), ("1", CLAIMS)], TRUSTED, "1", {}, 1, id="also if it comes later"),
        pytest.param([("0", STRANGER)], TRUSTED, "0", {}, 0, id="others count where it says nothing"),
        pytest.param([("1", CLAIMS), ("0", CLAIMS)], TRUSTED, None, {"conflicts": 1}, 0, id="it contradicts itself"),
        pytest.param(
            [("1", None), ("0", CLAIMS)], TRUSTED, "0", {}, 1, id="a file of an earlier release has no source"
        ),
    ],
)
def test_a_row_whose_sources_differ_has_the_label_of_the_trusted_one_or_none(
    labels: list[tuple[str, str | None]],
    policy: LabelPolicy,
    label: str | None,
    refused: dict[str, int],
    overruled: int,
    tmp_path: Path,
) -> None:
    posted = [PostedLabel(text, START + at, id="a", source=source) for at, (text, source) in enumerate(labels)]

    admitted, found = admit(tmp_path, [LoggedRow("a", START)], posted, policy)

    assert (found.get("a"), admitted.refused, admitted.overruled) == (label, refused, overruled)


def test_a_label_of_a_trusted_source_that_is_too_late_leaves_the_others_in_place(tmp_path: Path) -> None:
    posted = [
        PostedLabel("0", START, id="a", source=STRANGER),
        PostedLabel("1", START + HOUR + 1, id="a", source=CLAIMS),
    ]

    admitted, found = admit(tmp_path, [LoggedRow("a", START)], posted, TRUSTED)

    assert (found, admitted.overruled) == ({"a": "0"}, 0)
    assert [each.source for each in admitted.sources] == [STRANGER]


def test_a_flood_of_one_source_is_cut_to_its_share_and_named(tmp_path: Path) -> None:
    rows = [LoggedRow(f"{number:03}", START + number) for number in range(100)]
    posted = [PostedLabel("1", START + 200, id=row.id, source=CLAIMS) for row in rows[:20]]
    posted += [PostedLabel("0", START + 200, id=row.id, source=STRANGER) for row in rows[20:]]

    admitted, found = admit(tmp_path, rows, posted, replace(TRUSTED, max_source_share=0.2))

    assert (admitted.labels, admitted.refused) == (25, {"overShare": 75})  # 5 of 25 are a fifth
    assert list(found.values()).count("0") == 5
    [stranger, claims] = admitted.sources
    assert (stranger.source, stranger.alone, stranger.refused, round(stranger.largest, 3)) == (
        STRANGER,
        80,
        {"overShare": 75},
        0.8,
    )
    assert (claims.source, claims.is_trusted, claims.refused) == (CLAIMS, True, {})


def test_rows_on_which_a_second_source_agrees_count_for_no_share(tmp_path: Path) -> None:
    rows = [LoggedRow(f"{number:03}", START + number) for number in range(40)]
    posted = [PostedLabel("1", START + 200, id=row.id, source=source) for row in rows for source in (STRANGER, OTHER)]

    admitted, _ = admit(tmp_path, rows, posted, replace(POLICY, max_source_share=0.1))

    assert (admitted.labels, admitted.refused) == (40, {})


def test_where_some_are_trusted_two_others_that_agree_share_what_one_of_them_may_decide(tmp_path: Path) -> None:
    rows = [LoggedRow(f"{number:03}", START + number) for number in range(100)]
    posted = [PostedLabel("1", START + 200, id=row.id, source=CLAIMS) for row in rows[:20]]
    posted += [PostedLabel("0", START + 200, id=row.id, source=name) for row in rows[20:] for name in (STRANGER, OTHER)]

    admitted, found = admit(tmp_path, rows, posted, replace(TRUSTED, max_source_share=0.2))

    assert (admitted.labels, admitted.refused) == (25, {"overShare": 75})
    assert list(found.values()).count("0") == 5
    assert [(each.source, each.refused) for each in admitted.floods] == [(STRANGER, 75)]


@pytest.mark.parametrize("policy", [TRUSTED, replace(POLICY, max_source_share=0.2)], ids=["trusted", "share"])
def test_a_source_that_is_not_trusted_names_no_weight_of_its_rows(policy: LabelPolicy, tmp_path: Path) -> None:
    rows = [LoggedRow(f"{number:03}", START + number) for number in range(100)]
    posted = [PostedLabel("1", START + 200, id=row.id, source=CLAIMS, probability=0.5) for row in rows[:90]]
    posted += [PostedLabel("0", START + 200, id=row.id, source=STRANGER, probability=1e-6) for row in rows[90:]]
    posted += [PostedLabel("1", START + 200, id=row.id, source=STRANGER, probability=1e-6) for row in rows[:90]]

    admitted, found = admit(tmp_path, rows, posted, policy)

    counted = 90 if policy.trusted_sources else 0
    assert (admitted.refused, len(found)) == ({"untrustedDraw": 100 - counted}, counted)


def test_without_guards_every_draw_counts(tmp_path: Path) -> None:
    admitted, _ = admit(tmp_path, [LoggedRow("a", START)], [PostedLabel("1", START, id="a", probability=0.1)])

    assert (admitted.labels, admitted.refused) == (1, {})


def test_the_share_is_that_of_one_version_so_that_a_flood_hides_in_no_other(tmp_path: Path) -> None:
    rows = [LoggedRow(f"c{number:03}", START + number) for number in range(90)]
    rows += [LoggedRow(f"n{number:03}", START + number, version="v2") for number in range(10)]
    posted = [PostedLabel("1", START + 200, id=row.id, source=CLAIMS) for row in rows[:90]]
    posted += [PostedLabel("0", START + 200, id=row.id, source=STRANGER) for row in rows[90:]]

    admitted, found = admit(tmp_path, rows, posted, replace(TRUSTED, max_source_share=0.2))

    assert (admitted.labels, admitted.refused) == (90, {"overShare": 10})
    assert set(found.values()) == {"1"}


def test_numbers_outside_the_range_of_a_version_are_outliers(tmp_path: Path) -> None:
    rows = [LoggedRow(each, START, version=version) for each, version in (("a", "v1"), ("b", "v1"), ("c", "v2"))]
    posted = [PostedLabel(text, START, id=id) for text, id in (("5", "a"), ("1e6", "b"), ("1e6", "c"))]

    admitted, found = admit(tmp_path, rows, posted, replace(POLICY, ranges={"v1": (-10.0, 10.0)}))

    assert (found, admitted.refused) == ({"a": "5", "c": "1e6"}, {"outliers": 1})


@given(
    st.lists(st.integers(0, 500), max_size=6), st.integers(0, 500), st.sampled_from([0.0, 0.05, 0.2, 1 / 3, 0.5, 0.9])
)
@settings(max_examples=examples(200, ci=40))
def test_the_row_limit_is_the_largest_with_which_no_source_has_more_than_its_share(
    alone: list[int], others: int, share: float
) -> None:
    limit = find_row_limit(alone, others, share)

    def holds(most: int) -> bool:
        return most <= share * (others + sum(min(each, most) for each in alone))

    assert holds(limit)
    assert limit == max(alone, default=0) or not any(holds(most) for most in range(limit + 1, max(alone) + 1))


def test_without_a_limit_all_rows_of_the_only_source_count(tmp_path: Path) -> None:
    rows = [LoggedRow(f"{number:03}", START + number) for number in range(10)]

    admitted, _ = admit(tmp_path, rows, [PostedLabel("1", START + 20, id=row.id) for row in rows])

    assert (admitted.labels, admitted.refused) == (10, {})
    [nobody] = admitted.sources
    assert (nobody.source, nobody.rows, nobody.largest) == ("", 10, 1.0)
