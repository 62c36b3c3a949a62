"""Reports of ModelMonitors. They show values of the data, such as categories, so they need the right to read data."""

from starlette.responses import Response

from flywheel_reader.call import Call
from flywheel_reader.endpoint import Endpoint, Parameter
from flywheel_reader.endpoints.artifact_files import file_response
from flywheel_reader.errors import NotFound

REPORT_FILES = {"html": ("report.html", "text/html; charset=utf-8"), "json": ("report.json", "application/json")}
RESOURCE = "modelmonitors"
# The page has its styles and pictures in itself. Nothing is loaded, and no script runs.
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


async def get_report(call: Call) -> Response:
    """The report of the last run that succeeded."""
    name = call.path["name"]
    await call.require_data(RESOURCE, name)
    status = (await call.object(RESOURCE, name)).get("status") or {}
    digest = (status.get("report") or {}).get("digest")
    if not isinstance(digest, str):
        raise NotFound(
            f"ModelMonitor '{name}' has no report yet; its first run that succeeds writes one, and its condition Ready says what it waits for"
        )
    path, media_type = REPORT_FILES[call.query["format"]]
    file = await call.store().artifacts.file(digest, path)
    return await file_response(call, file, media_type, {"Content-Security-Policy": PAGE_POLICY})


ENDPOINTS = (
    Endpoint(
        f"/v1/namespaces/{{namespace}}/{RESOURCE}/{{name}}/report",
        get_report,
        "The report of the last run: reference against now for each feature",
        f"read-data {RESOURCE} NAME",
        (Parameter("format", "html, or json", default="html", choices=tuple(REPORT_FILES)),),
        ("text/html", "application/json"),
    ),
)
