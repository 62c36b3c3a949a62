"""From a manifest to a typed resource."""

from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from flywheel.core.resource.api import Manifest, Reference
from flywheel.core.resource.kind import AnyKind, AnyResource, Resource
from flywheel.core.resource.schema import Schema, Status


class InvalidSpec(ValueError):
    """The spec does not fit the kind's schema. The message names object, finding and next step; `resource` has everything but the spec."""

    def __init__(self, message: str, resource: AnyResource) -> None:
        super().__init__(message)
        self.resource = resource


def parse_resource(kind: AnyKind, manifest: Manifest) -> AnyResource:
    """Returns a resource with its typed spec and status.

    Raises:
        InvalidSpec: the spec does not fit, which is possible where the CRD is older or newer than the operator.
    """
    status = _status(kind, manifest.get("status") or {})
    try:
        spec = kind.spec.model_validate(manifest.get("spec") or {})
    except ValidationError as error:
        raise InvalidSpec(_sentence(manifest, error), _resource(kind, manifest, Schema(), status)) from None
    return _resource(kind, manifest, spec, status)


def find_references(kind: AnyKind, manifest: Manifest) -> frozenset[Reference]:
    """Returns the resources that one refers to; none where its spec does not fit the schema."""
    try:
        return frozenset(kind.references(parse_resource(kind, manifest)))
    except InvalidSpec:
        return frozenset()


def _resource(kind: AnyKind, manifest: Manifest, spec: Schema, status: Status) -> AnyResource:
    metadata = manifest["metadata"]
    return Resource(
        api=kind.api,
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 1),
        created=datetime.fromisoformat(metadata.get("creationTimestamp", "1970-01-01T00:00:00Z")).astimezone(UTC),
        spec=spec,
        status=status,
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
    )


def _status(kind: AnyKind, raw: dict[str, Any]) -> Status:
    """Returns the status without the fields that this operator cannot parse, which it will write again."""
    schema: type[Status] = kind.status
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        unreadable = {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
    try:
        return schema.model_validate({key: value for key, value in raw.items() if key not in unreadable})
    except ValidationError:
        return schema()


def _sentence(manifest: Manifest, error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    field = ".".join(str(part) for part in ("spec", *first["loc"]))
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return (
        f"{manifest['kind']} '{manifest['metadata']['name']}' cannot be read: {field}: {first['msg']}{more}; "
        f"correct {field}, or install the CRDs of this operator's version"
    )
