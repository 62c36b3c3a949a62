"""A model card: Markdown with the YAML metadata of Hugging Face (https://huggingface.co/docs/hub/model-cards)."""

import re
from collections.abc import Mapping
from typing import Any

from flywheel.cli.export.bom import describe_tensor, gate_result
from flywheel.cli.fields import content_digest, drop_empty, drop_empty_deeply, get_field, list_objects
from flywheel.cli.yaml_text import dump_yaml

TASKS = {"Classification": "tabular-classification", "Regression": "tabular-regression"}
FLYWHEEL_KEY = "flywheel"
_SPECIAL = re.compile(r"([\\`*_{}\[\]|#~])")


def document(facts: dict[str, Any]) -> str:
    """Returns the card with its digest."""
    head, body = drop_empty_deeply(_head(facts)), _body(facts)
    head[FLYWHEEL_KEY]["contentDigest"] = content_digest({"head": head, "body": body})
    return f"---\n{dump_yaml(head)}---\n{body}"


def split_digest(head: dict[str, Any], body: str) -> tuple[dict[str, Any], str | None]:
    """Returns the card's content, and the digest that it states."""
    before = head.get(FLYWHEEL_KEY)
    ours = before if isinstance(before, Mapping) else {}
    kept = {key: value for key, value in ours.items() if key != "contentDigest"}
    return {"head": {**head, FLYWHEEL_KEY: kept}, "body": body}, ours.get("contentDigest")


def _head(facts: dict[str, Any]) -> dict[str, Any]:
    version, data = facts["version"], facts.get("dataset") or {}
    task = TASKS.get(str(data.get("task")))
    metrics = _numbers(version.get("metrics") or {})
    return {
        "model_name": version["name"],
        "library_name": str(version.get("format", "onnx")).lower(),
        "pipeline_tag": task,
        "tags": ["flywheel", *(["tabular"] if task else [])],
        "datasets": [data["name"]] if "name" in data else [],
        "metrics": sorted(metrics),
        "model-index": [_results(version, data, task, metrics)] if task and metrics and data else [],
        FLYWHEEL_KEY: {
            "namespace": version["namespace"],
            "version": version["name"],
            "model": version["model"],
            "digest": version["digest"],
            "testDigest": version.get("testDigest"),
            "verifiedAt": version["verifiedAt"],
            "datasetVersion": data.get("version"),
            "datasetDigest": data.get("digest"),
            "image": get_field(facts, "lineage", "image"),
        },
    }


def _results(version: Mapping[str, Any], data: Mapping[str, Any], task: str, metrics: Mapping[str, float]) -> Any:
    """One entry of `model-index`: all metrics were measured on the test split."""
    dataset = {"name": data.get("name"), "type": data.get("name"), "revision": data.get("version"), "split": "test"}
    measured = [{"type": name, "value": metrics[name]} for name in sorted(metrics)]
    return {
        "name": version["name"],
        "results": [{"task": {"type": task}, "dataset": drop_empty(dataset), "metrics": measured}],
    }


def _numbers(metrics: Mapping[str, str]) -> dict[str, float]:
    found = {}
    for name, value in metrics.items():
        try:
            found[name] = float(value)
        except ValueError:
            continue
    return found


def _body(facts: dict[str, Any]) -> str:
    version = facts["version"]
    inputs, outputs = (list_objects(version, "signature", side) for side in ("inputs", "outputs"))
    sections = {
        "What it is": _identity(facts),
        "Inputs": [f"- {inline_code(describe_tensor(each))}" for each in inputs],
        "Features": _rowwise(facts),
        "Outputs": [f"- {inline_code(describe_tensor(each))}" for each in outputs],
        "Metrics": _metrics(facts),
        "Importance of columns": _importance(facts),
        "Gates": [
            f"- {escape_markdown(each.get('name'))} {gate_result(each)}: {escape_markdown(each.get('message'))}"
            for each in list_objects(facts, "gates")
        ],
        "Training": _training(facts),
        "Data": _data(facts),
        "Limits": _limits(facts),
        "Services": [f"- {inline_code(each['name'])} {each['role']} it" for each in list_objects(facts, "services")],
    }
    parts = [
        f"# {escape_markdown(version['name'])}",
        escape_markdown(get_field(facts, "model", "description") or f"A version of {version['model']}."),
    ]
    parts += [f"## {title}\n" + "\n".join(lines) for title, lines in sections.items() if lines]
    return "\n\n".join(parts) + "\n"


