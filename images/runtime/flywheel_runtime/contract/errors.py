"""The package's own errors: a caller catches one by its class, and a command ends with a Failure alone.

FlywheelError
├── Failure                   ends a command: the pod reports its reason, its message and whether a retry can help
├── Transient                 may go away by itself, so Retry tries again
│   ├── HostUnknown           the host's name is not known
│   ├── HostUnreachable       the host did not respond, stopped in the middle, or responded 5xx or 429
│   ├── StoreBusy             (a StoreError)
│   └── StoreUnreachable      (a StoreError)
├── StoreError                an object store refused an operation
│   ├── ObjectMissing
│   ├── BucketMissing
│   ├── AccessDenied
│   ├── SecretIncomplete      the Secret with its address and credentials lacks a key, or one cannot be read
│   ├── PreconditionFailed
│   ├── StoreBusy
│   └── StoreUnreachable
├── ArtifactMissing           a manifest or blob is not in the store
├── ManifestInvalid           an artifact's manifest is damaged, or names a path that leaves the artifact
├── DigestMismatch            bytes are not those that the digest names
├── FileChanged               a file changed while it was uploaded
├── LogUnavailable            the log of main cannot be read
├── OutputsWait               the store does not take the outputs of a finished main, and they are kept for a later attempt
├── UnsafeFile                a link, a pipe or an unreadable file
├── AuditChainBroken          the audit records allow no further one
├── RequestRejected           the model server refuses these rows, and would again
├── ExpressionRefused         an SQL expression has no equal in ONNX
├── FeaturesRefused           at least one of a model's features has none
├── Unmeasurable              a gate cannot be measured
│   └── OtherRowsOrTarget     two versions learnt from other rows or another target
├── UnknownBuckets            a count document has latencies in buckets of another release
└── Undefined                 a metric has no value on these rows

Python's own exceptions are raised for what Python has a class for. A ValueError is for one value that is wrong: a field of the
configuration, a query, a cell of a table, an argument of `flywheel_runtime.run`. The caller, which knows whose value it is, catches it
and makes a Failure or the row's error of it; one from `flywheel_runtime.run` ends the user's program. A KeyError or AssertionError is
for a mistake of this package.
"""

import errno
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any


class FlywheelError(Exception):
    """The base of all errors of this package."""


class Failure(FlywheelError):
    """Ends a command: a reason for programs, a message for people, and whether another attempt can help."""

    def __init__(self, reason: str, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry = retry


class Transient(FlywheelError):
    """May go away by itself: a lost connection, 5xx, SlowDown."""


class HostUnknown(Transient):
    """The name of the host is not known, at least now."""


class HostUnreachable(Transient):
    """The host did not respond, stopped in the middle, or reported a problem of its own (5xx, 429)."""


class StoreError(FlywheelError):
    """The store's error, with its code."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}" if detail and detail != code else code)
        self.code = code


class ObjectMissing(StoreError):
    """The object does not exist."""


class BucketMissing(StoreError):
    """The bucket does not exist."""


class AccessDenied(StoreError):
    """The credentials are wrong, absent, or do not allow the operation."""


class SecretIncomplete(StoreError):
    """The Secret with the store's address and credentials lacks a key, or holds one that cannot be used.

    `finding` says which, as the end of a sentence about the Secret; `reason` is that of the Failure.
    """

    def __init__(self, finding: str, reason: str = "StoreSecretIncomplete") -> None:
        super().__init__("SecretIncomplete", finding)
        self.finding = finding
        self.reason = reason


class PreconditionFailed(StoreError):
    """412: the object exists (If-None-Match), or is no longer the same one (If-Match)."""


class StoreBusy(StoreError, Transient):
    """The store responded 5xx, or asked for fewer requests."""


class StoreUnreachable(StoreError, Transient):
    """The store did not respond, or stopped in the middle."""


class ArtifactMissing(FlywheelError):
    """A manifest or blob that should be in the store is not."""


class ManifestInvalid(FlywheelError):
    """The manifest is damaged, or names a path that leaves the artifact."""


class DigestMismatch(FlywheelError):
    """The bytes are not those that the digest names."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"sha256 {found} instead of {expected}")
        self.found = found
        self.expected = expected


class FileChanged(FlywheelError):
    """The file changed while it was uploaded."""


class LogUnavailable(FlywheelError):
    """The log of main cannot be read; the message says why and what to do."""


class OutputsWait(FlywheelError):
    """The store does not take the outputs of a finished main now; `report` is the termination message that says so."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        super().__init__(str(report["message"]))
        self.report = report


class UnsafeFile(FlywheelError):
    """A link, a pipe or an unreadable file, which is never uploaded."""


class AuditChainBroken(FlywheelError):
    """The request has nothing to record, or other writers are always faster."""


class RequestRejected(FlywheelError):
    """The model server responded that it cannot score these rows; the same rows would be rejected again."""


class Unmeasurable(FlywheelError):
    """Why something cannot be measured, as the end of a sentence about a gate."""


class Undefined(FlywheelError, ValueError):
    """The metric has no value on these rows, or on too many of their resamples."""


def one_line(error: Exception, limit: int = 400) -> str:
    """The first characters of an error's text on one line."""
    return " ".join(str(error).split())[:limit]


def describe_fault(error: Exception) -> str:
    """The type of an unforeseen error and where it was raised. Its text may quote the data, so that only the log has it."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {PurePath(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place is not None else ""
    return f"{type(error).__name__}{where}"


def connection_problem(error: Exception) -> str:
    """What broke a connection, by the operating system's error in the chain of causes; without one, the text of `error`.

    The texts of botocore and urllib3 hold the URL, whose words are no sign of anything.
    """
    import socket
    import ssl

    problems: tuple[tuple[type[OSError], str], ...] = (
        (ConnectionRefusedError, "connection refused"),
        (socket.gaierror, "its name is not known"),
        (TimeoutError, "timed out"),
        (ssl.SSLCertVerificationError, "its certificate is not trusted"),
        (ConnectionError, "connection lost"),
    )
    by_number = {errno.EHOSTUNREACH: "no route to it", errno.ENETUNREACH: "its network is unreachable"}
    for cause in _causes(error):
        for kind, problem in problems:
            if isinstance(cause, kind):
                return problem
        if isinstance(cause, OSError) and cause.errno in by_number:
            return by_number[cause.errno]
    return one_line(getattr(error, "kwargs", {}).get("error") or error, 200)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, one after the other; botocore's errors have the cause in `kwargs`."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        wrapped = getattr(cause, "kwargs", {}).get("error")
        cause = wrapped if isinstance(wrapped, BaseException) else cause.__cause__ or cause.__context__
