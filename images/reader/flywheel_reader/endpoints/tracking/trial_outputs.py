"""Reports in the outputs of a trial or a step: of a model that no ModelVersion has, and of an evaluation."""

from starlette.responses import Response

from flywheel_reader.call import Call
from flywheel_reader.endpoint import Endpoint
from flywheel_reader.endpoints.artifact_files import file_response
from flywheel_reader.endpoints.model_versions import REPORTS
from flywheel_reader.endpoints.tracking.evaluations import (
    PAGE,
    PARTIAL_DEPENDENCE,
    REPORT,
    evaluation_response,
)
from flywheel_reader.endpoints.tracking.records import output_digest
from flywheel_reader.endpoints.tracking.trials import OWNER, TRIAL, TRIAL_RIGHT, find_trial
from flywheel_reader.errors import NotFound

# Whoever may get the trial may read these files; a model's bytes are data, which only the right on a ModelVersion opens.
EVALUATION = "evaluation"
READABLE = {"model": REPORTS, EVALUATION: frozenset({REPORT, PAGE, PARTIAL_DEPENDENCE})}


async def get_output_file(call: Call) -> Response:
    """The bytes of one report."""
    record = await find_trial(call)
    output, path = call.path["output"], call.path["path"]
    if path not in READABLE.get(output, ()):
        readable = ", ".join(f"{name}/{file}" for name, files in READABLE.items() for file in sorted(files))
        raise NotFound(
            f"a trial's outputs/ has no such file; it has {readable}, files/ has its tracking output, and a ModelVersion the files of its model"
        )
    digest = output_digest(record, output)
    if digest is None:
        raise NotFound(f"trial {record['id']!r} has no output '{output}'")
    if output == EVALUATION:
        return await evaluation_response(call, digest, path)
    return await file_response(call, await call.store().artifacts.file(digest, path))


ENDPOINTS = (
    Endpoint(
        f"{TRIAL}/outputs/{{output}}/{{path:path}}",
        get_output_file,
        "A report of a model or an evaluation: "
        + "; ".join(f"{output}/{', '.join(sorted(files))}" for output, files in READABLE.items()),
        TRIAL_RIGHT,
        OWNER,
        media_types=("application/octet-stream",),
    ),
)
