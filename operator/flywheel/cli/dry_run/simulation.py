"""Asks the API server about manifests, about what they lead to, and about the pods of that."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flywheel.cli.connection import Connection
from flywheel.cli.dry_run.preview_cluster import PreviewCluster
from flywheel.cli.errors import describe_api_error
from flywheel.cli.fields import get_field
from flywheel.cluster.errors import ApiError
from flywheel.core.resource import names
from flywheel.core.resource.api import POD, SERVICE_ACCOUNT, Api, Manifest, Reference
from flywheel.core.resource.kind import AnyKind, AnyResource
from flywheel.core.resource.ownership import with_owner
from flywheel.core.resource.parse import InvalidSpec, parse_resource
from flywheel.core.resource.plan import Child
from flywheel.core.settings import Settings
from flywheel.engine import discover

MANAGER = "flywheel-test"
GENERATED_SUFFIX = "test"  # what stands for the server's letters after a generateName


@dataclass(frozen=True)
class DryRunResult:
    """What the server said of one object. `note`: what a user should know although nothing was refused; `asked`: 0 where nothing was."""

    subject: str
    refusal: str | None = None
    note: str | None = None
    asked: int = 1

    def line(self) -> str:
        """For the terminal."""
        if self.refusal is not None:
            return f"refused  {self.subject}: {self.refusal}"
        return f"{'taken  ' if self.asked else '-      '}  {self.subject}{f': {self.note}' if self.note else ''}"


class Simulation:
    """One test of the manifests of a file, in its order."""

    def __init__(self, connection: Connection, manifests: Sequence[dict[str, Any]]) -> None:
        self._connection = connection
        self._manifests = manifests
        self._kinds = {kind.api: kind for kind in discover.kinds()}
        self._settings = Settings.from_environment(os.environ)
        self._tested: dict[Reference, Manifest] = {}

    def answers(self) -> Iterator[DryRunResult]:
        """One for each object; a manifest that is refused leads to nothing more.

        Raises:
            ApiError: the server gave no answer.
        """
        ours = {(kind.api.api_version, kind.api.kind): kind for kind in self._kinds.values()}
        # All are known before the first is looked at: an Experiment may stand above its Dataset.
        stored: list[tuple[AnyKind, Manifest]] = []
        for manifest in self._manifests:
            kind = ours.get((str(manifest.get("apiVersion")), manifest["kind"]))
            if kind is None:
                yield DryRunResult(
                    _subject(manifest), note="is no kind of Flywheel's, and was not asked about", asked=0
                )
                continue
            found, answer = self._ask(kind.api, self._placed(manifest))
            yield answer
            if found is not None:
                stored.append((kind, self._fresh(kind, found)))
        for kind, found in stored:
            yield from self._led_to(kind, found)

    def _placed(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """With a namespace and a name, and without what only the server writes."""
        metadata = dict(manifest["metadata"])
        name = metadata.pop("name", None) or f"{metadata['generateName']}{GENERATED_SUFFIX}"
        metadata.pop("generateName", None)
        kept = {key: value for key, value in manifest.items() if key != "status"}
        return {
            **kept,
            "metadata": {
                **metadata,
                "name": name,
                "namespace": metadata.get("namespace") or self._connection.namespace,
            },
        }

    def _fresh(self, kind: AnyKind, stored: Manifest) -> Manifest:
        """As at its first look, also where it is there already and has a past."""
        fresh = {key: value for key, value in stored.items() if key != "status"}
        metadata = stored["metadata"]
        self._tested[Reference(kind.api, metadata["namespace"], metadata["name"])] = fresh
        return fresh

    def _led_to(self, kind: AnyKind, manifest: Manifest) -> Iterator[DryRunResult]:
        try:
            resource = parse_resource(kind, manifest)
        except InvalidSpec as error:
            yield DryRunResult(_subject(manifest), str(error), asked=0)
            return
        children, finding = self._children(kind, resource)
        if finding is not None:
            yield finding
        accounts = {child.name for child in children if child.api == SERVICE_ACCOUNT}
        for child in children:
            yield from self._about(resource, child, accounts)

    def _children(self, kind: AnyKind, resource: AnyResource) -> tuple[tuple[Child, ...], DryRunResult | None]:
        """What it will make, and what a user should know of that."""
        subject = f"{kind.api.kind} '{resource.name}'"
        client, own = self._connection.client, frozenset(kind.owns)
        stage = PreviewCluster(client, self._kinds, self._tested, own, self._settings, datetime.now(UTC))
        plan = kind.decide(resource, kind.observe(resource, stage))
        if plan.stalled:
            return (), DryRunResult(subject, plan.message, asked=0)
        try:
            made = plan.children or () if kind.preview is None else kind.preview(resource, self._settings)
            children = tuple(child for child in made if isinstance(child, Child))
        except ValueError as error:
            return (), DryRunResult(subject, str(error), asked=0)
        if not children:
            return (), DryRunResult(subject, note=f"leads to nothing yet. {plan.message}", asked=0)
        return children, None

    def _about(self, resource: AnyResource, child: Child, accounts: set[str]) -> Iterator[DryRunResult]:
        wanted = with_owner(resource, child)
        subject = f"{_subject(wanted)} of {resource.api.kind} '{resource.name}'"
        if child.create_only:
            # One of that name may be there from an earlier life, and could not be changed.
            wanted["metadata"]["name"] = f"{names.truncate(child.name, names.MAX_NAME_LENGTH - 16)}-test"
        found, answer = self._ask(child.api, wanted, subject)
        yield answer
        if found is None:
            return
        template = get_field(wanted, "spec", "template")
        if template is not None:
            yield self._about_pod(wanted, template, f"a pod of {subject}", accounts)
        if child.api in self._kinds:
            # One of ours: an Experiment that is a step of a run.
            kind = self._kinds[child.api]
            yield from self._led_to(kind, self._fresh(kind, found))

    def _about_pod(
        self, owner: dict[str, Any], template: dict[str, Any], subject: str, accounts: set[str]
    ) -> DryRunResult:
        spec = dict(template["spec"])
        if spec.get("serviceAccountName") in accounts:
            spec["serviceAccountName"] = "default"  # its own would be made before it
        metadata = {
            **template.get("metadata", {}),
            "name": owner["metadata"]["name"],
            "namespace": owner["metadata"]["namespace"],
        }
        pod = {
            "apiVersion": POD.api_version,
            "kind": POD.kind,
            "metadata": metadata,
            "spec": {"restartPolicy": "Always", **spec},
        }
        try:
            self._connection.client.apply(POD, pod, MANAGER, dry_run=True)
        except ApiError as error:
            if error.status == 0:
                raise
            if error.forbidden and "cannot " in error.message and " resource " in error.message:
                return DryRunResult(subject, note="was not asked about, since you may not make pods", asked=0)
            return DryRunResult(subject, error.message)
        return DryRunResult(subject)

    def _ask(
        self, api: Api, manifest: dict[str, Any], subject: str | None = None
    ) -> tuple[Manifest | None, DryRunResult]:
        subject = subject or _subject(manifest)
        try:
            stored, _created = self._connection.client.apply(api, manifest, MANAGER, dry_run=True)
        except ApiError as error:
            if error.status == 0:
                raise
            return None, DryRunResult(subject, describe_api_error(error) if error.forbidden else error.message)
        return stored, DryRunResult(subject)


def _subject(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']} '{metadata.get('name') or metadata.get('generateName')}'"
