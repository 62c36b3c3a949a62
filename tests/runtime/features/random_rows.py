"""Rows of every type with NULL, NaN, infinities and the ends of each type, in a DuckDB of their own."""

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

COLUMNS = {
    **dict.fromkeys("ab", "DOUBLE"),
    **dict.fromkeys("fg", "FLOAT"),
    **dict.fromkeys("ij", "INTEGER"),
    **dict.fromkeys("pq", "BIGINT"),
    **dict.fromkeys("vw", "TINYINT"),
    **dict.fromkeys("su", "VARCHAR"),
    **dict.fromkeys("de", "DECIMAL(10,2)"),
    **dict.fromkeys("kl", "BOOLEAN"),
    "big": "DECIMAL(18,4)",
    "n": "UINTEGER",
    "ts": "TIMESTAMP",
    "tt": "TIMESTAMP",
    "dt": "DATE",
    "du": "DATE",
}
REALS = (
    np.nan, np.inf, -np.inf, 0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3.5, 1e308, -1e308, 1.7976931348623157e308, 5e-324,
    2.2250738585072014e-308, 0.49999999999999994, -0.49999999999999994, 4503599627370495.5, 9007199254740993, 2**31, 2**31 - 0.5,
    -(2**31) - 0.5, 2147483647.5, 2.0**63, -(2.0**63), 1e15 + 0.3, 0.1, 0.15, 2.675, 1.005, 100, 10, 8, 3.4028235677973366e38,
    3.4028234e38, 1e-45,
)  # fmt: skip
TEXTS = (
    "", "a", "b", "c", "abc", "ABC", "aXb", "a_b", "a%b", "a\nb", "x", "xabcx", "Ünïcode", "straße", "STRASSE", "İstanbul", "\u0131I",
    "ǆ", "Σας", "é", "e\u0301", "日本語", "k", "\u017f", "s", " 12 ", "12", "1e3", "-0.5", "nan", "inf", "1_000", "0x10", "1e400",
    "+5", ".5", "5.", "abc ", "\t", "'", "\\", "a.b", "(a)", "\uff41", "12345678901234567890", "0.1", "2.675",
)  # fmt: skip
DAY = 86_400_000_000
TIMES = (
    0, -1, 1, DAY - 1, DAY, -DAY, 951782400000000, 951868799999999, 4102444800000000, -62135596800000000, 253402300799999999,
    1709164800000000, 2**63 - 1, -(2**63) + 1,
)  # fmt: skip
DAYS = (0, -1, 11016, 11017, 59, 60, 2**31 - 1, -(2**31) + 1)
NULL_SHARE = 0.1


