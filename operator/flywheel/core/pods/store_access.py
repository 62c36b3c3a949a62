"""Whether the installation's credentials may be used for a place that a spec names, as far as the operator knows its folders.

`fetch` and the batch steps apply the same rule to what their Secret says (flywheel_runtime.store.installation); here it is applied before
a pod starts.
"""

from urllib.parse import unquote

from flywheel.core.resource.restrictions import Violation
from flywheel.core.settings import Settings


def source_refusal(uri: str, secret: str | None, namespace: str, settings: Settings, field: str) -> Violation | None:
    """Returns why a source may not be read, or None. One with a Secret of its own is not read with the installation's credentials."""
    own = settings.store_folder(namespace)
    if secret is not None or own is None or any(is_inside(uri, folder) for folder in (own, *settings.readable)):
        return None
    also = f" or in a folder that all namespaces may read ({', '.join(settings.readable)})" if settings.readable else ""
    return Violation(
        "SourceNotAllowed",
        f"'{uri}' is not in this namespace's folder '{own}'{also}, where alone the installation's credentials are used; "
        f"copy the data there and correct {field}.uri, or set {field}.secretName.",
    )


def output_refusal(uri: str, secret: str | None, namespace: str, settings: Settings, field: str) -> Violation | None:
    """Returns why outputs may not be written, or None. Those with a Secret of their own are not written with the installation's credentials."""
    own = settings.store_folder(namespace)
    if secret is not None or own is None or is_inside(uri, own):
        return None
    return Violation(
        "OutputNotAllowed",
        f"'{uri}' is no place for outputs: the installation's credentials write below '{own}' alone; "
        f"correct {field}.uri, or set {field}.secretName.",
    )


def is_inside(uri: str, folder: str) -> bool:
    """Returns whether an S3 URI names the folder, which ends with `/`, or something below it. Keys with empty or dotted parts are in none."""
    key = unquote(uri).removeprefix("s3://").partition("/")[2]
    return uri.startswith(folder) and not any(part in ("", ".", "..") for part in key.removesuffix("/").split("/"))
