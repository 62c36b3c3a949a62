"""The order of the codes of categories, which trees compare."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flywheel_runtime.datasets import features
from flywheel_runtime.datasets.target import order_by_target

CUTS = ("Fair", "Good", "Ideal")  # by their price, the lowest first; Good is the most frequent, then Ideal


def diamonds() -> str:
    """A number `price`, a class `sold`, and the category `cut`."""
    cuts = ["Good"] * 5 + ["Ideal"] * 3 + ["Fair"] * 2
    rows = [(n, cuts[n % 10], CUTS.index(cuts[n % 10]) * 100 + n % 7) for n in range(400)]
    return "id,cut,price,sold\n" + "".join(f"{n},{cut},{price}.5,{price % 2}\n" for n, cut, price in rows)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param("price", CUTS, id="a number: by its mean"),
        pytest.param("sold", ("Good", "Ideal", "Fair"), id="classes: the most frequent first"),
    ],
)
def test_codes_follow_the_target(checked: Callable[..., Path], target: str, expected: tuple[str, ...]) -> None:
    data = features.open_data(checked({"a.csv": diamonds()}, target=target, keys=["id"]), None)

    assert [feature.categories for feature in data.features if feature.name == "cut"] == [expected]
    data.connection.close()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param({0: (30, 5.0), 1: (30, 1.0), 2: (30, 3.0)}, [1, 2, 0], id="by their means"),
        pytest.param({0: (30, 5.0), 1: (19, -1.0), 2: (30, 1.0)}, [2, 1, 0], id="few rows do not place a category"),
        pytest.param({0: (1, 9.0), 1: (1, 1.0), 2: (1, 5.0)}, [0, 1, 2], id="identifiers stay as they are"),
        pytest.param({1: (30, 1.0), 2: (30, 2.0)}, [1, 0, 2], id="a category without rows"),
        pytest.param({}, [0, 1, 2], id="no rows"),
    ],
)
def test_categories_are_in_the_order_of_their_mean_target(
    rows: dict[int, tuple[int, float]], expected: list[int]
) -> None:
    codes = np.repeat(list(rows), [count for count, _ in rows.values()]).astype(np.int64)
    targets = np.repeat([value for _, value in rows.values()], [count for count, _ in rows.values()])

    assert order_by_target(codes, targets, 3) == expected
