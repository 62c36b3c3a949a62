"""Keeping what main left: uploads within the time that is there, and the result that makes them count."""

import json
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from flywheel_runtime.contract import termination_message
from flywheel_runtime.contract.config.collect import CollectConfig
from flywheel_runtime.contract.errors import (
    ArtifactMissing,
    AuditChainBroken,
    DigestMismatch,
    Failure,
    FileChanged,
    ManifestInvalid,
    StoreError,
    UnsafeFile,
)
from flywheel_runtime.contract.paths import Attempt
from flywheel_runtime.contract.safe_files import ConfinedPath
from flywheel_runtime.contract.termination_message import format_bytes
from flywheel_runtime.contract.time_limit import run_within
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.errors import Owner, as_failure

T = TypeVar("T")
Files = list[tuple[str, ConfinedPath]]
# Seconds before the deadline after which no attempt begins, so that the last one can say why the store fails rather than just that time is over.
LAST_ATTEMPT_SECONDS = 0.5


@dataclass(frozen=True)
class ResultStore:
    """The store as collect uses it: every error becomes a Failure for people."""

    store: Store
    attempt: Attempt
    owner: Owner
    patience: float = float("inf")  # seconds without a success after which a call gives up before its deadline

    def earlier(self, *, main_works: bool = False) -> dict[str, Any] | None:
        """The result that an earlier run of this same attempt committed.

        Failure if the store cannot tell, but None where that may pass and `main_works`, so that its work is not thrown away.
        """
        try:
            found = self.store.result(self.attempt.result_key) or self._result_of_earlier_release()
        except StoreError as error:
            # A store that allows no listing responds AccessDenied for a missing object.
            if error.code == "AccessDenied":
                return None
            failure = self._explained(error)
            if main_works and failure.retry:
                sys.stderr.write(f"the end of main is awaited although the store does not respond: {failure.message}\n")
                return None
            raise failure from error
        return _parse_result(found) if found else None

    def _result_of_earlier_release(self) -> bytes | None:
        """The result of this attempt without a Job in its key. One that was written after the upgrade was written by somebody else."""
        until = self.attempt.upgraded_at
        if self.attempt.job is None or until is None:
            return None
        return self.store.result_before(self.attempt.earlier_result_key, until)

    def outputs(self, files: Mapping[str, Files], deadline: float) -> dict[str, Any]:
        """Upload each output as an artifact; digest, size and number of files of each. Raises Failure."""
        size = sum(_size(file) for output in files.values() for _, file in output)
        late = f"uploading {format_bytes(size)} took longer than the time that a pod has to end"
        return self._within(deadline, late, lambda store: {name: _put(store, output) for name, output in files.items()})

    def commit(self, result: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """Make the result count; ours, or the one of another run of this attempt that was first. Raises Failure."""
        body = termination_message.encode(result)
        late = "committing the result took longer than the time that a pod has to end"
        held = self._within(deadline, late, lambda store: store.commit(self.attempt.result_key, body))
        return dict(result) if held == body else _parse_result(held)

    def audit(self, order: Mapping[str, Any], result: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """Record the result in the Model's chain, once; the number and digest of the last record. Raises Failure."""
        from flywheel_runtime.audit import records  # most steps have none

        late = "writing the audit record took longer than the time that a pod has to end"
        by = {"uid": self.attempt.uid, "step": self.attempt.step, "attempt": self.attempt.attempt}
        return self._within(deadline, late, lambda store: records.append_records(store, order, by, result)).reference()

    def append_record(self, record: Mapping[str, Any], deadline: float) -> None:
        """Add the record of an end to the index, and the segment that it fills. Raises Failure."""
        from flywheel_runtime.tracking import index  # most of its work is done after main's end

        def append(store: Store) -> None:
            number = index.append_record(store, record)
            if number % index.SEGMENT_RECORDS == 0:
                index.join_segment(store, number)

        self._within(deadline, "writing the record of the end took too long", append)

    def small_files(self, digest: str, names: Collection[str], deadline: float) -> dict[str, bytes]:
        """The named files of an artifact, with empty bytes for its other files. Raises Failure."""

        def read(store: Store) -> dict[str, bytes]:
            files = store.manifest(digest).files
            return {file.path: store.read_file(file) if file.path in names else b"" for file in files}

        return self._within(deadline, "reading what was logged took too long", read)

    def _within(self, deadline: float, late: str, work: Callable[[Store], T]) -> T:
        """`work`, which is left behind when time is over: the report must be out before the kubelet kills."""
        try:
            return run_within(
                deadline - time.monotonic(),
                lambda: work(self.store.with_deadline(deadline - LAST_ATTEMPT_SECONDS, self.patience)),
            )
        except StoreError as error:
            raise self._explained(error) from error
        except AuditChainBroken as error:
            raise Failure("UploadFailed", f"nothing can be added to the audit records: {error}", retry=True) from error
        except (ArtifactMissing, DigestMismatch) as error:
            raise Failure("InternalError", f"an output is no longer in the store: {error}", retry=True) from error
        except (UnsafeFile, FileChanged, ManifestInvalid) as error:
            raise Failure("OutputInvalid", f"an output changed while it was uploaded: {error}") from error
        except TimeoutError:
            words = f"{late}; the store at {self.store.bucket.access.place} is slow"
            raise Failure("UploadFailed", words, retry=True) from None

    def _explained(self, error: StoreError) -> Failure:
        access = self.store.bucket.access
        return as_failure(error, access, self.owner, refused="StoreRefused", failed="UploadFailed")


def _size(file: ConfinedPath) -> int:
    """For a message alone; the upload says what is wrong with a file."""
    with suppress(OSError, UnsafeFile):
        return file.status().st_size
    return 0


def _put(store: Store, files: Files) -> dict[str, Any]:
    manifest = store.put(files)
    return {"digest": manifest.digest, "size": manifest.size, "files": len(manifest.files)}


def _parse_result(result: bytes) -> dict[str, Any]:
    try:
        body = json.loads(result)
    except ValueError:
        body = None
    if not isinstance(body, dict) or body.get("v") != 1 or body.get("complete") is not True:
        words = "the committed result of this attempt is damaged; delete it from results/ in the store"
        raise Failure("InternalError", words, retry=True)
    return body


def add_audit_record(
    result: dict[str, Any], config: CollectConfig, results: ResultStore, deadline: float
) -> dict[str, Any]:
    """The result, recorded where the configuration says so: one that is not recorded does not count.

    With `verdicts` only a result is recorded whose fact `verdict` is one of them: a look at a test that goes on decides nothing.
    """
    order = config.audit
    if not order or ("verdicts" in order and result.get("facts", {}).get("verdict") not in order["verdicts"]):
        return result
    return {**result, "audit": results.audit(order, result, deadline)}