def _identity(facts: dict[str, Any]) -> list[str]:
    version, standing = facts["version"], facts.get("standing") or {}
    approval, audit = version.get("approval") or {}, standing.get("audit") or {}
    verdict = [escape_markdown(standing[each]) for each in ("verdict", "message") if standing.get(each)]
    by = [escape_markdown(approval[each]) for each in ("by", "reason", "at") if approval.get(each)]
    reigns = [each for each in list_objects(standing, "reigns") if "since" in each]
    since = ", ".join(f"champion since {each['since']} ({each.get('reason')})" for each in reigns)
    return _lines(
        {
            "Model": inline_code(version["model"]),
            "Owner": escape_markdown(get_field(facts, "model", "owner")),
            "Format": escape_markdown(version.get("format")),
            "Artifact": inline_code(version["digest"]),
            "Verified": f"{version['verifiedAt']}, by loading it in the serving image",
            "Standing": ": ".join(verdict),
            "History": since,
            "Audit record": ", ".join(inline_code(audit[each]) for each in ("number", "sha256") if each in audit),
            "Approved by": ", ".join(by),
        }
    )


def _metrics(facts: dict[str, Any]) -> list[str]:
    found = facts["version"].get("metrics") or {}
    if not found:
        return []
    test = facts["version"].get("testDigest")
    on = [f"On the test data {inline_code(test)}; latency and size in the serving image.", ""] if test else []
    return [
        *on,
        "| Metric | Value |",
        "|---|---|",
        *(f"| {escape_markdown(name)} | {escape_markdown(found[name])} |" for name in sorted(found)),
    ]


def _rowwise(facts: dict[str, Any]) -> list[str]:
    found = facts["version"].get("rowwise") or {}
    names = found.get("features") or []
    if not names:
        return []
    difference = escape_markdown(found.get("largestDifference"))
    return [
        f"The model computes these of its inputs, by the SQL in features.json of the artifact; they differ from DuckDB's by at most {difference} units in the last place.",
        "",
        *(f"- {inline_code(name)}" for name in names),
    ]


def _importance(facts: dict[str, Any]) -> list[str]:
    found = facts["version"].get("featureImportance") or {}
    features = list_objects(found, "features")
    if not features:
        return []
    return [
        f"How much worse {escape_markdown(found.get('metric'))} is on test rows when the values of a column are shuffled. Of columns that say the same, each may seem unimportant.",
        "",
        "| Column | Importance |",
        "|---|---|",
        *(f"| {escape_markdown(each.get('name'))} | {escape_markdown(each.get('importance'))} |" for each in features),
    ]


def _training(facts: dict[str, Any]) -> list[str]:
    lineage, trial = facts.get("lineage") or {}, get_field(facts, "experiment", "trial") or {}
    run = facts.get("run") or {}
    pipeline = lineage.get("pipeline") or run.get("pipeline")
    parameters = [
        f"- Parameter {inline_code(name)}: {inline_code(value)}"
        for name, value in sorted((lineage.get("parameters") or {}).items())
    ]
    experiment = inline_code(lineage.get("experiment"))
    trial_number = f", trial {lineage['trial']}" if lineage.get("trial") is not None else ""
    usage = trial.get("usage") or {}
    spent = (("cpuSeconds", "s CPU"), ("memoryPeakBytes", "bytes of memory"))
    return [
        *_lines(
            {
                "Experiment": f"{experiment}{trial_number}" if experiment else "",
                "Pipeline": inline_code(pipeline),
                "Run": inline_code(lineage.get("run")),
                "Revision": inline_code(lineage.get("revision") or run.get("revision")),
                "Image": inline_code(lineage.get("image")),
                "Git revision": inline_code(lineage.get("gitRevision")),
                "Git repository": inline_code(lineage.get("gitRepository")),
                "Seed": inline_code(lineage.get("seed", get_field(facts, "experiment", "search", "seed"))),
                "Used": ", ".join(f"{usage[key]} {unit}" for key, unit in spent if key in usage),
            }
        ),
        *parameters,
    ]


