"""What `check` and `prepare` leave behind: the files of a version, and its metrics and facts, in the same form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import FACTS_LIMIT, Step, canonical_json, write_json
from flywheel_runtime.datasets import artifact, profile, split, target
from flywheel_runtime.datasets.anomalies import Anomaly
from flywheel_runtime.datasets.schema import Previous, Schema
from flywheel_runtime.datasets.source import SourceFile
from flywheel_runtime.datasets.sql import quote_identifier

LONGEST_WARNING = 160


@dataclass(frozen=True)
class Version:
    """Table `data` and its table `splits`, described; `rows` counts each split."""

    schema: Schema
    answer: target.Target | None
    rows: dict[str, int]
    found: list[Anomaly]
    files: list[SourceFile] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All rows, those without a target too."""
        return sum(self.rows.values()) + (self.answer.missing if self.answer else 0)


def write(
    step: Step, connection: duckdb.DuckDBPyConnection, version: Version, previous: Previous | None = None
) -> None:
    """Write output `data`, then the facts and metrics. Without source files the rows themselves are the identity."""
    schema, answer, rows = version.schema, version.answer, version.rows
    measured = profile.measure(connection, schema, previous, rows)
    if answer:
        measured["target"] = _target_rates(connection, answer)
    folder = step.output("data")
    tested = artifact.test_digest(connection, schema)
    artifact.write_splits(connection, schema, folder)
    content = artifact.content_digest(version.files, schema) if version.files else artifact.rows_digest(folder, schema)
    task, classes = (answer.task, target.class_names(answer)) if answer else (None, [])
    described = schema.as_json(task=task, classes=classes, rows=rows, content=content, testDigest=tested)
    write_json(folder / "schema.json", described)
    write_json(folder / "profile.json", measured)
    write_json(folder / "report.json", _report(version))
    facts = {
        "content": content,
        "rows": sum(rows.values()),
        "columns": len(schema.columns),
        "splits": rows,
        "task": task,
        "classes": len(classes),
        "testDigest": tested,
        "warnings": [],
    }
    metrics = {"rows": version.total, "columns": len(schema.columns), "warnings": len(version.found)}
    metrics |= {f"{name}_rows": count for name, count in rows.items()}
    step.finish(metrics, facts | {"warnings": _short(version.found, facts)})


def _target_rates(connection: duckdb.DuckDBPyConnection, answer: target.Target) -> dict[str, Any]:
    """Rows of each class in each split (Classification), or the name alone: its column has the counts."""
    if answer.task == "Regression":
        return {"name": answer.name}
    column = quote_identifier(answer.name)
    counted = connection.execute(f'SELECT "#split", {column}, count(*) FROM joined GROUP BY ALL').fetchall()
    rates = {name: [0] * len(answer.classes) for name in split.NAMES}
    for name, value, count in counted:
        rates[name][answer.classes.index(value)] = count
    if sum(count > 0 for count in rates["train"]) < 2:
        message = f"The train split has one class only of target '{answer.name}'; change spec.split."
        raise Failure("OneClass", message)
    return {"name": answer.name, "classes": target.class_names(answer), "counts": rates}


def _report(version: Version) -> dict[str, Any]:
    return {
        "v": 1,
        "files": [{"path": file.name, "size": file.size, "sha256": file.sha256} for file in version.files],
        "rows": version.total,
        "rowsWithoutTarget": version.answer.missing if version.answer else 0,
        "anomalies": [anomaly.as_json() for anomaly in version.found],
    }


def _short(found: list[Anomaly], facts: dict[str, Any]) -> list[str]:
    """As many warnings as facts.json has room for; report.json has all."""
    shown: list[str] = []
    for number, anomaly in enumerate(found):
        line = f"{anomaly.kind}: {anomaly.message}"
        line = line if len(line) <= LONGEST_WARNING else line[: LONGEST_WARNING - 1] + "…"
        rest = f"and {len(found) - number} more in report.json"
        if len(canonical_json(facts | {"warnings": [*shown, line, rest]}).encode()) >= FACTS_LIMIT:
            return [*shown, rest]
        shown.append(line)
    return shown
