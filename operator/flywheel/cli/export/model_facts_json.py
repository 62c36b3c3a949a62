"""The facts themselves, for programs."""

import json
from typing import Any

from flywheel.cli.export.content_digest import content_digest

DOCUMENT = "flywheel.ml/model-facts/v1"


def document(facts: dict[str, Any]) -> str:
    """The facts with their seal."""
    content = {"document": DOCUMENT, **facts}
    return (
        json.dumps({**content, "contentDigest": content_digest(content)}, indent=2, sort_keys=True, ensure_ascii=False)
        + "\n"
    )


def split_digest(document: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """What the document says, and the seal that it carries."""
    return {key: value for key, value in document.items() if key != "contentDigest"}, document.get("contentDigest")
