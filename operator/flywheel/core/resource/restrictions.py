"""What the installation forbids in every spec: a placement that its values do not allow, and its store's own Secret.

Both are found by their type wherever a spec has them, so a new kind or field is restricted too. The chart's policies refuse the same when a
resource is written; this holds for older resources, and in clusters without the policies.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from flywheel.core.resource.schema import Placement, PullSecret, SecretKey
from flywheel.core.settings import Settings


@dataclass(frozen=True)
class Violation:
    """A forbidden field, as reason and message of a condition."""

    reason: str
    message: str


def find_violation(spec: BaseModel, settings: Settings) -> Violation | None:
    """Returns the first field of a spec that the installation forbids, or None."""
    found = (_placement_violation(path, part, settings) or _secret_violation(path, part, settings)
             for path, part in _walk(spec, "spec"))  # fmt: skip
    return next((each for each in found if each is not None), None)


def _walk(value: object, path: str) -> Iterator[tuple[str, BaseModel]]:
    """Yields every model inside a value, with its path in the manifest."""
    if isinstance(value, BaseModel):
        yield path, value
        for name, field in type(value).model_fields.items():
            part = getattr(value, name)
            if isinstance(part, (BaseModel, tuple, list)):  # most fields are scalars
                yield from _walk(part, f"{path}.{field.alias or name}")
    elif isinstance(value, (tuple, list)):
        for index, each in enumerate(value):
            yield from _walk(each, f"{path}[{index}]")


def _placement_violation(path: str, part: BaseModel, settings: Settings) -> Violation | None:
    if not isinstance(part, Placement):
        return None
    allowed, keys = settings.placement, [each.key or "" for each in part.tolerations]
    if "" in keys:
        message = (
            f"A toleration in {path} has no key, so it tolerates every taint, which is not allowed; give it a key."
        )
        return Violation("PlacementNotAllowed", message)
    classes = [str(part.priority_class_name)] if part.priority_class_name else []
    for field, values, limit, value in (
        ("priorityClassName", classes, allowed.priority_class_names, "priorityClassNames"),
        ("tolerations", keys, allowed.toleration_keys, "tolerationKeys"),
        ("nodeSelector", part.node_selector, allowed.node_selector_keys, "nodeSelectorKeys"),
    ):
        refused = next((each for each in values if limit is not None and each not in limit), None)
        if refused is not None:
            return Violation(
                "PlacementNotAllowed",
                f"{path}.{field} '{refused}' is not allowed in this installation; allowed: {', '.join(limit or ()) or 'none'}. "
                f"Change it, or have an administrator add it to the chart's value placement.{value}.",
            )
    return None


def _secret_violation(path: str, part: BaseModel, settings: Settings) -> Violation | None:
    name = part.name if isinstance(part, (SecretKey, PullSecret)) else getattr(part, "secret_name", None)
    if name != settings.store_secret:
        return None
    return Violation(
        "SecretNotAllowed", f"{path} names Secret '{name}', which is the installation's own; name a Secret of yours."
    )
