"""Records of trials and steps: lists and single ones, their logs, curves and files."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from starlette.responses import Response

from flywheel_reader.call import Call
from flywheel_reader.endpoint import Endpoint, Parameter
from flywheel_reader.endpoints.artifact_files import describe_files, file_response
from flywheel_reader.endpoints.tracking.records import RESOURCES, existing_objects, is_hidden, output_digest
from flywheel_reader.errors import BadRequest, Forbidden, NotFound, StoreUnreachable
from flywheel_reader.responses import json_response
from flywheel_reader.store.manifests import File
from flywheel_reader.tracking.columns import Column
from flywheel_reader.tracking.earlier_results import read_earlier_trials
from flywheel_reader.tracking.filters import parse_filter, parse_order
from flywheel_reader.tracking.paging import Position, decode_token, encode_token
from flywheel_reader.tracking.search import Found, Search, find_records, has_expired
from flywheel_reader.workers import run_in_worker

MAX_LIMIT = 1000
TRIAL = "/v1/namespaces/{namespace}/trials/{id}"


async def list_trials(call: Call) -> Response:
    """Searches the records that the caller may list, or those of one Experiment or pipeline that they may get."""
    kinds, scope = await _readable(call)
    query = call.query
    text = "\n".join(
        [query["filter"], query["orderBy"], *(query[name] or "" for name in ("experiment", "run", "pipeline"))]
    )
    position = decode_token(query["page"], text) if query["page"] else Position(0, 0)
    comparisons, order = parse_filter(query["filter"]), parse_order(query["orderBy"])
    log = call.store().log
    unreachable = None
    try:
        await log.refresh()
    except StoreUnreachable as error:
        if log.read_at is None:
            raise
        unreachable = error
    if query["experiment"] and unreachable is None:
        await add_earlier_trials(call, query["experiment"])
    now_ms = time.time() * 1000
    existing = await existing_objects(call, kinds) if has_expired(log.index, now_ms) else None
    search = Search(
        kinds, scope, comparisons, order, position.offset, query["limit"], position.until or None, now_ms, existing
    )
    found = await run_in_worker(find_records, log.index, search)
    body = _page(found, text, log.index.left_out)
    if unreachable is not None:
        as_of = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(log.read_at))
        raise StoreUnreachable(f"{unreachable.message}; 'items' are what was known at {as_of}", {**body, "asOf": as_of})
    return json_response(body)


def _page(found: Found, text: str, left_out: int) -> dict[str, Any]:
    following = None if found.next_offset is None else encode_token(Position(found.next_offset, found.until), text)
    body: dict[str, Any] = {"items": found.items, "total": found.total, "next": following}
    if left_out:
        body |= {
            "leftOut": left_out,
            "message": f"the oldest {left_out:,} records of the namespace exceed the reader's memory and are not searched",
        }
    return body


async def _readable(call: Call) -> tuple[frozenset[str], tuple[tuple[Column, str], ...]]:
    """The kinds whose records the caller may read, and the columns that limit them. Raises Forbidden, BadRequest."""
    pipeline, owner = call.query["pipeline"], _named_owner(call)
    if pipeline and owner:
        raise BadRequest("'pipeline' excludes 'experiment' and 'run'; leave one of them out")
    if owner:
        await call.require(RESOURCES[owner.kind], owner.name)
        return frozenset({owner.kind}), ((Column("attributes", "name"), owner.name),)
    if pipeline:
        await call.require("trainingpipelines", pipeline)
        return frozenset(RESOURCES), ((Column("attributes", "pipeline"), pipeline),)
    kinds = [kind for kind, resource in RESOURCES.items() if await call.is_allowed("list", resource)]
    if not kinds:
        await call.require("experiments", verb="list")
    return frozenset(kinds), ()


async def find_trial(call: Call) -> dict[str, Any]:
    """The record in the path, if the caller may get its object.

    The right is checked before the store is touched: on the object that the query names, else on all. So what is forbidden and
    what does not exist are the same to a caller, also in time. Raises Forbidden, NotFound, StoreUnreachable.
    """
    owner = _named_owner(call)
    if owner is None:
        kinds = frozenset([kind for kind, resource in RESOURCES.items() if await call.is_allowed("get", resource)])
    else:
        await call.require(RESOURCES[owner.kind], owner.name)
        kinds = frozenset({owner.kind})
    record = await _find_record(call, owner) if kinds else None
    if record is not None and str(record.get("kind")) in kinds and owner in (None, Owner.of_record(record)):
        await call.require(RESOURCES[str(record["kind"])], str(record["name"]))
        return record
    trial, namespace = call.path["id"][:120], call.namespace
    if owner is not None:
        raise NotFound(f"{owner.kind} '{owner.name}' has no trial {trial!r} in namespace '{namespace}'")
    if kinds == frozenset(RESOURCES):
        raise NotFound(
            f"trial {trial!r} does not exist in namespace '{namespace}'; /v1/namespaces/{namespace}/trials lists those that do"
        )
    raise Forbidden(
        f"{call.caller.username[:300]!r} may not get all Experiments and TrainingRuns of namespace '{namespace}'; name that of trial "
        f"{trial!r} with ?experiment=NAME or ?run=NAME, or ask for a RoleBinding with ClusterRole 'view' there"
    )


class Owner(NamedTuple):
    """An Experiment or a TrainingRun by its name."""

    kind: str
    name: str

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Owner":
        """Whose record it is."""
        return cls(str(record.get("kind")), str(record.get("name")))


def _named_owner(call: Call) -> Owner | None:
    experiment, run = call.query["experiment"], call.query["run"]
    if experiment and run:
        raise BadRequest("'experiment' and 'run' exclude each other; leave one of them out")
    return Owner("Experiment", experiment) if experiment else Owner("TrainingRun", run) if run else None


async def _find_record(call: Call, owner: Owner | None) -> dict[str, Any] | None:
    log = call.store().log
    try:
        await log.refresh()
    except StoreUnreachable:
        known = log.index.get(call.path["id"])
        if known is None:
            raise
        return None if await is_hidden(call, known) else known
    record = log.index.get(call.path["id"])
    if record is None:
        return await _find_earlier_trial(call, owner)
    return None if await is_hidden(call, record) else record


async def _find_earlier_trial(call: Call, owner: Owner | None) -> dict[str, Any] | None:
    """A trial that has no record, whose Experiment exists and may be read by the caller: its results are not read for others."""
    uid, _, step = call.path["id"].rpartition(".")
    if not step.startswith("trial-") or (owner is not None and owner.kind != "Experiment"):
        return None
    name = (await call.services.objects.list_names("experiments", call.namespace)).get(uid)
    if name is None or (owner is not None and owner.name != name):
        return None
    if not await call.is_allowed("get", "experiments", name):
        return None
    await add_earlier_trials(call, name)
    return call.store().log.index.get(call.path["id"])


async def add_earlier_trials(call: Call, name: str) -> None:
    """Adds the trials of an existing Experiment that a release before the records ran to the index. Raises StoreUnreachable."""
    store = call.store()
    if not store.log.may_miss_trials(name):
        return
    try:
        experiment = await call.object("experiments", name)
    except NotFound:
        return
    async for records in read_earlier_trials(store.bucket, store.artifacts, experiment, store.log.index):
        await run_in_worker(store.log.index.add, [orjson.dumps(record) for record in records])
    store.log.mark_compared(name)


async def get_trial(call: Call) -> Response:
    """One record with the files of its tracking output."""
    record = await find_trial(call)
    try:
        files = await _tracking_files(call, record)
    except StoreUnreachable as error:
        raise StoreUnreachable(f"{error.message}; 'trial' is what is known of it", {"trial": record}) from error
    return json_response({**record, "files": describe_files(files)})


async def get_file(call: Call) -> Response:
    """The bytes of one file of the tracking output."""
    record = await find_trial(call)
    files = await _tracking_files(call, record)
    file = files.get(call.path["path"])
    if file is None:
        raise NotFound(f"trial {call.path['id']!r} has no such file; its record lists those that it has")
    return await file_response(call, file)


async def _tracking_files(call: Call, record: dict[str, Any]) -> dict[str, File]:
    digest = tracking_digest(record)
    return {} if digest is None else await call.store().artifacts.files(digest)


def tracking_digest(record: dict[str, Any]) -> str | None:
    """The digest of the record's tracking output, None if it has none."""
    return output_digest(record, "tracking")


