"""The report of an evaluation. It names values of the columns that it is sliced by, which need a right on the data."""

from typing import Any

from starlette.responses import Response

from flywheel_reader.access.rights import DATA_VERB, forbidden_message
from flywheel_reader.call import Call
from flywheel_reader.endpoints.artifact_files import OCTETS, file_response
from flywheel_reader.endpoints.documents import read_document
from flywheel_reader.errors import Forbidden
from flywheel_reader.responses import json_response

REPORT, PAGE = "report.json", "report.md"
PARTIAL_DEPENDENCE = "partial_dependence.json"
LEFT_OUT = "values of the slices are left out: they need the verb read-data on the namespace's Datasets, or spec.showValues of the Dataset"


async def evaluation_response(call: Call, digest: str, path: str, media_type: str = OCTETS) -> Response:
    """The report, or another file. Who may not read data gets the report without values, and no file that has them."""
    artifacts = call.store().artifacts
    file = await artifacts.file(digest, path)
    if await call.is_allowed(DATA_VERB, "datasets"):
        return await file_response(call, file, media_type)
    report = await read_document(call, await artifacts.file(digest, REPORT))
    if report.get("showsValues") is True:
        return await file_response(call, file, media_type)
    if path == REPORT:
        return json_response(without_slice_values(report))
    missing = forbidden_message(call.caller, DATA_VERB, "datasets", call.namespace, "")
    values = "values of the slices" if path == PAGE else "values of the columns"
    raise Forbidden(f"{path} names {values}; {missing}, or read {REPORT}, which leaves them out")


def without_slice_values(report: dict[str, Any]) -> dict[str, Any]:
    """The report with the measurements of each slice, and not the value of the column that its rows have."""
    slices = {
        name: {**column, "values": [_without_value(each) for each in column.get("values") or ()]}
        for name, column in _mapping(report.get("slices")).items()
        if isinstance(column, dict)
    }
    worst = {name: _without_value(each) for name, each in _mapping(report.get("worst")).items()}
    return {**report, "slices": slices, "worst": worst, "message": LEFT_OUT}


def _without_value(measured: Any) -> dict[str, Any]:
    return {key: value for key, value in _mapping(measured).items() if key != "value"}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
