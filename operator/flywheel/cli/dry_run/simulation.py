"""Dry runs of manifests, of the children that they lead to, and of the pods of those."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flywheel.cli.connection import Connection
from flywheel.cli.dry_run.dry_run_result import DryRunResult
from flywheel.cli.dry_run.preview_cluster import PreviewCluster
from flywheel.cli.dry_run.rowwise_check import check_rowwise
from flywheel.cli.fields import get_field
from flywheel.cluster.errors import ApiError
from flywheel.core.resource import names
from flywheel.core.resource.api import POD, SERVICE_ACCOUNT, Api, Manifest, Reference
from flywheel.core.resource.kind import AnyKind, AnyResource
from flywheel.core.resource.ownership import with_owner
from flywheel.core.resource.parse import InvalidSpec, parse_resource
from flywheel.core.resource.plan import Child
from flywheel.core.resource.restrictions import find_violation
from flywheel.core.settings import Settings
from flywheel.engine import discover

MANAGER = "flywheel-test"
GENERATED_SUFFIX = "test"  # in place of the server's random suffix of a generateName


class Simulation:
    """One test of the manifests of a file, in their order."""

    def __init__(self, connection: Connection, manifests: Sequence[dict[str, Any]]) -> None:
        self._connection = connection
        self._manifests = manifests
        self._kinds = {kind.api: kind for kind in discover.kinds()}
        self._settings = Settings.from_environment(os.environ)
        self._tested: dict[Reference, Manifest] = {}

    def results(self) -> Iterator[DryRunResult]:
        """Yields the result of each object; a refused manifest leads to no further ones.

        Raises:
            ApiError: the server gave no response.
        """
        ours = {(kind.api.api_version, kind.api.kind): kind for kind in self._kinds.values()}
        # All are known before the first plan, since an Experiment may come before its Dataset.
        stored: list[tuple[AnyKind, Manifest]] = []
        for manifest in self._manifests:
            kind = ours.get((str(manifest.get("apiVersion")), manifest["kind"]))
            if kind is None:
                yield DryRunResult(_subject(manifest), note="is no kind of Flywheel's, and was not tested", tested=0)
                continue
            found, result = self._dry_run(kind.api, self._with_name(manifest))
            yield result
            if found is not None:
                stored.append((kind, self._add_tested(kind, found)))
        for kind, found in stored:
            yield from self._test_children(kind, found)

    def _with_name(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Adds a namespace and a name, and removes what only the server writes."""
        metadata = dict(manifest["metadata"])
        generated = f"{metadata.pop('generateName', '')}{GENERATED_SUFFIX}"
        metadata["name"] = metadata.get("name") or generated
        metadata["namespace"] = metadata.get("namespace") or self._connection.namespace
        return {**{key: value for key, value in manifest.items() if key != "status"}, "metadata": metadata}

    def _add_tested(self, kind: AnyKind, stored: Manifest) -> Manifest:
        """Returns the object without the status of an existing one, as the operator would see it first."""
        fresh = {key: value for key, value in stored.items() if key != "status"}
        metadata = stored["metadata"]
        self._tested[Reference(kind.api, metadata["namespace"], metadata["name"])] = fresh
        return fresh

    def _test_children(self, kind: AnyKind, manifest: Manifest) -> Iterator[DryRunResult]:
        try:
            resource = parse_resource(kind, manifest)
        except InvalidSpec as error:
            yield DryRunResult(_subject(manifest), str(error), tested=0)
            return
        cluster = self._preview_cluster(kind)
        yield from check_rowwise(resource, cluster.get, self._read_profile)
        children, finding = self._children(kind, resource, cluster)
        if finding is not None:
            yield finding
        accounts = {child.name for child in children if child.api == SERVICE_ACCOUNT}
        for child in children:
            yield from self._test_child(resource, child, accounts)

    def _preview_cluster(self, kind: AnyKind) -> PreviewCluster:
        client, child_apis = self._connection.client, frozenset(kind.owns)
        now = datetime.now(UTC).replace(microsecond=0)
        return PreviewCluster(client, self._kinds, self._tested, child_apis, self._settings, now)

    def _read_profile(self, dataset: Reference) -> Mapping[str, Any]:
        """Returns the statistics of each column of the Dataset's current version.

        Raises:
            FlywheelError: it has none, or the reader does not give them.
        """
        # Imported here, since most manifests need no reader.
        from flywheel.client.objects.live_dataset import LiveDataset
        from flywheel.client.session import Options, open_session

        session = open_session(self._connection.client, dataset.namespace, Options().with_environment())
        return LiveDataset(session, dataset.name).profile()

    def _children(
        self, kind: AnyKind, resource: AnyResource, cluster: PreviewCluster
    ) -> tuple[tuple[Child, ...], DryRunResult | None]:
        """Returns the children that the resource would have, and a note on them."""
        subject = f"{kind.api.kind} '{resource.name}'"
        violation = find_violation(resource.spec, self._settings)
        if violation is not None:
            return (), DryRunResult(subject, violation.message, tested=0)
        plan = kind.decide(resource, kind.observe(resource, cluster))
        if plan.stalled:
            return (), DryRunResult(subject, plan.message, tested=0)
        try:
            made = plan.children or () if kind.preview is None else kind.preview(resource, self._settings)
            children = tuple(child for child in made if isinstance(child, Child))
        except ValueError as error:
            return (), DryRunResult(subject, str(error), tested=0)
        if not children:
            return (), DryRunResult(subject, note=f"leads to nothing yet. {plan.message}", tested=0)
        return children, None

    def _test_child(self, resource: AnyResource, child: Child, accounts: set[str]) -> Iterator[DryRunResult]:
        wanted = with_owner(resource, child)
        subject = f"{_subject(wanted)} of {resource.api.kind} '{resource.name}'"
        if child.create_only:
            # One of that name may exist from an earlier run, and cannot be changed.
            wanted["metadata"]["name"] = f"{names.truncate(child.name, names.MAX_NAME_LENGTH - 16)}-test"
        found, result = self._dry_run(child.api, wanted, subject)
        yield result
        if found is None:
            return
        template = get_field(wanted, "spec", "template")
        if template is not None:
            yield self._test_pod(wanted, template, f"a pod of {subject}", accounts)
        if child.api in self._kinds:
            # One of Flywheel's kinds: an Experiment that is a step of a run.
            kind = self._kinds[child.api]
            yield from self._test_children(kind, self._add_tested(kind, found))

    def _test_pod(
        self, owner: dict[str, Any], template: dict[str, Any], subject: str, accounts: set[str]
    ) -> DryRunResult:
        spec = dict(template["spec"])
        if spec.get("serviceAccountName") in accounts:
            spec["serviceAccountName"] = "default"  # its own would be created before it
        pod = POD.manifest(owner["metadata"]["name"], spec={"restartPolicy": "Always", **spec})
        pod["metadata"] = {
            **template.get("metadata", {}),
            **pod["metadata"],
            "namespace": owner["metadata"]["namespace"],
        }
        try:
            self._connection.client.apply(POD, pod, MANAGER, dry_run=True)
        except ApiError as error:
            if error.status == 0:
                raise
            if error.forbidden and "cannot " in error.message and " resource " in error.message:
                return DryRunResult(subject, note="was not tested, since you may not create pods", tested=0)
            return DryRunResult(subject, error.message)
        return DryRunResult(subject)

    def _dry_run(
        self, api: Api, manifest: dict[str, Any], subject: str | None = None
    ) -> tuple[Manifest | None, DryRunResult]:
        subject = subject or _subject(manifest)
        try:
            stored, _created = self._connection.client.apply(api, manifest, MANAGER, dry_run=True)
        except ApiError as error:
            if error.status == 0:
                raise
            return None, DryRunResult(subject, error.describe() if error.forbidden else error.message)
        return stored, DryRunResult(subject)


def _subject(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']} '{metadata.get('name') or metadata.get('generateName')}'"
