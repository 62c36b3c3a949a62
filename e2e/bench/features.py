"""What features by SQL cost a server: `python -m e2e.bench.features`, without a cluster. The result is in `results/features.md`.

CPU time of one thread for 20 features, by the compiled graph, by NumPy as one would write it by hand, and by DuckDB in process with a
prepared statement: in turn, the best of ten rounds of each.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import onnxruntime

from e2e.bench import targets
from e2e.bench.targets import Figures, Target
from flywheel_runtime.features.compiler import compile_features

COMMAND = "make bench-features"
ROUNDS, CALLS, DUCKDB_CALLS = 10, 300, 20
MICROSECONDS, NANOSECONDS = 1e6, 1e9
BATCH = 256
COLUMNS = {
    "sched": "TIMESTAMP",
    "dist": "DOUBLE",
    "air": "DOUBLE",
    "wind": "DOUBLE",
    "temp": "DOUBLE",
    "origin": "VARCHAR",
}
HOUR, DAY = 3_600_000_000, 86_400_000_000
Inputs = dict[str, Any]
# SQL, and the same by hand. Missing numbers are NaN on both sides.
FEATURES: dict[str, tuple[str, Callable[[Inputs], Any]]] = {
    "hour": ("hour(sched)", lambda x: hours(x)),
    "hour_sine": ("sin(2 * pi() * hour(sched) / 24)", lambda x: np.sin(2 * np.pi * hours(x) / 24)),
    "hour_cosine": ("cos(2 * pi() * hour(sched) / 24)", lambda x: np.cos(2 * np.pi * hours(x) / 24)),
    "weekday": ("isodow(sched)", lambda x: (x["sched"] // DAY + 3) % 7 + 1),
    "night": ("hour(sched) NOT BETWEEN 6 AND 21", lambda x: (hours(x) < 6) | (hours(x) > 21)),
    "minute": ("minute(sched)", lambda x: x["sched"] // 60_000_000 % 60),
    "speed": ("dist / nullif(air, 0)", lambda x: x["dist"] / np.where(x["air"] == 0, np.nan, x["air"])),
    "long": ("dist > 1500", lambda x: x["dist"] > 1500),
    "squared": ("wind * wind", lambda x: x["wind"] * x["wind"]),
    "root": ("sqrt(dist)", lambda x: np.sqrt(x["dist"])),
    "logarithm": ("ln(dist + 1)", lambda x: np.log(x["dist"] + 1)),
    "filled": ("coalesce(wind, 0)", lambda x: np.where(np.isnan(x["wind"]), 0, x["wind"])),
    "missing": ("temp IS NULL", lambda x: np.isnan(x["temp"])),
    "kelvin": ("(temp - 32) * 5 / 9 + 273.15::DOUBLE", lambda x: (x["temp"] - 32) * 5 / 9 + 273.15),
    "jfk": ("origin = 'JFK'", lambda x: x["origin"] == "JFK"),
    "city": ("origin IN ('JFK', 'LGA')", lambda x: (x["origin"] == "JFK") | (x["origin"] == "LGA")),
    "kind": ("CASE WHEN dist > 2000 THEN 2 WHEN dist > 500 THEN 1 ELSE 0 END", lambda x: np.select([x["dist"] > 2000, x["dist"] > 500], [2, 1], 0)),
    "capped": ("least(air, 300)", lambda x: np.fmin(x["air"], 300)),
    "rounded": ("round(temp)", lambda x: np.round(x["temp"])),
    "product": ("wind * dist / 1000", lambda x: x["wind"] * x["dist"] / 1000),
}  # fmt: skip


def hours(inputs: Inputs) -> Any:
    """The hour of each time."""
    return inputs["sched"] // HOUR % 24


def main() -> int:
    """1 if a promise is not kept."""
    found = {f"rows_{rows}": measure(rows) for rows in (1, BATCH)}
    checked = judge(found)
    targets.write_results("features", COMMAND, found, checked)
    print(targets.format_targets(checked))
    return 0 if all(each.is_met for each in checked) else 1


def make_rows(count: int) -> Inputs:
    """Rows as a request brings them, each column (rows, 1)."""
    random = np.random.default_rng(7)
    numbers = {name: random.uniform(1, 2500, (count, 1)) for name in ("dist", "air", "wind", "temp")}
    sched = np.floor(random.uniform(1.3e15, 1.8e15, (count, 1)))
    return {**numbers, "sched": sched, "origin": random.choice(["JFK", "LGA", "EWR"], (count, 1)).astype(object)}


def measure(count: int) -> Figures:
    """CPU microseconds of a call with so many rows."""
    inputs = make_rows(count)
    model = compile_features(COLUMNS, {name: sql for name, (sql, _) in FEATURES.items()}).model
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    expressions = ", ".join(f"({sql})::FLOAT" for sql, _ in FEATURES.values())
    with duckdb.connect(config={"threads": 1}) as database:
        typed = ", ".join(
            f"make_timestamp({name}::BIGINT) AS {name}" if kind == "TIMESTAMP" else name
            for name, kind in COLUMNS.items()
        )
        database.register("sent", {name: values[:, 0] for name, values in inputs.items()})
        database.execute(f"CREATE TABLE inputs AS SELECT {typed} FROM sent")
        database.execute(f"PREPARE features AS SELECT {expressions} FROM inputs")
        calls: dict[str, tuple[Callable[[], Any], int]] = {
            "graph_us": (lambda: session.run(None, inputs), CALLS),
            "numpy_us": (lambda: by_hand(inputs), CALLS),
            "duckdb_us": (lambda: database.execute("EXECUTE features").fetchall(), DUCKDB_CALLS),
        }
        best = dict.fromkeys(calls, float("inf"))
        for _ in range(ROUNDS):
            for name, (call, times) in calls.items():
                best[name] = min(best[name], cpu_microseconds(call, times))
    return {name: round(value, 1) for name, value in best.items()}


def by_hand(inputs: Inputs) -> Any:
    """The features (rows, features) as FP32."""
    return np.concatenate([make(inputs).astype(np.float32) for _, make in FEATURES.values()], axis=1)


def cpu_microseconds(call: Callable[[], Any], times: int) -> float:
    """CPU time of one call, as the mean of several."""
    start = time.process_time_ns()
    for _ in range(times):
        call()
    return (time.process_time_ns() - start) / times / NANOSECONDS * MICROSECONDS


def judge(found: dict[str, Figures]) -> list[Target]:
    """The promises."""
    one, batch = found["rows_1"], found[f"rows_{BATCH}"]
    return [
        Target("CPU of a feature, one row", round(one["graph_us"] / len(FEATURES), 2), 4.0, "µs"),
        Target(f"CPU of {len(FEATURES)} features of {BATCH} rows, of NumPy's by hand", round(batch["graph_us"] / batch["numpy_us"], 2), 1.3),
        Target("CPU of DuckDB in process, of the graph's, one row", round(one["duckdb_us"] / one["graph_us"], 1), 20.0, at_least=True),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
