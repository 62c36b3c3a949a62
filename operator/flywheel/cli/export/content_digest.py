"""A digest over what a document says, kept inside it: who changes a word must change it too, and then the cluster still disagrees."""

from typing import Any

from flywheel.core.resource import names


def content_digest(content: Any) -> str:
    """`sha256:` and 64 digits over the content's canonical JSON."""
    return f"sha256:{names.digest(content)}"
