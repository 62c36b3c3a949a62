"""The digest of a document's content, stated in the document itself, so that a modification is found without the cluster."""

from typing import Any

from flywheel.core.resource import names


def content_digest(content: Any) -> str:
    """Returns `sha256:` and the hexadecimal digest of the content's canonical JSON."""
    return f"sha256:{names.digest(content)}"
