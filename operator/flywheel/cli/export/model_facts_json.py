"""The facts as JSON, for programs."""

import json
from typing import Any

from flywheel.cli.fields import content_digest

DOCUMENT = "flywheel.ml/model-facts/v1"


def document(facts: dict[str, Any]) -> str:
    """Returns the document with its digest."""
    content = {"document": DOCUMENT, **facts}
    return (
        json.dumps({**content, "contentDigest": content_digest(content)}, indent=2, sort_keys=True, ensure_ascii=False)
        + "\n"
    )


def split_digest(document: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Returns the document's content, and the digest that it states."""
    return {key: value for key, value in document.items() if key != "contentDigest"}, document.get("contentDigest")
