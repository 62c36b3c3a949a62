"""Whether a GitOps tool applies an object: what a command changes there lasts only until Git is applied again, unless Git has it, too."""

from collections.abc import Iterator

from flywheel.cli.fields import get_field, list_objects
from flywheel.core.resource.api import Manifest

# Field managers, labels and annotations by which the tools mark what they apply.
MANAGERS = {"argocd-controller": "Argo CD", "kustomize-controller": "Flux", "helm-controller": "Flux", "helm": "Helm"}
MARKS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "meta.helm.sh/release-name": "Helm",
}


def gitops_tool(manifest: Manifest) -> str | None:
    """Returns the name of the tool that applies the object, or None."""
    return next(_tools(manifest), None)


def warn_of_git(manifest: Manifest, field: str) -> str:
    """Returns the sentence to print after a change of that field; an empty one where no tool would undo it."""
    tool = gitops_tool(manifest)
    if tool is None:
        return ""
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    return f"Warning: {tool} applies {kind} '{name}', and sets {field} back where Git says otherwise; change it in Git as well."


def _tools(manifest: Manifest) -> Iterator[str]:
    for entry in list_objects(manifest, "metadata", "managedFields"):
        if entry.get("manager") in MANAGERS and get_field(entry, "fieldsV1", "f:spec") is not None:
            yield MANAGERS[str(entry["manager"])]
    for place in ("labels", "annotations"):
        marks = get_field(manifest, "metadata", place) or {}
        yield from (tool for mark, tool in MARKS.items() if mark in marks)
