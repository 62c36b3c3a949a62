"""Further loops as copies of one that the operator brought to its end: a third of the writes, so 10,000 resources take minutes, not an hour.

A copy differs in its names, its uids, and in the hashes that depend on them, which the operator's own code computes here. A copy that
is not what the operator would have made is found out: the restart then writes.
"""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from e2e.bench.operator.api import Object, path, path_of
from e2e.bench.operator.installation import WRITERS, Installation
from e2e.bench.operator.resources import NAMESPACE
from flywheel.core.pods.cron_job import cron_jobs
from flywheel.core.resource.api import DATASET, EXPERIMENT, INFERENCE_SERVICE, JOB, MODEL, MODEL_VERSION, Api, Manifest
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.resource.names import short_uid
from flywheel.core.resource.ownership import with_owner
from flywheel.core.resource.parse import parse_resource
from flywheel.core.resource.plan import Child
from flywheel.core.settings import Settings
from flywheel.engine.apply.template_pinning import with_hashes
from flywheel.kinds.dataset.kind import KIND as DATASET_KIND
from flywheel.kinds.experiment.kind import KIND as EXPERIMENT_KIND
from flywheel.kinds.experiment.schema.immutable import fingerprint
from flywheel.kinds.inferenceservice import children as of_service
from flywheel.kinds.inferenceservice.kind import KIND as SERVICE_KIND

FIRST = "loop-0"


class Original:
    """The first loop, as it is stored, with its failed trial's Job."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        found = [
            (api, installation.server.request("GET", path(api, NAMESPACE, FIRST)))
            for api in (DATASET, EXPERIMENT, MODEL)
        ]
        champion = path(MODEL_VERSION, NAMESPACE, found[-1][1]["status"]["champion"])
        service = path(INFERENCE_SERVICE, NAMESPACE, FIRST)
        found.append((MODEL_VERSION, installation.server.request("GET", champion)))
        found.append((INFERENCE_SERVICE, installation.server.request("GET", service)))
        self._resources: list[tuple[Api, Object]] = found
        uid = found[1][1]["metadata"]["uid"]
        [self._failed] = [each for each in installation.server.listed(JOB, NAMESPACE) if f'"{uid}"' in json.dumps(each)]

    def copy(self, number: int) -> None:
        """One more loop with that number; controllers and nodes do what is theirs."""
        changes = {FIRST: f"loop-{number}"}
        made = {}
        for api, original in self._resources:
            changed = _changed(original, changes)
            stored = self._installation.server.create(api, _fresh(changed))
            changes |= _identity(original, stored)
            if api == EXPERIMENT:
                # It covers the Dataset's name, and so is another for each copy.
                changes[original["status"]["fingerprint"]] = fingerprint(parse_resource(EXPERIMENT_KIND, stored).spec)
            status = _changed(original["status"], changes)
            made[api] = self._installation.server.merge(path_of(api, stored, "status"), {"status": status})
        self._installation.server.create(JOB, _unstarted(_changed(self._failed, changes)))
        for manager, child, manifest in _children(made):
            where = path(child.api, NAMESPACE, manifest["metadata"]["name"])
            self._installation.server.request(
                "PATCH", f"{where}?fieldManager={manager}&force=true", manifest, "application/apply-patch+yaml"
            )


def grow(installation: Installation, numbers: Iterable[int]) -> None:
    """A copy for each number; no operator runs meanwhile."""
    original = Original(installation)
    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in pool.map(original.copy, numbers):
            pass
    installation.nodes.rest()


def _children(made: dict[Api, Object]) -> Iterator[tuple[str, Child, Manifest]]:
    dataset, service = (
        parse_resource(DATASET_KIND, made[DATASET]),
        parse_resource(SERVICE_KIND, made[INFERENCE_SERVICE]),
    )
    for clock in cron_jobs(dataset, dataset.spec.schedule, suspend=dataset.spec.suspend):
        yield DATASET_KIND.field_manager, clock, with_hashes(with_owner(dataset, clock), clock)
    target = ResolvedVersion(service.status.version, str(service.status.digest))
    every = of_service.service_children(service, target, Settings())
    for child in (each for each in every if isinstance(each, Child)):
        yield SERVICE_KIND.field_manager, child, with_hashes(with_owner(service, child), child)


def _identity(original: Object, stored: Object) -> dict[str, str]:
    before, now = original["metadata"]["uid"], stored["metadata"]["uid"]
    return {before: now, short_uid(before): short_uid(now)}


def _changed(thing: Object, changes: dict[str, str]) -> Object:
    text = json.dumps(thing)
    for before, now in changes.items():
        text = text.replace(before, now)
    changed: Object = json.loads(text)
    return changed


def _fresh(thing: Object) -> Object:
    """What a client may send."""
    kept = ("name", "namespace", "labels", "annotations", "ownerReferences")
    metadata = {key: value for key, value in thing["metadata"].items() if key in kept}
    return {**{key: value for key, value in thing.items() if key != "status"}, "metadata": metadata}


def _unstarted(job: Object) -> Object:
    """Its selector and the labels that go with it are the server's to choose."""
    fresh = _fresh(job)
    spec = {key: value for key, value in fresh["spec"].items() if key != "selector"}
    template = json.loads(json.dumps(spec["template"]))
    for labels in (template["metadata"]["labels"], fresh["metadata"]["labels"]):
        for label in [each for each in labels if each.endswith(("controller-uid", "job-name"))]:
            del labels[label]
    return {**fresh, "spec": {**spec, "template": template}}
