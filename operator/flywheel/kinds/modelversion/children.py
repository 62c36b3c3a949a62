"""What a ModelVersion becomes: one verify Job, in the image that will serve it."""

from datetime import timedelta
from urllib.parse import unquote, urlsplit

from flywheel.core.pods.fetch import Input
from flywheel.core.pods.job import Step, step_job
from flywheel.core.pods.pod_spec import module_command
from flywheel.core.resource.kind import Resource
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Resources
from flywheel.core.settings import Settings
from flywheel.kinds.modelversion.schema.spec import ArtifactSource, HttpSource, ModelVersionSpec, S3Source
from flywheel.kinds.modelversion.schema.status import ModelVersionStatus

ModelVersion = Resource[ModelVersionSpec, ModelVersionStatus]

VERIFY = "verify"
VERIFY_ANNOTATION = "flywheel.ml/verify-requested"
CLEAR_REJECTION_ANNOTATION = "flywheel.ml/clear-rejection"
MODEL_FILE = "model.onnx"  # what the server looks for (images/README.md, "A model artifact")
VERIFY_TIMEOUT = timedelta(minutes=30)
DEFAULT_RESOURCES = Resources(requests={"cpu": "100m", "memory": "256Mi"})


def verify_job(version: ModelVersion, attempt: int, settings: Settings) -> Child:
    """The Job of one attempt."""
    spec = version.spec
    quantize = {"quantize": spec.quantize} if spec.quantize else {}
    example = {"example": spec.example.model_dump(exclude_none=True)} if spec.example else {}
    step = Step(
        name=VERIFY,
        attempt=attempt,
        image=settings.serving_image,
        command=module_command("flywheel_serving.verify"),
        params={"format": spec.format, "path": model_path(spec), "brought": is_brought(spec), **quantize, **example},
        inputs=(source_input(spec, settings), *_test_data(spec)),
        outputs=("model",) if is_packed(spec) else (),
        timeout=VERIFY_TIMEOUT,
        resources=spec.resources.or_default(DEFAULT_RESOURCES),
        placement=spec.placement,
        pull_secrets=spec.image_pull_secrets,
        pre_commands=("quantize",) if spec.quantize else (),
        audit={"model": spec.model, "entries": [{"event": "Verified", "version": version.name}]},
    )
    return step_job(version, step, settings)


def is_packed(spec: ModelVersionSpec) -> bool:
    """Whether verify makes a new artifact to be served: of what was brought, was quantised, or has an example."""
    return is_brought(spec) or spec.quantize is not None or spec.example is not None


def is_brought(spec: ModelVersionSpec) -> bool:
    """Whether the file is no artifact of ours: it came from elsewhere, or is not called model.onnx."""
    return spec.source.artifact is None or spec.path != MODEL_FILE


def _test_data(spec: ModelVersionSpec) -> tuple[Input, ...]:
    """What was trained here is tested once more after it was quantised, on the data that it was tested on."""
    if spec.quantize is None or spec.dataset_digest is None:
        return ()
    return (Input("data", artifact=str(spec.dataset_digest)),)


def model_path(spec: ModelVersionSpec) -> str:
    """The model's file below the input: as in the spec for an artifact, else the name under which `fetch` saves a single file."""
    match spec.source.location:
        case S3Source(uri=uri):
            return uri.rpartition("/")[2]
        case HttpSource(url=url):
            return unquote(urlsplit(url).path.rpartition("/")[2]).replace("/", "_").replace("\\", "_")
        case _:
            return spec.path


def source_input(spec: ModelVersionSpec, settings: Settings) -> Input:
    """Where `fetch` finds the model."""
    sha256 = str(spec.source.sha256)
    match spec.source.location:
        case ArtifactSource(digest=digest):
            return Input("model", artifact=str(digest))
        case S3Source() as s3:
            secret = str(s3.secret_name) if s3.secret_name else None
            location = s3.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"secret_name"})
            named = {"secret": secret} if secret else {}
            return Input("model", s3={**location, **named, "foreign": secret is not None}, secret=secret, sha256=sha256)
        case HttpSource() as http:
            allowed = list(settings.allowed_http_hosts)
            return Input("model", http={"url": http.url, "sha256": sha256, "allowedHosts": allowed})
