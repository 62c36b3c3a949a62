"""Fields of a child that somebody else sets, such as `spec.replicas` under an autoscaler.

To leave a field out of what we apply removes it, if nobody else owns it: `replicas` would fall to its default, 1, for a moment
(measured: 3 becomes 1). So before it is left out for the first time, a second field manager applies the value that it has. An
annotation, which comes with the apply that leaves it out, says that this is done; whoever dies in between does it again.
"""

from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import Manifest
from flywheel.core.resource.plan import Child

MANAGER_SUFFIX = "-handover"  # the end of the second field manager's name


def needs_handover(child: Child, live: Manifest) -> bool:
    """Whether the fields are still ours to hand over. Again where there is none of something: an autoscaler leaves 0 alone for ever."""
    if not child.shared_fields:
        return False
    return _annotation(live) != _written(child) or any(not live["spec"].get(field) for field in child.shared_fields)


def handover_manifest(desired: dict[str, Any], child: Child, live: Manifest) -> dict[str, Any]:
    """What the second field manager applies: the values that are there; where there is none, those that we want.

    Its resourceVersion is sent along: were a value changed meanwhile, this would undo the change.
    """
    metadata = {key: live["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
    return {
        "apiVersion": desired["apiVersion"],
        "kind": desired["kind"],
        "metadata": metadata,
        "spec": {field: live["spec"].get(field) or desired["spec"][field] for field in child.shared_fields},
    }


def without_shared_fields(desired: dict[str, Any], child: Child) -> dict[str, Any]:
    """The manifest without those fields, and with the annotation that says so."""
    if not child.shared_fields:
        return desired
    metadata = desired["metadata"]
    annotations = {**metadata.get("annotations", {}), names.SHARED_FIELDS_ANNOTATION: _written(child)}
    return {
        **desired,
        "metadata": {**metadata, "annotations": annotations},
        "spec": {field: value for field, value in desired["spec"].items() if field not in child.shared_fields},
    }


def _written(child: Child) -> str:
    return ",".join(sorted(child.shared_fields))


def _annotation(live: Manifest) -> str:
    return str((live["metadata"].get("annotations") or {}).get(names.SHARED_FIELDS_ANNOTATION, ""))
