"""The versions of Datasets that a run uses."""

from flywheel.core.resource.api import Manifest
from flywheel.core.resource.conditions import is_ready
from flywheel.core.resource.values import Digest
from flywheel.kinds.trainingpipeline.schema import Template
from flywheel.kinds.trainingpipeline.schema.inputs import Source
from flywheel.kinds.trainingrun.observe import Seen
from flywheel.kinds.trainingrun.schema import TrainingRun
from flywheel.kinds.trainingrun.schema.status import InputUsed

FACTS = ("task", "classes", "rows", "testDigest")  # of a version, for steps that use it


def resolve_inputs(run: TrainingRun, seen: Seen, template: Template) -> tuple[InputUsed, ...]:
    """The version for each input: the one that the run, or the run that it reproduces, started with, else the current one.

    An input without a digest is not available yet.
    """
    started = run.status.inputs if run.status.start_time else ()
    known = {each.name: each for each in (seen.original.inputs if seen.original is not None else started)}
    return tuple(
        known.get(str(each.name)) or _current_version(each, seen.datasets.get(str(each.dataset)))
        for each in template.inputs
    )


def _current_version(source: Source, dataset: Manifest | None) -> InputUsed:
    unresolved = InputUsed(name=str(source.name), dataset=str(source.dataset), version=source.version)
    versions = ((dataset or {}).get("status") or {}).get("versions") or ()
    if source.version is not None:
        version = next((each for each in versions if each["name"] == source.version), None)
    else:
        version = versions[0] if versions and is_ready(dataset or {}) else None
    if version is None:
        return unresolved
    facts = {name: str(version[name]) for name in FACTS if version.get(name) is not None}
    resolved = {"version": version["name"], "digest": Digest(version["digest"]), "facts": facts}
    return unresolved.model_copy(update=resolved)
