"""Whether a live object already matches the desired one, in the form in which the API server stores it.

Measured on Kubernetes 1.35: quantities are rewritten, some empty values are dropped, defaults are added, keyed lists may have grown.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flywheel.core.resource.values import parse_quantity

# Lists that the server merges by a key, in which elements of other field managers are ignored. All other lists are whole values.
KEYED = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "conditions": ("type",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "hostAliases": ("ip",),
}
QUANTITIES_IN = frozenset({"limits", "requests", "capacity", "hard"})
QUANTITIES = frozenset({"sizeLimit", "averageValue", "divisor"})
# Fields whose zero value the server drops. Pointers such as allowPrivilegeEscalation are not here: without them false means true.
DROPPED_ZEROS = frozenset(
    {
        "value",
        "priorityClassName",
        "medium",
        "subPath",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "readOnly",
        "initialDelaySeconds",
        "publishNotReadyAddresses",
        "serviceAccountName",
        "nodeName",
    }
)
DROPPED_EMPTIES = frozenset(
    {
        "annotations",
        "labels",
        "nodeSelector",
        "data",
        "binaryData",
        "limits",
        "requests",
        "tolerations",
        "imagePullSecrets",
        "args",
        "command",
        "env",
        "envFrom",
        "volumes",
        "volumeMounts",
        "initContainers",
        "add",
        "drop",
        "supplementalGroups",
        "ports",
        "from",
        "to",
        "except",
        "ingress",
        "egress",
        "onPodConditions",
        "topologySpreadConstraints",
        "items",
    }
)


def matches(desired: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Returns whether every desired field is in the live object with the same meaning. Other fields of the live object do not matter."""
    return _mapping(desired, live, "")


def _mapping(desired: Mapping[str, Any], live: Mapping[str, Any], parent: str) -> bool:
    return all(
        _same(value, live[key], key, parent) if key in live else _dropped(value, key) for key, value in desired.items()
    )


def _dropped(desired: Any, key: str) -> bool:
    if desired is None:
        return True
    if isinstance(desired, (dict, list, tuple)):
        return not desired and key in DROPPED_EMPTIES
    return not desired and key in DROPPED_ZEROS


def _same(desired: Any, live: Any, key: str, parent: str) -> bool:
    # `dict`, not Mapping: isinstance of an abstract class took a fifth of a reconcile (measured), and parsed JSON is a dict.
    if isinstance(desired, dict):
        return isinstance(live, dict) and _mapping(desired, live, key)
    if isinstance(desired, (list, tuple)):
        return isinstance(live, list) and _list(desired, live, key)
    if desired == live and isinstance(desired, bool) == isinstance(live, bool):
        return True
    if parent in QUANTITIES_IN or key in QUANTITIES:
        return bool(_amount(desired) == _amount(live))
    return key == "path" and parent == "httpGet" and (desired, live) == ("", "/")


def _list(desired: Sequence[Any], live: Sequence[Any], key: str) -> bool:
    keys = KEYED.get(key)
    if keys is None or not all(isinstance(each, dict) for each in (*desired, *live)):
        return len(desired) == len(live) and all(_same(a, b, key, "") for a, b in zip(desired, live, strict=True))
    found = {_identity(each, keys): each for each in live}
    return all(_same(each, found.get(_identity(each, keys)), key, "") for each in desired)


def _identity(element: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(element.get(key) for key in keys)


def _amount(text: Any) -> Any:
    try:
        return parse_quantity(text)
    except ValueError:
        return text
