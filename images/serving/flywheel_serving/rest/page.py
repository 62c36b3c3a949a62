"""The page for people at `GET /`: what is served, what it takes and gives, and a command that works."""

import shlex
from urllib.parse import quote

from flywheel_serving.dataplane import DataPlane
from flywheel_serving.rest import codec
from flywheel_serving.signature import TensorSpec


def text(dataplane: DataPlane, host: str, *, guarded: bool = False) -> str:
    """Plain text, so that a browser and curl both show it and nothing in it can be markup. `guarded`: a bearer token is asked for."""
    signature = dataplane.signature
    body = shlex.quote(codec.document(dataplane.example, signature.inputs).decode())
    state = "ready" if dataplane.ready else "not ready"
    task = signature.extra.get("task")
    about = f"task: {task}, predicts {signature.extra.get('target')!r}\n" if task else ""
    path = f"/v2/models/{quote(dataplane.name, safe='')}"
    url = shlex.quote(f"http://{host}{path}/infer")
    token = '-H "Authorization: Bearer $TOKEN" ' if guarded else ""
    return (
        f"{dataplane.name}, version {dataplane.version} ({state})\n{about}\n"
        f"It takes\n{_table(signature.inputs)}\nand gives\n{_table(signature.outputs)}\n"
        "-1 is any number of rows. Ask it with the Open Inference Protocol v2, for example:\n\n"
        f"curl {url} {token}-H 'Content-Type: application/json' -d {body}\n\n"
        f"OpenAPI:    {path}/openapi.json\n"
        f"Metadata:   {path}\n"
        f"Statistics: {path}/stats\n"
        "Health:     /v2/health/ready\n"
        "Metrics:    /metrics\n"
        "gRPC, where it is on, is the service inference.GRPCInferenceService\n"
    )


def _table(specs: tuple[TensorSpec, ...]) -> str:
    width = max(len(spec.name) for spec in specs)
    return "".join(f"  {spec.name:{width}}  {spec.datatype:6}  {list(spec.shape)}\n" for spec in specs)
