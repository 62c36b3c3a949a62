"""Versions of Datasets: their profile and report, and, for those who may read data, their rows and files.

A profile and a report name values of the data only for those who may read it, or where the Dataset shows them anyway.
"""

from typing import Any

import orjson
from starlette.responses import Response

from flywheel_reader.call import Call
from flywheel_reader.endpoint import Endpoint, Parameter
from flywheel_reader.endpoints.artifact_files import describe_files, file_response
from flywheel_reader.endpoints.documents import read_document
from flywheel_reader.endpoints.tracking.records import newest_record
from flywheel_reader.errors import NotFound
from flywheel_reader.responses import SAFE_HEADERS, json_response
from flywheel_reader.store.manifests import File
from flywheel_reader.tables.rows import MAX_ROWS, Window, encode_rows
from flywheel_reader.tracking.columns import Column
from flywheel_reader.workers import run_in_worker

VERSION = "/v1/namespaces/{namespace}/datasets/{name}/versions/{version}"
MAX_SPLIT_BYTES = 24 << 20
ARROW = "application/vnd.apache.arrow.stream"
LEFT_OUT = "values of the data are left out: they need the verb read-data on the Dataset, or spec.showValues"


async def get_profile(call: Call) -> Response:
    """The statistics of each column."""
    await call.require("datasets", call.path["name"])
    files = await _files(call)
    profile = await _document(call, files, "profile.json")
    if not await _shows_values(call, files):
        columns = {name: _without_categories(column) for name, column in profile.get("columns", {}).items()}
        profile = {**profile, "columns": columns, "message": LEFT_OUT}
    return json_response(profile)


async def get_report(call: Call) -> Response:
    """The anomalies that the check found."""
    await call.require("datasets", call.path["name"])
    files = await _files(call)
    report = await _document(call, files, "report.json")
    if not await _shows_values(call, files):
        known = ("kind", "severity", "column", "count")
        anomalies = [{key: each[key] for key in known if key in each} for each in report.get("anomalies", ())]
        report = {**report, "anomalies": anomalies, "message": LEFT_OUT}
    return json_response(report)


async def get_rows(call: Call) -> Response:
    """Rows of one split."""
    await call.require_data("datasets", call.path["name"])
    files = await _files(call)
    split, query = call.query["split"], call.query
    file = files.get(f"{split}.parquet")
    if file is None:
        raise NotFound(f"the version has no split '{split}'")
    window = Window(tuple(query["columns"]), query["offset"], query["limit"])
    async with call.heavy_slot():
        content = await call.store().artifacts.read(file, MAX_SPLIT_BYTES)
        body = await run_in_worker(encode_rows, [content], window, query["format"])
    total = (await _document(call, files, "schema.json")).get("rows", {}).get(split)
    if query["format"] == "arrow":
        following = {} if body.next_offset is None else {"X-Flywheel-Next-Offset": str(body.next_offset)}
        return Response(body.content, headers={**SAFE_HEADERS, **following}, media_type=ARROW)
    rest = orjson.dumps({"total": total, "next": body.next_offset, **_more(body.next_offset)})
    return Response(b'{"items":' + body.content + b"," + rest[1:], headers=SAFE_HEADERS, media_type="application/json")


async def get_files(call: Call) -> Response:
    """The names, sizes and digests of a version's files."""
    await call.require_data("datasets", call.path["name"])
    return json_response({"files": describe_files(await _files(call))})


async def get_file(call: Call) -> Response:
    """The bytes of one file."""
    await call.require_data("datasets", call.path["name"])
    file = (await _files(call)).get(call.path["path"])
    if file is None:
        raise NotFound("the version has no such file; its files/ lists those that it has")
    return await file_response(call, file)


def _more(next_offset: int | None) -> dict[str, str]:
    return {} if next_offset is None else {"message": f"there are more rows; go on with offset={next_offset}"}


def _without_categories(column: Any) -> Any:
    if not isinstance(column, dict) or "categories" not in column:
        return column
    return {key: value for key, value in column.items() if key != "categories"}


async def _shows_values(call: Call, files: dict[str, File]) -> bool:
    if await call.is_allowed("read-data", "datasets", call.path["name"]):
        return True
    return (await _document(call, files, "schema.json")).get("showValues") is True


async def _document(call: Call, files: dict[str, File], path: str) -> dict[str, Any]:
    file = files.get(path)
    if file is None:
        raise NotFound(f"the version has no {path}")
    return await read_document(call, file)


async def _files(call: Call) -> dict[str, File]:
    """The files of the version in the path: of the Dataset's status, else of a record that names it."""
    name, version = call.path["name"], call.path["version"]
    try:
        status = (await call.object("datasets", name)).get("status") or {}
    except NotFound:
        status = {}
    digest = next((each["digest"] for each in status.get("versions", ()) if each.get("name") == version), None)
    if digest is None:
        digest = await _digest_of_records(call, name, version)
    if digest is None:
        raise NotFound(
            f"Dataset '{name}' has no version '{version[:120]}' in namespace '{call.namespace}'; its status.versions lists those that it has"
        )
    return await call.store().artifacts.files(digest)


async def _digest_of_records(call: Call, name: str, version: str) -> str | None:
    """The digest of a version that the Dataset no longer lists, if a trial was trained on it."""
    record = await newest_record(call, {Column("dataset", "name"): name, Column("dataset", "version"): version})
    digest = (record or {}).get("datasetDigest")
    return digest if isinstance(digest, str) else None


ROWS = (
    Parameter("split", "The split", default="train", choices=("train", "validation", "test")),
    Parameter("columns", "These columns alone; may be repeated", repeated=True),
    Parameter("limit", "The most rows", "integer", 1000, 1, MAX_ROWS),
    Parameter("offset", "The first row, from 0", "integer", 0),
    Parameter("format", "json, or arrow: an Arrow stream", default="json", choices=("json", "arrow")),
)
ENDPOINTS = (
    Endpoint(
        f"{VERSION}/profile",
        get_profile,
        "Statistics of each column",
        "get datasets NAME; with read-data also the values of text columns",
    ),
    Endpoint(
        f"{VERSION}/report",
        get_report,
        "Anomalies that the check found",
        "get datasets NAME; with read-data also examples",
    ),
    Endpoint(
        f"{VERSION}/rows",
        get_rows,
        "Rows of a split, at most 100,000 or 16 MiB",
        "read-data datasets NAME",
        ROWS,
        ("application/json", ARROW),
    ),
    Endpoint(f"{VERSION}/files", get_files, "The files of the version", "read-data datasets NAME"),
    Endpoint(
        f"{VERSION}/files/{{path:path}}",
        get_file,
        "A file of the version; takes the header Range",
        "read-data datasets NAME",
        media_types=("application/octet-stream",),
    ),
)
