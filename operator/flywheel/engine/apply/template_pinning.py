"""Pinned pod templates: they change only when their inputs do, so that a new operator, which may render other bytes, restarts nothing.

The child has two annotations: `flywheel.ml/inputs`, a hash of what the template was rendered from, and `flywheel.ml/rendered`, hashes of
the rest of the manifest and of the template as they were last applied. The hashes also detect a field that was dropped from the
manifest, which a comparison with the live object cannot.

| inputs  | template's hash | what is applied                                                             |
|---------|-----------------|-----------------------------------------------------------------------------|
| changed | any             | everything as rendered now                                                  |
| same    | same            | everything, if the live object differs: drift heals                         |
| same    | other           | the rest as rendered now; the template as it is live, so nothing restarts   |
"""

from collections.abc import Mapping
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import Manifest
from flywheel.core.resource.plan import Child

HASH_DIGITS = 16


def with_hashes(manifest: dict[str, Any], child: Child) -> dict[str, Any]:
    """Adds the hashes to the rendered manifest, in place, and returns it. A child that is written once needs none."""
    if child.create_only:
        return manifest
    annotations: dict[str, str] = {}
    ours = {key: value for key, value in manifest.get("spec", {}).items() if key not in child.shared_fields}
    rest = names.digest({**manifest, "spec": {**ours, "template": None}})[:HASH_DIGITS]
    template = names.digest(manifest.get("spec", {}).get("template") or {})[:HASH_DIGITS]
    if child.inputs is not None:
        annotations[names.INPUTS_ANNOTATION] = names.digest(child.inputs)[:HASH_DIGITS]
    annotations[names.RENDERED_ANNOTATION] = f"{rest}-{template}"
    metadata = manifest["metadata"]
    metadata["annotations"] = {**metadata.get("annotations", {}), **annotations}
    return manifest


def pin_template(desired: dict[str, Any], live: Manifest) -> dict[str, Any]:
    """Returns what to apply, by the table above.

    A pinned template is sent whole as it is live, defaults included. Leaving it out would remove the fields that only the operator owns;
    sending it changes nothing, so the workload's generation stays and nothing restarts. Its resourceVersion makes the apply fail if it has
    changed meanwhile.
    """
    inputs = _annotation(desired, names.INPUTS_ANNOTATION)
    rest, _, template = _annotation(desired, names.RENDERED_ANNOTATION).partition("-")
    _live_rest, _, live_template = _annotation(live, names.RENDERED_ANNOTATION).partition("-")
    if not inputs or inputs != _annotation(live, names.INPUTS_ANNOTATION) or template == live_template:
        return desired
    metadata = desired["metadata"]
    annotations = {**metadata["annotations"], names.RENDERED_ANNOTATION: f"{rest}-{live_template}"}
    return {
        **desired,
        "metadata": {
            **metadata,
            "annotations": annotations,
            "resourceVersion": live["metadata"]["resourceVersion"],
        },
        "spec": {**desired["spec"], "template": live["spec"]["template"]},
    }


def inputs_changed(child: Child, live: Manifest) -> bool:
    """Returns whether the template of an existing object was rendered from other inputs than those of the child."""
    if child.inputs is None:
        return False
    return names.digest(child.inputs)[:HASH_DIGITS] != _annotation(live, names.INPUTS_ANNOTATION)


def _annotation(manifest: Mapping[str, Any], name: str) -> str:
    return str((manifest["metadata"].get("annotations") or {}).get(name, ""))
