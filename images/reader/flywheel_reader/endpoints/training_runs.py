"""Reports of the steps of TrainingRuns."""

from starlette.responses import Response

from flywheel_reader.call import Call
from flywheel_reader.endpoint import Endpoint, Parameter
from flywheel_reader.endpoints.artifact_files import file_response
from flywheel_reader.errors import NotFound

REPORT_FILES = {"json": ("report.json", "application/json"), "md": ("report.md", "text/markdown; charset=utf-8")}
OUTPUT = "evaluation"


async def get_report(call: Call) -> Response:
    """The report of an evaluate step."""
    name, step = call.path["name"], call.path["step"]
    await call.require("trainingruns", name)
    steps = ((await call.object("trainingruns", name)).get("status") or {}).get("steps") or ()
    found = next((each for each in steps if each.get("name") == step), None)
    digest = ((found or {}).get("outputs") or {}).get(OUTPUT)
    if digest is None:
        raise NotFound(
            f"step '{step[:120]}' of TrainingRun '{name}' has no evaluation yet; a step of kind evaluate writes one when it succeeds"
        )
    path, media_type = REPORT_FILES[call.query["format"]]
    return await file_response(call, await call.store().artifacts.file(digest, path), media_type)


ENDPOINTS = (
    Endpoint(
        "/v1/namespaces/{namespace}/trainingruns/{name}/steps/{step}/report",
        get_report,
        "The report of an evaluate step: metrics, slices, curves",
        "get trainingruns NAME",
        (Parameter("format", "json, or md for Markdown", default="json", choices=tuple(REPORT_FILES)),),
        ("application/json", "text/markdown"),
    ),
)