class RandomRows:
    """A table `rows` of COLUMNS with so many rows of a seed."""

    def __init__(self, count: int, seed: int = 7) -> None:
        self.count = count
        self.database = duckdb.connect(config={"threads": 1})
        # It computes what expressions have in common outside of their TRY(), and moves functions into CASE, away from their errors.
        self.database.execute("SET TimeZone = 'UTC'; PRAGMA disable_optimizer")
        self._random = np.random.default_rng(seed)
        raw: dict[str, NDArray[Any]] = {}
        for name, column_type in COLUMNS.items():
            raw[name] = self._column(name, column_type)
            raw[f"{name}?"] = self._random.random(count) < NULL_SHARE
        self.database.register("raw", raw)
        casts = (
            f'CASE WHEN NOT "{name}?" THEN {_from_raw(name, column_type)} END AS {name}'
            for name, column_type in COLUMNS.items()
        )
        self.database.execute(f"CREATE TABLE rows AS SELECT {', '.join(casts)} FROM raw")
        self.database.unregister("raw")
        self._inputs: dict[str, NDArray[Any]] = {}

    def select(self, expression: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The values of an expression as tensors have them, and where it is NULL: both (rows,)."""
        row = self.database.execute(f"SELECT typeof({expression}) FROM rows LIMIT 1").fetchone()
        tensor = _to_tensor(row[0]).format(f"({expression})")
        column = self.database.execute(f"SELECT {tensor} AS value FROM rows").fetchnumpy()["value"]
        null = np.ma.getmaskarray(column)
        if row[0] == "VARCHAR":
            texts = np.array(["" if absent else text for text, absent in zip(column, null, strict=True)], dtype=object)
            return texts, null
        values = np.ma.filled(column, 0)
        is_narrow = values.dtype.kind in "iu" and values.dtype != np.uint64
        return values.astype(np.int64) if is_narrow else values, null

    def inputs(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """The columns and their masks as the native graph takes them, each (rows, 1)."""
        for name in names:
            if name not in self._inputs:
                values, null = self.select(name)
                self._inputs |= {name: values.reshape(-1, 1), f"{name}?": null.reshape(-1, 1)}
        return {key: self._inputs[key] for name in names for key in (name, f"{name}?")}

    def select_features(self, expressions: Sequence[str]) -> NDArray[np.float32]:
        """FLOAT (rows, expressions) of TRY() over the columns as a request brings them, NaN being NULL."""
        sent = ", ".join(f"{_as_sent(name, column_type)} AS {name}" for name, column_type in COLUMNS.items())
        features = ", ".join(f"TRY(CAST({sql} AS FLOAT)) AS f{place}" for place, sql in enumerate(expressions))
        columns = self.database.execute(f"SELECT {features} FROM (SELECT {sent} FROM rows)").fetchnumpy()
        matrix = [np.ma.filled(columns[f"f{place}"].astype(np.float32), np.nan) for place in range(len(expressions))]
        return np.stack(matrix, axis=1)

    def requests(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """The columns as a request brings them, each (rows, 1): FP64 with NaN for NULL, or texts."""
        sent = {}
        for name in names:
            values, null = self.select(name)
            if values.dtype != object:
                scale = 10.0 ** int(COLUMNS[name][-2]) if COLUMNS[name].startswith("DECIMAL") else 1.0
                values = np.where(null, np.nan, values.astype(np.float64) / scale)
            sent[name] = values.reshape(-1, 1)
        return sent

    def _column(self, name: str, column_type: str) -> NDArray[Any]:
        match column_type:
            case "VARCHAR":
                return np.array(self._texts(), dtype=object)
            case "BOOLEAN":
                return self._random.random(self.count) < 0.5
            case "DOUBLE":
                return self._reals()
            case "FLOAT":
                with np.errstate(over="ignore"):
                    return self._reals().astype(np.float32)
            case "TIMESTAMP":
                return self._mix(self._integers(-3 * 10**15, 4 * 10**15), TIMES, 0.2)
            case "DATE":
                return self._mix(self._integers(-30_000, 40_000), DAYS, 0.2)
            case "DECIMAL(10,2)" | "DECIMAL(18,4)":
                largest = 10**10 - 1 if name in "de" else 10**18 - 1
                special = (0, 1, -1, 5, 15, 25, -25, 50, 150, 250, 99, 16777217, largest, -largest)
                small = self._random.random(self.count) < 0.5
                wide = np.where(small, self._integers(-(10**6), 10**6), self._integers(-largest, largest))
                return self._mix(wide, special)
            case _:
                return self._whole_numbers(column_type)

    def _whole_numbers(self, column_type: str) -> NDArray[np.int64]:
        if column_type == "UINTEGER":
            return self._mix(self._integers(0, 40), (0, 1, 2, 2**32 - 1, 2**31))
        bits = {"TINYINT": 8, "INTEGER": 32, "BIGINT": 64}[column_type]
        half = 2 ** (bits - 1)
        special = (0, 1, -1, 2, 3, 7, half - 1, -half, -half + 1, half - 2, 2 ** (bits // 2 - 1))
        small = self._random.random(self.count) < 0.6
        return self._mix(np.where(small, self._integers(-20, 20), self._integers(-half, half - 1)), special)

    def _integers(self, low: int, high: int) -> NDArray[np.int64]:
        return self._random.integers(low, high, self.count)

    def _mix(self, values: NDArray[Any], special: Sequence[float], share: float = 0.35) -> NDArray[Any]:
        """The values, a share of them replaced by special ones."""
        chosen = self._random.random(self.count) < share
        candidates = np.asarray(special, dtype=values.dtype)
        return np.where(chosen, candidates[self._random.integers(0, len(candidates), self.count)], values)

    def _reals(self) -> NDArray[np.float64]:
        powers = 10.0 ** self._integers(-8, 16)
        near = self._random.normal(0, 100, self.count)
        values = np.where(self._random.random(self.count) < 0.5, near, self._random.random(self.count) * powers)
        return self._mix(values * self._random.choice([1.0, -1.0], self.count), REALS)

    def _texts(self) -> list[str]:
        letters = list("abcABC xyz%_.1é")
        made = ["".join(self._random.choice(letters, self._random.integers(0, 8))) for _ in range(self.count)]
        chosen = self._random.integers(0, len(TEXTS) + 20, self.count)
        return [TEXTS[place] if place < len(TEXTS) else text for place, text in zip(chosen, made, strict=True)]


def _from_raw(name: str, column_type: str) -> str:
    """How the column is made of whole numbers and the like."""
    match column_type:
        case "TIMESTAMP":
            ends = f"WHEN {name} = {2**63 - 1} THEN 'infinity'::TIMESTAMP WHEN {name} = {-(2**63) + 1} THEN '-infinity'::TIMESTAMP"
            return f"CASE {ends} ELSE make_timestamp({name}) END"
        case "DATE":
            ends = (
                f"WHEN {name} = {2**31 - 1} THEN 'infinity'::DATE WHEN {name} = {-(2**31) + 1} THEN '-infinity'::DATE"
            )
            return f"CASE {ends} ELSE DATE '1970-01-01' + {name}::INTEGER END"
        case "DECIMAL(10,2)":
            return f"({name}::DECIMAL(18,0)::DECIMAL(20,2) / 100)::DECIMAL(10,2)"
        case "DECIMAL(18,4)":
            return f"({name}::DECIMAL(38,4) * 0.0001::DECIMAL(4,4))::DECIMAL(18,4)"
        case _:
            return f"{name}::{column_type}"


def _as_sent(name: str, column_type: str) -> str:
    """SQL of what remains of a column in a request: finite numbers that FP64 has exactly, and texts that are not empty."""
    match column_type:
        case "DOUBLE" | "FLOAT":
            return f"CASE WHEN isfinite({name}) THEN {name} END"
        case "VARCHAR":
            return f"nullif({name}, '')"
        case "BIGINT":
            return f"CASE WHEN {name} BETWEEN {-(2**53)} AND {2**53} THEN {name} END"
        case "DECIMAL(18,4)":
            return f"CASE WHEN {name} BETWEEN {-(2**50)} / 10000 AND {2**50} / 10000 THEN {name} END"
        case "TIMESTAMP":
            return f"CASE WHEN isfinite({name}) AND epoch_us({name}) BETWEEN {-(2**53)} AND {2**53} THEN {name} END"
        case "DATE":
            return f"CASE WHEN isfinite({name}) THEN {name} END"
        case _:
            return name


def _to_tensor(column_type: str) -> str:
    """SQL of days, microseconds and scaled DECIMALs as whole numbers; infinity is the largest."""
    match column_type.partition("(")[0]:
        case "TIMESTAMP" | "TIMESTAMP WITH TIME ZONE":
            return _finite("epoch_us({0})", 2**63 - 1)
        case "DATE":
            return _finite("({0} - DATE '1970-01-01')", 2**31 - 1)
        case "DECIMAL":
            scale = int(column_type.removesuffix(")").split(",")[1])
            return f"(({{0}})::DECIMAL(38,{scale}) * {10**scale})::BIGINT"
        case _:
            return "{0}"


def _finite(sql: str, infinity: int) -> str:
    largest = f"CASE WHEN {{0}} > DATE '1970-01-01' THEN {infinity} ELSE {-infinity} END"
    return f"CASE WHEN {{0}} IS NULL THEN NULL WHEN isfinite({{0}}) THEN {sql} ELSE {largest} END"
