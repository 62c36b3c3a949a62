"""The page at `GET /`: the model, its inputs and outputs, and an example command."""

import shlex
from urllib.parse import quote

from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.model.signature import TensorSpec
from flywheel_serving.rest import codec
from flywheel_serving.rest.predict.example import example_rows


def render_page(dataplane: DataPlane, host: str, *, guarded: bool = False) -> str:
    """Plain text, which browsers and curl show and which cannot contain markup. `guarded`: a bearer token is required."""
    signature = dataplane.signature
    body = shlex.quote(codec.encode_inputs(dataplane.example, signature.inputs).decode())
    state = "ready" if dataplane.ready else "not ready"
    task = signature.extra.get("task")
    about = f"task: {task}, predicts {signature.extra.get('target')!r}\n" if task else ""
    path = f"/v2/models/{quote(dataplane.name, safe='')}"
    url = shlex.quote(f"http://{host}{path}/infer")
    rows = _example_of_rows(dataplane, host, path, guarded=guarded)
    token = '-H "Authorization: Bearer $TOKEN" ' if guarded else ""
    return (
        f"{dataplane.name}, version {dataplane.version} ({state})\n{about}\n"
        f"Inputs\n{_table(signature.inputs)}\nOutputs\n{_table(signature.outputs)}\n"
        "-1 is any number of rows. Send requests of the Open Inference Protocol v2, for example:\n\n"
        f"curl {url} {token}-H 'Content-Type: application/json' -d {body}\n\n{rows}"
        f"OpenAPI:    {path}/openapi.json\n"
        f"Metadata:   {path}\n"
        f"Statistics: {path}/stats\n"
        "Health:     /v2/health/ready\n"
        "Metrics:    /metrics\n"
        "gRPC, if enabled, is the service inference.GRPCInferenceService\n"
    )


def _example_of_rows(dataplane: DataPlane, host: str, path: str, *, guarded: bool) -> str:
    """How to send rows by name, which a model without a row axis does not take."""
    if not dataplane.signature.batched:
        return ""
    body = shlex.quote(example_rows(dataplane.example, dataplane.signature).decode())
    token = ' -H "Authorization: Bearer $TOKEN"' if guarded else ""
    return (
        "Or send rows by column names as JSON, or as CSV (Content-Type: text/csv):\n\n"
        f"curl {shlex.quote(f'http://{host}{path}/predict')}{token} \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d {body}\n\n"
    )


def _table(specs: tuple[TensorSpec, ...]) -> str:
    width = max(len(spec.name) for spec in specs)
    return "".join(f"  {spec.name:{width}}  {spec.datatype:6}  {list(spec.shape)}\n" for spec in specs)
