"""What a store can answer instead of the object, and the sentence for each: which object, what was found, what to do next."""

from dataclasses import dataclass

from flywheel_runtime.contract.errors import (
    AccessDenied,
    BucketMissing,
    Failure,
    SecretIncomplete,
    StoreBusy,
    StoreError,
    StoreUnreachable,
)
from flywheel_runtime.store.access import Access

NOT_ALLOWED = frozenset({"AccessDenied", "AllAccessDisabled", "403"})  # the keys are good, their rights are not


@dataclass(frozen=True)
class Owner:
    """Whose store it is, as messages name it: where its keys stand, and where its bucket is written."""

    secret: str
    bucket_field: str
    foreign: bool = False


def as_failure(error: StoreError, access: Access, owner: Owner, *, refused: str, failed: str) -> Failure:
    """A Failure for people; `refused` and `failed` are the caller's reasons for wrong keys and for all the rest."""
    if isinstance(error, SecretIncomplete):
        return Failure(error.reason, f"{owner.secret} {error.finding}", retry=True)
    at = f"the store at {access.place}"
    if isinstance(error, BucketMissing):
        words = f"bucket '{access.bucket}' does not exist at {access.place}"
        return Failure("BucketMissing", f"{words}; create it or correct {owner.bucket_field}", retry=True)
    if isinstance(error, AccessDenied):
        return Failure(refused, _refused(error, access, owner, at), retry=True)
    if isinstance(error, StoreUnreachable):
        reason = "SourceUnreachable" if owner.foreign else "StoreUnreachable"
        words = str(error).removeprefix("Unreachable: ")
        cure = f"see that it runs and that AWS_ENDPOINT_URL in {owner.secret} is right"
        if owner.foreign:
            cure = "see that it runs, can be reached from the cluster, and that the source's endpoint is right"
        return Failure(reason, f"{at} did not answer ({words}); {cure}", retry=True)
    if isinstance(error, StoreBusy):
        return Failure(failed, f"{at} failed ({error}) again and again; see that it is well", retry=True)
    return Failure(failed, f"{at} failed: {error}", retry=True)


def _refused(error: AccessDenied, access: Access, owner: Owner, at: str) -> str:
    if access.anonymous:
        words = f"{at} does not let anonymous clients read bucket '{access.bucket}' without credentials ({error.code})"
        return f"{words}; give the source a Secret"
    if error.code not in NOT_ALLOWED:
        return (
            f"{at} refuses the credentials ({error.code}); "
            f"correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in {owner.secret}"
        )
    rights = "read and list" if owner.foreign else "read, list and write"
    cure = f"let the credentials in {owner.secret} {rights} bucket '{access.bucket}'"
    return f"{at} refuses the request ({error.code}); {cure}"