OWNER = (
    Parameter("experiment", "The Experiment of the trial, for who may get it alone"),
    Parameter("run", "The TrainingRun of the step, for who may get it alone"),
)
TRIAL_RIGHT = "get experiments NAME with ?experiment=, get trainingruns NAME with ?run=, otherwise get experiments or trainingruns"
ENDPOINTS = (
    Endpoint(
        "/v1/namespaces/{namespace}/trials",
        list_trials,
        "Search trials and steps that were tracked",
        "get experiments NAME with ?experiment=, get trainingruns NAME with ?run=, get trainingpipelines NAME with ?pipeline=, otherwise list experiments and trainingruns",
        (
            Parameter(
                "filter", "MLflow's filter string, such as metrics.roc_auc > 0.7 and params.estimator = 'X'", default=""
            ),
            Parameter(
                "orderBy", "Columns with ASC or DESC; missing and NaN values are last in both directions", default=""
            ),
            Parameter("limit", "The most items of a page", "integer", 50, 1, MAX_LIMIT),
            Parameter("page", "The 'next' of the page before"),
            Parameter("experiment", "The trials of this Experiment alone"),
            Parameter("run", "The steps of this TrainingRun alone"),
            Parameter("pipeline", "The trials and steps of this TrainingPipeline's runs alone"),
        ),
    ),
    Endpoint(
        TRIAL,
        get_trial,
        "One record, with the files of its tracking output",
        TRIAL_RIGHT,
        OWNER,
    ),
    Endpoint(
        f"{TRIAL}/files/{{path:path}}",
        get_file,
        "A file of the tracking output",
        TRIAL_RIGHT,
        OWNER,
        media_types=("application/octet-stream",),
    ),
)
