"""Files of ModelVersions: reports for those who may get the version, bytes of the model for those who may read data."""

from starlette.responses import Response

from flywheel_reader.call import Call
from flywheel_reader.endpoint import Endpoint
from flywheel_reader.endpoints.artifact_files import describe_file, file_response
from flywheel_reader.errors import NotFound
from flywheel_reader.responses import json_response
from flywheel_reader.store.artifacts import DIGEST
from flywheel_reader.store.manifests import File

VERSION = "/v1/namespaces/{namespace}/modelversions/{name}"
# partial_dependence.json is none of them: it quotes values of the data.
REPORTS = frozenset({"evaluation.json", "permutation_importance.json", "run.json", "signature.json"})
RESOURCE = "modelversions"
REPLAY_PREFIX = "replay-"  # of documents with rows of the prediction log


async def get_version(call: Call) -> Response:
    """The version's digest and files."""
    await call.require(RESOURCE, call.path["name"])
    digest = await _digest(call)
    files = await call.store().artifacts.files(digest)
    described = [
        {**describe_file(file), "right": "get" if path in REPORTS else "read-data"} for path, file in files.items()
    ]
    return json_response(
        {"name": call.path["name"], "digest": digest, "files": described}, headers={"ETag": f'"{digest}"'}
    )


async def get_file(call: Call) -> Response:
    """The bytes of one file."""
    name, path = call.path["name"], call.path["path"]
    if path in REPORTS:
        await call.require(RESOURCE, name)
    else:
        await call.require_data(RESOURCE, name)
    files: dict[str, File] = await call.store().artifacts.files(await _digest(call))
    if path not in files:
        raise NotFound(f"ModelVersion '{name}' has no such file; its path lists those that it has")
    return await file_response(call, files[path])


async def get_gate_results(call: Call) -> Response:
    """A file that the gates' Job wrote. Those of gates on traffic quote logged requests, of any of the Model's services."""
    name, path = call.path["name"], call.path["path"]
    if path.startswith(REPLAY_PREFIX):
        await call.require_data("inferenceservices", "")
    else:
        await call.require_data(RESOURCE, name)
    gates = ((await call.object(RESOURCE, name)).get("status") or {}).get("gates") or {}
    digest = gates.get("artifact")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise NotFound(f"no gate of ModelVersion '{name}' was measured yet; its status.gates says what was")
    file = await call.store().artifacts.file(digest, path)
    return await file_response(call, file, "application/json")


async def _digest(call: Call) -> str:
    """The artifact of a version that was verified. Its spec may name any artifact of the namespace, and opens none."""
    name = call.path["name"]
    digest = ((await call.object(RESOURCE, name)).get("status") or {}).get("digest")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise NotFound(f"ModelVersion '{name}' is not verified yet; its condition Ready says what it waits for")
    return digest


ENDPOINTS = (
    Endpoint(
        VERSION, get_version, "A version's digest, its files, and the right that each needs", "get modelversions NAME"
    ),
    Endpoint(
        f"{VERSION}/files/{{path:path}}",
        get_file,
        "A file of a version; takes the header Range",
        f"get modelversions NAME for {', '.join(sorted(REPORTS))}, read-data for every other file",
        media_types=("application/octet-stream",),
    ),
    Endpoint(
        f"{VERSION}/gates/{{path:path}}",
        get_gate_results,
        "What the last measurement of the gates found: gates.json, and replay-GATE.json of a gate on logged requests",
        "read-data modelversions NAME; for replay-GATE.json read-data inferenceservices, of all in the namespace",
    ),
)
