"""What every child carries besides what its kind asked for: namespace, labels, owner reference."""

from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import Reference
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.plan import Child, ExistingChild

# Where the workloads keep the metadata of what they make in turn.
_TEMPLATES = (("spec", "template"), ("spec", "jobTemplate"), ("spec", "jobTemplate", "spec", "template"))
_WORKLOADS = frozenset({"apps", "batch"})


def with_owner(resource: AnyResource, child: Child) -> dict[str, Any]:
    """A new manifest with namespace, labels (also in pod templates) and, for an owned child, the owner reference.

    A child that outlives its maker does not carry the maker's uid: nothing may find it by that once the maker is gone.
    """
    manifest: dict[str, Any] = _copied(dict(child.manifest))
    labels = names.labels(resource)
    if not child.owned:
        del labels[names.UID_LABEL]
    metadata = manifest["metadata"]
    metadata["namespace"] = resource.namespace
    metadata["labels"] = {**labels, **metadata.get("labels", {})}
    if child.owned:
        metadata["ownerReferences"] = [names.owner_reference(resource)]
    for path in _TEMPLATES if child.api.group in _WORKLOADS else ():
        template = manifest
        for step in path:
            template = template.get(step, {})
        if template:
            inside = template.setdefault("metadata", {})
            inside["labels"] = {**labels, **inside.get("labels", {})}
    return manifest


def child_reference(resource: AnyResource, child: Child | ExistingChild) -> Reference:
    """Where the child lives: always beside its maker."""
    return Reference(child.api, resource.namespace, child.name)


def _copied(value: Any) -> Any:
    """What JSON can hold; a quarter of the time of `deepcopy`, which guards against cycles (measured: a fifth of a look)."""
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copied(each) for each in value]
    return value
