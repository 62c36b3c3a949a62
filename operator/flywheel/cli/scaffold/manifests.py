"""Commented manifests for a table: Dataset, Experiment, Model and InferenceService."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flywheel.cli.scaffold.csv_columns import MAX_CLASSES, ColumnSample, TableSample
from flywheel.client.controls import escape_controls

MAX_NAMED_COLUMNS = 40  # in comments
MAX_SHOWN_VALUES = 6
FEW_ROWS = 200


@dataclass(frozen=True)
class Draft:
    """What the manifests are to say."""

    name: str
    file: str
    source: Mapping[str, Mapping[str, str]]
    table: TableSample
    target: ColumnSample
    why_target: str
    keys: Sequence[str]
    event_time: str | None

    @property
    def is_classification(self) -> bool:
        """Whether the target's values are classes, as the Dataset's check decides it."""
        return self.target.type == "String" or self.target.is_category

    @property
    def metric(self) -> str:
        """The metric that Experiments optimize by default."""
        return "roc_auc" if self.is_classification else "rmse"


def write_manifests(draft: Draft) -> str:
    """Returns the YAML of all four, one below the other."""
    return "---\n".join(
        "\n".join(lines) + "\n" for lines in (_dataset(draft), _experiment(draft), _model(draft), _service(draft))
    )


def _head(kind: str, name: str) -> list[str]:
    return ["apiVersion: flywheel.ml/v1alpha1", f"kind: {kind}", f"metadata: {{name: {quote(name)}}}"]


def _dataset(draft: Draft) -> list[str]:
    table = draft.table
    count = f"{table.rows:,} rows" if table.is_whole else f"more than {table.rows:,} rows"
    few = (
        [f"# {table.rows} rows are few: expect wide confidence intervals."]
        if table.is_whole and table.rows < FEW_ROWS
        else []
    )
    return [
        f"# Data: {comment(draft.file)}, {count}, {len(table.columns)} columns. Upload it to the place below, then apply this file.",
        *few,
        *(f"#   {line}" for line in _columns(table)),
        *_head("Dataset", draft.name),
        "spec:",
        f"  source: {json.dumps(draft.source, ensure_ascii=False)}",
        f"  target: {quote(draft.target.name)}  # what is predicted: {draft.why_target}; 'flywheel init --target' names another",
        *([f"  keys: [{', '.join(quote(key) for key in draft.keys)}]  # identify a row, and are no features"] if draft.keys else
          ["  # keys: [id]  # columns that identify a row: duplicates are found, and they are no features"]),
        *([f"  eventTime: {quote(draft.event_time)}  # splits by time: the newest rows are the test rows"] if draft.event_time else
          ["  # eventTime: time  # the column with the time of a row: the newest rows are then the test rows"]),
        "  # columns:  # what must hold for a column; else the data is refused",
        f"  # - {{name: {comment(quote(_feature(draft)))}, nullable: false}}",
        "  # checks:  # SQL that returns the rows that are wrong",
        '  # - {name: positive, sql: "SELECT * FROM data WHERE price <= 0", severity: Error}',
        '  # schedule: {cron: "0 2 * * *", timeZone: Europe/Zurich}  # look for new data every night',
    ]  # fmt: skip


def _experiment(draft: Draft) -> list[str]:
    kind = f"classification of {len(draft.target.values)} classes" if draft.is_classification else "regression"
    return [
        f"# Training: a search over estimators and their parameters, derived from the data ({kind}). The best trial is registered.",
        *_head("Experiment", draft.name),
        "spec:",
        f"  dataset: {quote(draft.name)}",
        "  trainer: {sklearn: {}}  # or container: your own image and language",
        f"  # objective: {{metric: {draft.metric}}}  # the default for this target",
        "  budget: {maxTrials: 8}",
        "  # validation: {folds: 5}  # for few rows",
        "  # parallelism: 2",
        f"  register: {quote(draft.name)}",
    ]


def _model(draft: Draft) -> list[str]:
    return [
        "# Registry: a version that passes the gates and is better than the champion becomes champion.",
        *_head("Model", draft.name),
        "spec:",
        f"  objective: {{metric: {draft.metric}}}",
        "  # A gate is added by default: a version must be better than a constant prediction.",
        "  # gates:",
        f'  # - {{name: better-than-today, champion: {{metric: {draft.metric}, minGain: "0.002"}}}}',
        "  # - {name: quick, serving: {p95: 20ms}}",
        "  # promotion: Approval  # a person approves each champion: flywheel approve VERSION",
    ]


def _service(draft: Draft) -> list[str]:
    return [
        "# Serving: the champion over REST (8080) and gRPC (8081): flywheel predict",
        *_head("InferenceService", draft.name),
        "spec:",
        f"  model: {quote(draft.name)}",
        "  replicas: 1",
        "  auth: {none: {}}  # every client that reaches the Service may call it; alternatives: serviceAccount, jwt",
        '  # logging: {sample: "10%"}  # keeps a sample of the predictions for monitoring',
        "  # rollout: {canary: {steps: [{percent: 10, duration: 5m}]}}  # a new champion takes over step by step",
    ]


def _columns(table: TableSample) -> Iterator[str]:
    for column in table.columns[:MAX_NAMED_COLUMNS]:
        yield f"{comment(column.name)}: {describe_column(column)}"
    if len(table.columns) > MAX_NAMED_COLUMNS:
        yield f"and {len(table.columns) - MAX_NAMED_COLUMNS} more"


def describe_column(column: ColumnSample) -> str:
    """Returns `Float, 1.5 to 9.75, 3% missing`, or `String, 3 values (a, b, c)`."""
    parts = [column.type]
    if column.is_category:
        shown = ", ".join(comment(value[:20]) for value, _count in column.values.most_common(MAX_SHOWN_VALUES))
        more = ", …" if len(column.values) > MAX_SHOWN_VALUES else ""
        parts.append(f"{len(column.values)} values ({shown}{more})")
    elif column.type in ("Integer", "Float"):
        parts.append(f"{column.lowest:g} to {column.highest:g}")
    elif column.type == "String":
        parts.append(f"more than {MAX_CLASSES} values")
    if column.missing:
        parts.append(f"{max(1, round(100 * column.missing / column.rows))}% missing")
    return ", ".join(parts)


def _feature(draft: Draft) -> str:
    others = [
        each.name for each in draft.table.columns if each.name != draft.target.name and each.name not in draft.keys
    ]
    return others[0] if others else draft.target.name


def quote(text: str) -> str:
    """Returns a text as YAML that every reader takes for that text."""
    safe = text.isascii() and text.replace("_", "a").replace("-", "a").isalnum() and text[0].isalpha() and len(text) > 3
    return text if safe and text.lower() not in ("true", "false", "null", "none") else json.dumps(text)


def comment(text: str) -> str:
    """Returns a text that stays within one line of a comment."""
    return escape_controls(text)
