"""How likely each row is drawn, and how many labels a precision takes."""

import math
import random
from collections import Counter

import pytest

from flywheel.client.labels.label_sampling import (
    RowClass,
    allocate_labels,
    classify_row,
    count_labels_for,
    random_number,
)


def population(rows: int = 4_000) -> Counter[RowClass]:
    """Rows of a model that is sure of most of them."""
    draws = random.Random(1)
    errors = [draws.betavariate(0.3, 3) / 2 for _ in range(rows)]
    return Counter(classify_row("accuracy", (1 - error, error)) for error in errors)


@pytest.mark.parametrize("labels", [10, 200, 3_999, 4_000, 9_000])
def test_the_allocation_is_of_as_many_labels_as_asked_for(labels: int) -> None:
    found = allocate_labels(population(), labels)

    assert found.expected_labels == pytest.approx(min(labels, 4_000), rel=1e-6)
    assert all(0 < chance <= 1 for chance in found.probabilities.values())


def test_each_group_has_labels() -> None:
    rows = population()
    few = RowClass(0.01, 0.01, "few")
    rows[few] = 40

    found = allocate_labels(rows, 150)

    assert found.probabilities[few] * 40 >= 5 - 1e-9
    assert found.expected_labels == pytest.approx(150, rel=1e-6)


def test_more_labels_draw_no_row_less() -> None:
    rows = population()
    small, large = allocate_labels(rows, 100).probabilities, allocate_labels(rows, 150).probabilities

    assert all(small[each] <= large[each] + 1e-12 for each in rows)


def test_no_row_counts_for_more_than_a_few_uniform_ones() -> None:
    found = allocate_labels(population(), 200)

    assert min(found.probabilities.values()) >= 0.3 * 200 / 4_000 - 1e-12


def test_few_labels_of_very_many_rows_have_probabilities_that_a_server_takes() -> None:
    rows = Counter({RowClass(0.01, 0.01): 10_000_000.0, RowClass(0.5, 0.5): 100_000.0})

    assert min(allocate_labels(rows, 10).probabilities.values()) >= 1e-6


def test_the_model_s_doubt_saves_labels() -> None:
    rows = population()
    alike = {RowClass(0.045, 0.045): 4_000.0}

    assert count_labels_for(rows, 0.02) < 0.75 * count_labels_for(alike, 0.02)


def test_a_precision_takes_as_many_labels_as_its_allocation_says() -> None:
    rows = population()
    labels = count_labels_for(rows, 0.02)

    assert allocate_labels(rows, labels).half_width <= 0.02 < allocate_labels(rows, labels - 1).half_width
    assert count_labels_for(rows, 1e-9) == 4_000


@pytest.mark.parametrize(
    ("metric", "probabilities", "expected"),
    [
        pytest.param("accuracy", (0.99, 0.01), RowClass(0.01, 0.01), id="a sure row has little loss"),
        pytest.param("roc_auc", (0.5, 0.5), RowClass(0.5, 0.5), id="roc_auc is drawn by the 0-1 loss"),
        pytest.param("brier", (0.5, 0.5), RowClass(0.25, 0.062), id="brier of two classes"),
        pytest.param("brier", (1.0, 0.0, 0.0), RowClass(0.0, 0.0), id="brier of three classes"),
        pytest.param("log_loss", (0.5, 0.5), RowClass(0.69, 0.48), id="log_loss"),
        pytest.param("log_loss", (1.0, 0.0), RowClass(0.0, 0.0), id="log_loss of a sure row"),
    ],
)
def test_the_expected_loss_of_a_row(metric: str, probabilities: tuple[float, ...], expected: RowClass) -> None:
    assert classify_row(metric, probabilities) == expected


def test_random_numbers_are_uniform_and_the_same_every_time() -> None:
    found = [random_number("uid", f"r-{number}", 0) for number in range(2_000)]

    assert found == [random_number("uid", f"r-{number}", 0) for number in range(2_000)]
    assert found != [random_number("other", f"r-{number}", 0) for number in range(2_000)]
    assert all(0 <= each < 1 for each in found)
    assert sum(found) / len(found) == pytest.approx(0.5, abs=4 / math.sqrt(12 * len(found)))
