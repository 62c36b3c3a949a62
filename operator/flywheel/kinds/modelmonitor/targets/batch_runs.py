"""The runs of a BatchInference whose outputs a ModelMonitor compares."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from flywheel.core.pods.fetch import Input
from flywheel.core.resource.api import Manifest
from flywheel.core.resource.values import Digest
from flywheel.kinds.batchinference.schema.spec import BatchInferenceSpec
from flywheel.kinds.batchinference.schema.status import BatchInferenceStatus


@dataclass(frozen=True)
class BatchRun:
    """A run that has succeeded. `location` and `secret` are where its output is, as fetch takes them."""

    finished_at: datetime
    version: str
    digest: Digest
    location: Mapping[str, Any]
    secret: str | None = None

    def input(self, name: str) -> Input:
        """The output as an input of a Job. One that is gone is no failure."""
        return Input(name, s3=self.location, secret=self.secret, optional=True)


def read_batch_runs(batch: Manifest, digest_of: Callable[[str], Digest | None]) -> tuple[BatchRun, ...]:
    """The runs that status has, oldest first. Of runs with one output only the newest is left, since it has replaced the others."""
    try:
        spec = BatchInferenceSpec.model_validate(batch["spec"])
        status = BatchInferenceStatus.model_validate(batch.get("status") or {})
    except ValidationError:
        return ()
    newest: dict[str, BatchRun] = {}
    for ended in sorted(status.history, key=lambda each: each.finished_at):
        digest = digest_of(ended.version)
        newest.pop(ended.output, None)
        if ended.result == "Succeeded" and digest is not None:
            newest[ended.output] = BatchRun(
                ended.finished_at, ended.version, digest, _location(spec, ended.output), spec.output.s3.secret_name
            )
    return tuple(newest.values())


def _location(spec: BatchInferenceSpec, uri: str) -> dict[str, Any]:
    s3 = spec.output.s3
    secret = str(s3.secret_name) if s3.secret_name is not None else None
    place = {"uri": uri, "endpoint": s3.endpoint, "region": s3.region}
    given = {**place, "foreign": secret is not None, "secret": secret}
    return {name: value for name, value in given.items() if value is not None}


def runs_between(runs: Sequence[BatchRun], start: datetime, until: datetime) -> Iterator[tuple[str, BatchRun]]:
    """The runs that finished in that time, with the names of their inputs."""
    chosen = [each for each in runs if start <= each.finished_at < until]
    yield from ((f"batch-{number}", each) for number, each in enumerate(chosen))
