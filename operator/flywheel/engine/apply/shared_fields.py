"""Fields of a child that another controller sets, such as `spec.replicas` under an autoscaler.

Leaving a field out of an apply removes it, if no other field manager owns it: `replicas` would fall to its default, 1, for a moment
(measured: 3 becomes 1). So before it is left out for the first time, a second field manager applies the value that it has. An
annotation, written by the apply that leaves it out, records this; an operator that ends in between repeats it.
"""

from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import Manifest
from flywheel.core.resource.plan import Child

MANAGER_SUFFIX = "-handover"  # the end of the second field manager's name


def needs_handover(child: Child, live: Manifest) -> bool:
    """Returns whether the fields have to be handed over: it was not done yet, or a value is 0, which an autoscaler leaves alone for ever."""
    if not child.shared_fields:
        return False
    return _annotation(live) != _field_list(child) or any(not live["spec"].get(field) for field in child.shared_fields)


def handover_manifest(desired: dict[str, Any], child: Child, live: Manifest) -> dict[str, Any]:
    """Returns what the second field manager applies: the live values, and the desired ones where there are none.

    Its resourceVersion makes the apply fail if a value has changed meanwhile.
    """
    values = {field: live["spec"].get(field) or desired["spec"][field] for field in child.shared_fields}
    return child.api.same_version(live, spec=values)


def without_shared_fields(desired: dict[str, Any], child: Child) -> dict[str, Any]:
    """Returns the manifest without the shared fields, and with the annotation that lists them."""
    if not child.shared_fields:
        return desired
    metadata = desired["metadata"]
    annotations = {**metadata.get("annotations", {}), names.SHARED_FIELDS_ANNOTATION: _field_list(child)}
    return {
        **desired,
        "metadata": {**metadata, "annotations": annotations},
        "spec": {field: value for field, value in desired["spec"].items() if field not in child.shared_fields},
    }


def _field_list(child: Child) -> str:
    return ",".join(sorted(child.shared_fields))


def _annotation(live: Manifest) -> str:
    return str((live["metadata"].get("annotations") or {}).get(names.SHARED_FIELDS_ANNOTATION, ""))
