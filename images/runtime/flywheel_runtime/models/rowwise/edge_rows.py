"""Rows at which an expression may differ: around its own literals, NULL for each column, not finite, and the ends of each type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.features.bound_plan import Literal

Array = NDArray[Any]
COMBINATIONS = 512
SEED = 19
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000  # microseconds
DAY = 24 * HOUR
REALS = (
    np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 10.0, 100.0, 2.0**31, -(2.0**31) - 0.5, 2.0**53,
    2.0**63, 1e300, -1e300, 1.7976931348623157e308, 5e-324, 0.1, 2.675, 3.4028235677973366e38, 1e15 + 0.3,
)  # fmt: skip
WHOLE_NUMBERS = (
    np.nan, np.inf, 0, 1, -1, 2, 3, 7, 10, 100, 127, -128, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**53 - 1, 2**53, -(2**53),
    2**53 + 2, 1e300,
)  # fmt: skip
FLAGS = (np.nan, 0.0, 1.0, 2.0, -1.0)
TIMES = (np.nan, np.inf, 0, -1, 1, DAY - 1, -DAY, 2**53, -(2**53), 2**53 + 2, -62135596800000000)
TEXTS = ("", "a", "b", "A", "ab", " ", "1", "12", "-0.5", "Ä", "é", "日本語")
MAX_LETTERS = 200  # of a literal that is tried


@dataclass(frozen=True)
class Candidates:
    """Values of each type that the literals of expressions suggest: numbers, times in microseconds, and texts."""

    numbers: tuple[float, ...]
    times: tuple[int, ...]
    texts: tuple[str, ...]


def make_edge_rows(types: Mapping[str, str], literals: Sequence[Literal]) -> dict[str, Array]:
    """Rows as requests bring them, each column (rows, 1): each edge of each column once, all NULL, and random combinations of edges."""
    candidates = _read_literals(literals)
    edges = {name: _column_edges(column_type, candidates) for name, column_type in types.items()}
    random = np.random.default_rng(SEED)
    count = 1 + sum(len(values) for values in edges.values()) + COMBINATIONS
    chosen = {name: random.integers(0, len(values), count) for name, values in edges.items()}
    row = 1
    for name, values in edges.items():
        chosen[name][0] = 0  # the first edge is NULL
        chosen[name][row : row + len(values)] = np.arange(len(values))
        row += len(values)
    return {name: values[chosen[name]].reshape(-1, 1) for name, values in edges.items()}


def _read_literals(literals: Sequence[Literal]) -> Candidates:
    numbers, times, texts = set[float](), set[int](), set[str]()
    for literal in literals:
        name, value = literal.type.name, literal.value
        if name == "VARCHAR":
            texts.add(str(value)[:MAX_LETTERS])
            times.update(_parse_time(str(value)))
        elif name == "DATE":
            times.add(int(value) * DAY)
        elif literal.type.is_timestamp:
            times.add(int(value))
        elif name != "BOOLEAN":
            numbers.add(float(value) / 10**literal.type.scale)
    return Candidates(tuple(sorted(numbers)), tuple(sorted(times)), tuple(sorted(texts)))


def _parse_time(text: str) -> list[int]:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return []
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return [(aware - EPOCH) // timedelta(microseconds=1)]


def _column_edges(column_type: str, candidates: Candidates) -> Array:
    match column_type:
        case "VARCHAR":
            return np.array(list(dict.fromkeys((*TEXTS, *_near_texts(candidates.texts)))), dtype=object)
        case "BOOLEAN":
            return np.array(FLAGS)
        case "TIMESTAMP":
            near = [each + step for each in candidates.times for step in (-DAY, -1, 0, 1, DAY)]
            return np.array([*TIMES, *_calendar_times(), *near], dtype=np.float64)
        case "BIGINT":
            around = [np.round(each) + step for each in candidates.numbers for step in (-1, 0, 1)]
            return np.array([*WHOLE_NUMBERS, *around], dtype=np.float64)
        case _:
            near = [np.nextafter(each, side) for each in candidates.numbers for side in (-np.inf, each, np.inf)]
            return np.array([*REALS, *near, *(-each for each in candidates.numbers)], dtype=np.float64)


def _near_texts(texts: Sequence[str]) -> list[str]:
    """Texts that are equal to a literal or a pattern, begin or end with it, or differ from it in case."""
    plain = [text.strip("%^$.*") for text in texts]
    found = [text for each in (*texts, *plain) for text in (each, each.lower(), each.upper(), f"{each}x", f"x{each}")]
    return [*found, *(each[:-1] for each in plain)]


def _calendar_times() -> list[int]:
    """Around each hour of a day, each month of two years, and leap days."""
    day = (datetime(2020, 3, 5, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    starts = [day + hour * HOUR for hour in range(24)]
    months = [datetime(year, month, 1, tzinfo=UTC) for year in (2023, 2024) for month in range(1, 13)]
    days = [*months, *(datetime(year, 2, 28, tzinfo=UTC) + timedelta(days=1) for year in (1900, 2000, 2024, 2100))]
    starts += [(each - EPOCH) // timedelta(microseconds=1) for each in days]
    return [start + step for start in starts for step in (-1, 0)]