def _data(facts: dict[str, Any]) -> list[str]:
    data = facts.get("dataset") or {}
    source = data.get("source") or {}
    splits = data.get("splits") or {}
    rows = [f"{splits[part]} {part}" for part in ("train", "validation", "test") if part in splits]
    place = get_field(source, "s3", "uri") or get_field(source, "http", "url") or get_field(source, "pvc", "claimName")
    return [
        *_lines(
            {
                "Dataset": inline_code(data.get("name")),
                "Version": inline_code(data.get("version")),
                "Digest": inline_code(data.get("digest")),
                "Prepared from": inline_code(data.get("preparedFrom")),
                "Prepared by": _prepared(facts),
                "Source": inline_code(place),
                "Target": inline_code(data.get("target")),
                "Rows": ", ".join(rows),
            }
        ),
        *_tables(facts),
        *(f"- Warning: {escape_markdown(each)}" for each in data.get("warnings") or ()),
    ]


def _prepared(facts: dict[str, Any]) -> str:
    """The step that prepared the data, with its query on one line and what the placeholders stood for."""
    prepared = get_field(facts, "lineage", "prepared") or {}
    values = prepared.get("values") or {}
    run = f" of run {inline_code(prepared['run'])}" if prepared.get("run") else ""
    query = _step_with_query(prepared.get("step"), prepared.get("sql")) + run
    return ", with ".join(
        each for each in (query, inline_code(", ".join(f"{name} = {values[name]}" for name in sorted(values)))) if each
    )


def _tables(facts: dict[str, Any]) -> list[str]:
    """The tables behind the prepared data: versions of Datasets, and the results of earlier steps with their queries."""
    return [
        f"- Table {inline_code(each.get('name'))}: {_table(each)}"
        for each in list_objects(facts, "lineage", "prepared", "from")
    ]


def _table(table: Mapping[str, Any]) -> str:
    where = (
        inline_code(table["version"]) if "version" in table else _step_with_query(table.get("name"), table.get("sql"))
    )
    return f"{where}, {inline_code(table.get('digest'))}"


def _step_with_query(step: Any, sql: Any) -> str:
    query = " ".join(str(sql or "").split())
    return f"step {inline_code(step)}{f': {inline_code(query)}' if query else ''}" if step else ""


def _limits(facts: dict[str, Any]) -> list[str]:
    version = facts["version"]
    rejection, quantized = version.get("rejection") or {}, version.get("quantization") or {}
    found = []
    if rejection:
        source = "A rollout" if not rejection.get("monitor") else "A monitor"
        found.append(f"- {source} found it bad: {escape_markdown(rejection.get('message'))}")
    if quantized.get("weights"):
        found.append(
            f"- Its weights are int8: {quantized.get('sizeBefore')} bytes became {quantized.get('size')}, and no number of an answer moved by more than {quantized.get('gap')} (relative)"
        )
    if not version.get("testDigest"):
        found.append("- Nothing says on what data its metrics were measured")
    return found


def _lines(values: Mapping[str, str]) -> list[str]:
    return [f"- {name}: {value}" for name, value in values.items() if value]


def escape_markdown(value: Any) -> str:
    """Returns a text without Markdown and HTML, in one line."""
    text = " ".join(str("" if value is None else value).split())
    return _SPECIAL.sub(r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def inline_code(value: Any) -> str:
    """Returns a name or a digest as code; empty where there is none."""
    text = "" if value is None else " ".join(str(value).replace("`", "'").split())
    return f"`{text}`" if text else ""
