"""A revision: the content of a pipeline that decides what its runs do, and its name."""

from typing import Any

from flywheel.core.resource import names
from flywheel.kinds.trainingpipeline.schema.template import Template


def content(template: Template) -> dict[str, Any]:
    """The template as JSON, without what has its default: an operator that knows one more field sees the same revision."""
    fields = set(Template.model_fields)
    return template.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True, include=fields)


def digest(template: Template) -> str:
    """The revision's name: the first 8 digits of the digest of its content."""
    return names.digest(content(template))[:8]


def revision_name(pipeline: str, revision: str) -> str:
    """The name of the ControllerRevision."""
    return names.truncate(f"{pipeline}-{revision}", names.MAX_NAME_LENGTH)
