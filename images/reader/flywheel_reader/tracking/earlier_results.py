"""Trials of Experiments that a release before the records ran: read from their results, parameters from their tracking output."""

import asyncio
import re
from collections.abc import AsyncIterator, Container, Iterable, Mapping
from datetime import datetime
from typing import Any

from flywheel_reader.errors import ReaderError, TooLarge
from flywheel_reader.store.artifacts import Artifacts
from flywheel_reader.store.bucket import Bucket, ObjectMissing
from flywheel_reader.store.json_documents import parse_json_in_worker

MAX_VALUES = 50_000  # of one document
MAX_RESULT_BYTES = 2 << 20
MAX_PARAMS_BYTES = 1 << 20
PARALLEL_TRIALS = 8
# results/<uid>/<step>/<attempt>[/<Job's uid>[/<rank>]].json
RESULT_KEY = re.compile(r"results/[^/]+/(?P<step>[^/]+)/(?P<attempt>\d{1,6})(?:/[^/]+(?:/(?P<rank>\d{1,6}))?)?\.json")
UNKNOWN = {
    "v": 1, "recorded": False, "kind": "Experiment", "repeat": None, "loggedParameters": {}, "tags": {}, "retention": None,
    "log": False, "logMessage": "it was trained by a release that stored no logs",
}  # fmt: skip
ENDED = frozenset({"Succeeded", "Failed", "Pruned", "Invalid"})


async def read_earlier_trials(
    bucket: Bucket, artifacts: Artifacts, experiment: Mapping[str, Any], known: Container[str]
) -> AsyncIterator[list[dict[str, Any]]]:
    """Records of the trials in the Experiment's history whose ids are not in `known`, some at a time, with `"recorded": false`.

    Raises StoreUnreachable.
    """
    uid, status = str(experiment["metadata"]["uid"]), experiment.get("status") or {}
    trials = [
        trial
        for trial in status.get("history") or ()
        if trial.get("state") in ENDED and f"{uid}.trial-{trial.get('trial')}" not in known
    ]
    if not trials:
        return
    keys = newest_results(await bucket.list(f"results/{uid}/"))
    described = {each.get("trial"): each for each in (*(status.get("lastTrials") or ()), status.get("best") or {})}

    async def read(trial: Mapping[str, Any]) -> dict[str, Any]:
        result = await _read_result(bucket, keys.get(f"trial-{trial['trial']}"))
        parameters = await _read_parameters(artifacts, result)
        return build_record(experiment, trial, described.get(trial["trial"]) or {}, result, parameters)

    for start in range(0, len(trials), PARALLEL_TRIALS):
        yield list(await asyncio.gather(*map(read, trials[start : start + PARALLEL_TRIALS])))


def newest_results(objects: Iterable[tuple[str, datetime]]) -> dict[str, str]:
    """The key of the result that counts, by step: of the last attempt the one that was written last, of a group rank 0."""
    found: dict[str, tuple[tuple[int, int, datetime], str]] = {}
    for key, written in objects:
        parts = RESULT_KEY.fullmatch(key)
        if parts is None:
            continue
        rank = (int(parts["attempt"]), -int(parts["rank"] or 0), written)
        if parts["step"] not in found or rank > found[parts["step"]][0]:
            found[parts["step"]] = (rank, key)
    return {step: key for step, (_, key) in found.items()}


def build_record(
    experiment: Mapping[str, Any],
    trial: Mapping[str, Any],
    described: Mapping[str, Any],
    result: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> dict[str, Any]:
    """The record of a trial from its line in the history, what the status says of the best and the last ones, and its result."""
    metadata, status = experiment["metadata"], experiment.get("status") or {}
    data, step = status.get("data") or {}, f"trial-{trial['trial']}"
    trained = parameters.get("parameters")
    given = trained if isinstance(trained, dict) else {k: v for k, v in parameters.items() if k != "objective"}
    return {
        **UNKNOWN,
        "id": f"{metadata['uid']}.{step}",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "step": step,
        "trial": trial["trial"],
        "dataset": (experiment.get("spec") or {}).get("dataset"),
        "datasetVersion": data.get("version"),
        "datasetDigest": data.get("digest"),
        "state": "Failed" if trial.get("state") == "Invalid" else trial.get("state"),
        "estimator": parameters.get("estimator") or described.get("estimator"),
        "parameters": given or described.get("parameters") or {},
        "seed": parameters.get("seed"),
        **_objective_and_metrics(status, trial, result),
        **{name: described.get(name) for name in ("reason", "message", "image", "node")},
        **{name: result.get(name) for name in ("usage", "startedAt", "finishedAt")},
        "outputs": result.get("outputs") or {},
    }


def _objective_and_metrics(
    status: Mapping[str, Any], trial: Mapping[str, Any], result: Mapping[str, Any]
) -> dict[str, Any]:
    metric, value = status.get("metric"), _number(trial.get("value"))
    if not metric:
        return {"objective": None, "metrics": result.get("metrics") or {}}
    objective = {"metric": metric, "maximize": status.get("direction") == "Maximize"}
    return {"objective": objective, "metrics": result.get("metrics") or ({} if value is None else {metric: value})}


async def _read_result(bucket: Bucket, key: str | None) -> dict[str, Any]:
    if key is None:
        return {}
    try:
        result = await parse_json_in_worker(await bucket.get(key, MAX_RESULT_BYTES), MAX_VALUES)
    except (ObjectMissing, TooLarge, ValueError):
        return {}
    return result if isinstance(result, dict) else {}


async def _read_parameters(artifacts: Artifacts, result: Mapping[str, Any]) -> dict[str, Any]:
    """The params.json of the tracking output; nothing if it is gone or damaged, since the other fields stay readable."""
    outputs = result.get("outputs")
    digest = ((outputs if isinstance(outputs, dict) else {}).get("tracking") or {}).get("digest")
    if not isinstance(digest, str):
        return {}
    try:
        file = await artifacts.file(digest, "params.json")
        found = await parse_json_in_worker(await artifacts.read(file, MAX_PARAMS_BYTES), MAX_VALUES)
    except (ReaderError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None
