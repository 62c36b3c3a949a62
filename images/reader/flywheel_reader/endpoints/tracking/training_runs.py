"""Reports of the steps of TrainingRuns."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from flywheel_reader.call import Call
from flywheel_reader.endpoint import Endpoint, Parameter
from flywheel_reader.endpoints.tracking.evaluations import PAGE, REPORT, evaluation_response
from flywheel_reader.endpoints.tracking.records import is_hidden, newest_record, output_digest
from flywheel_reader.errors import NotFound
from flywheel_reader.tracking.columns import Column

REPORT_FILES = {"json": (REPORT, "application/json"), "md": (PAGE, "text/markdown; charset=utf-8")}
OUTPUT = "evaluation"


async def get_report(call: Call) -> Response:
    """The report of an evaluate step."""
    name, step = call.path["name"], call.path["step"]
    await call.require("trainingruns", name)
    try:
        digest = _digest_of_status(await call.object("trainingruns", name), step)
    except NotFound:
        digest = await _digest_of_records(call, name, step)
        if digest is None:
            raise
    if digest is None:
        raise NotFound(
            f"step '{step[:120]}' of TrainingRun '{name}' has no evaluation yet; a step of kind evaluate writes one when it succeeds"
        )
    path, media_type = REPORT_FILES[call.query["format"]]
    return await evaluation_response(call, digest, path, media_type)


def _digest_of_status(run: Mapping[str, Any], step: str) -> str | None:
    steps = (run.get("status") or {}).get("steps") or ()
    found = next((each for each in steps if each.get("name") == step), None)
    digest: str | None = ((found or {}).get("outputs") or {}).get(OUTPUT)
    return digest


async def _digest_of_records(call: Call, name: str, step: str) -> str | None:
    """The digest of the evaluation of a run that is gone, which the record of its step has until its retention is over."""
    wanted = {"kind": "TrainingRun", "name": name, "step": step}
    record = await newest_record(call, {Column("attributes", key): value for key, value in wanted.items()})
    return None if record is None or await is_hidden(call, record) else output_digest(record, OUTPUT)


ENDPOINTS = (
    Endpoint(
        "/v1/namespaces/{namespace}/trainingruns/{name}/steps/{step}/report",
        get_report,
        "The report of an evaluate step: metrics, slices, curves",
        "get trainingruns NAME; with read-data datasets also the values of slices, and Markdown",
        (Parameter("format", "json, or md for Markdown", default="json", choices=tuple(REPORT_FILES)),),
        ("application/json", "text/markdown"),
    ),
)
