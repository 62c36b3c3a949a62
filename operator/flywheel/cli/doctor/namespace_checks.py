"""Checks of one namespace: whether the operator watches it, what its pods need, what this user may do, and what its objects say."""

from collections.abc import Iterator
from datetime import UTC, datetime

from flywheel.cli.doctor.inspection import Finding, Installation
from flywheel.cli.fields import get_field
from flywheel.cli.resource_names import APIS
from flywheel.cluster.errors import ApiError
from flywheel.core.diagnosis.workload_diagnosis import diagnose
from flywheel.core.resource.api import GROUP, JOB, POD, SERVICE_ACCOUNT, Api, Manifest, Reference
from flywheel.core.resource.conditions import find_condition

NAMESPACE = Api("", "v1", "Namespace", "namespaces")
SECRET = Api("", "v1", "Secret", "secrets")
ACCESS_REVIEW = Api("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews")
VERBS = ("get", "list", "create", "patch")
DEFAULT_ACCOUNT, DEFAULT_STORE_SECRET = "flywheel-runner", "flywheel-store"
STORE_REASONS = frozenset(
    ("BucketMissing", "CredentialsRefused", "StoreRefused", "StoreSecretIncomplete", "StoreUnreachable")
)
IMAGE_REASONS = frozenset(("ImageNameInvalid", "ImagePullFailed"))
MAX_NAMED = 3  # objects with the same finding
PREPARE = "add it to the chart's value namespaces and upgrade"


def check_namespace(installation: Installation) -> Iterator[Finding]:
    """Looks for the namespace, and whether the operator watches it."""
    name = installation.namespace
    try:
        if installation.client.get(Reference(NAMESPACE, "", name)) is None:
            yield Finding("bad", f"namespace '{name}' does not exist; create it, or name another with --namespace")
            return
    except ApiError as error:
        if not error.forbidden:
            raise
    if installation.operator is None:
        yield Finding("unknown", "not checked: there is no operator whose settings name what it watches")
        return
    watched = [each for each in installation.operator_environment.get("FLYWHEEL_NAMESPACES", "").split(",") if each]
    if watched and name not in watched:
        yield Finding(
            "bad",
            f"the operator does not watch namespace '{name}', but {', '.join(watched)}, so objects in it stay as they are; {PREPARE}, "
            "or set watchNamespaces",
        )
    else:
        yield Finding("good", f"the operator watches namespace '{name}'")


def check_rights(installation: Installation) -> Iterator[Finding]:
    """Asks the API server what this user may do with each kind."""
    missing = [f"{verb} {api.plural}" for api in APIS for verb in VERBS if not _is_allowed(installation, verb, api)]
    if missing:
        shown = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
        role = "edit" if any(each.split()[0] in ("create", "patch") for each in missing) else "view"
        subject = rbac_subject(installation.connection.user_name())
        yield Finding(
            "bad",
            f"you may not {shown} in namespace '{installation.namespace}'; ask an administrator for the role {role}, which the chart's "
            f"flywheel-{role} is part of: kubectl create rolebinding {role} -n {installation.namespace} --clusterrole={role} {subject}",
        )
    else:
        yield Finding("good", f"you may read and write every kind in namespace '{installation.namespace}'")


def rbac_subject(user: str) -> str:
    """Returns the option of `kubectl create rolebinding` for a user name."""
    parts = user.split(":")
    if len(parts) == 4 and parts[:2] == ["system", "serviceaccount"]:
        return f"--serviceaccount={parts[2]}:{parts[3]}"
    return f"--user='{user}'"


def _is_allowed(installation: Installation, verb: str, api: Api) -> bool:
    asked = {"namespace": installation.namespace, "verb": verb, "group": GROUP, "resource": api.plural}
    review = ACCESS_REVIEW.manifest("", metadata={"namespace": ""}, spec={"resourceAttributes": asked})
    return bool(get_field(installation.client.create(ACCESS_REVIEW, review), "status", "allowed"))


def check_account(installation: Installation) -> Iterator[Finding]:
    """Looks for the ServiceAccount of steps."""
    name = _setting(installation, "FLYWHEEL_RUNNER_SERVICE_ACCOUNT", DEFAULT_ACCOUNT)
    if installation.client.get(Reference(SERVICE_ACCOUNT, installation.namespace, name)) is None:
        yield Finding(
            "bad",
            f"ServiceAccount '{name}' does not exist in namespace '{installation.namespace}', so no pod of a step can start; {PREPARE}",
        )
    else:
        yield Finding("good", f"ServiceAccount '{name}' exists")


def check_store_secret(installation: Installation) -> Iterator[Finding]:
    """Looks for the Secret with the store's address and key."""
    name = _setting(installation, "FLYWHEEL_STORE_SECRET", DEFAULT_STORE_SECRET)
    secret = installation.client.get(Reference(SECRET, installation.namespace, name))
    if secret is None:
        yield Finding(
            "bad",
            f"Secret '{name}' does not exist in namespace '{installation.namespace}', so no step can reach the store; {PREPARE}, or "
            "create it as docs/store.md says",
        )
    elif not get_field(secret, "data", "FLYWHEEL_BUCKET"):
        yield Finding(
            "bad",
            f"Secret '{name}' has no key FLYWHEEL_BUCKET, so no step knows where data is; correct it as docs/store.md says",
        )
    else:
        yield Finding("good", f"Secret '{name}' exists and names a bucket")


def check_store_access(installation: Installation) -> Iterator[Finding]:
    """Looks for objects whose conditions, or whose waiting pods, say that the store cannot be reached or refuses the key."""
    found = {**_complaints(installation, STORE_REASONS), **_waiting_pods(installation, STORE_REASONS)}
    yield from _summarized(found, "see the embedded store, or the Secret of the store (docs/store.md)")
    if not found:
        yield Finding("good", "no object and no pod says that the store cannot be used")


def check_images(installation: Installation) -> Iterator[Finding]:
    """Looks for pods and objects whose images cannot be pulled."""
    found = {**_complaints(installation, IMAGE_REASONS), **_waiting_pods(installation, IMAGE_REASONS)}
    yield from _summarized(found, "correct the image, or give the registry's Secret in imagePullSecrets")
    if not found:
        yield Finding("good", "no pod waits for an image that cannot be pulled")


def check_objects(installation: Installation) -> Iterator[Finding]:
    """Looks for objects that the operator has not seen within a minute."""
    now = datetime.now(UTC)
    unseen = [
        f"{api.kind} '{each['metadata']['name']}'"
        for api in APIS
        for each in installation.connection.list_objects(api)
        if _is_unseen(each, now)
    ]
    if unseen:
        shown = ", ".join(unseen[:MAX_NAMED]) + (
            f" and {len(unseen) - MAX_NAMED} more" if len(unseen) > MAX_NAMED else ""
        )
        yield Finding(
            "bad", f"the operator has not seen {shown} for over a minute; see the checks of the operator and its leader"
        )
    else:
        yield Finding("good", "the operator has seen every object")


def _is_unseen(manifest: Manifest, now: datetime) -> bool:
    age = (now - datetime.fromisoformat(str(manifest["metadata"]["creationTimestamp"]))).total_seconds()
    return age > 60 and get_field(find_condition(manifest), "observedGeneration") is None


def _complaints(installation: Installation, reasons: frozenset[str]) -> dict[str, str]:
    """Returns messages by subject, of objects whose condition has one of those reasons."""
    return {
        f"{api.kind} '{each['metadata']['name']}'": str(condition.get("message"))
        for api in APIS
        for each in installation.connection.list_objects(api)
        for condition in (get_field(each, "status", "conditions") or ())
        if condition.get("reason") in reasons
    }


def _waiting_pods(installation: Installation, reasons: frozenset[str]) -> dict[str, str]:
    """Returns messages by pod, of Flywheel's pods that wait for one of those reasons."""
    found = {}
    now = datetime.now(UTC)
    for pod in installation.client.list_objects(POD, installation.namespace):
        labels = get_field(pod, "metadata", "labels") or {}
        if not any(str(label).startswith(GROUP) for label in labels):
            continue
        job = JOB.manifest("", metadata={"namespace": installation.namespace})
        diagnosis = diagnose(job, [pod], lambda _uid: (), now)
        if diagnosis is not None and diagnosis.reason in reasons:
            found[f"Pod '{pod['metadata']['name']}'"] = diagnosis.message
    return found


def _summarized(found: dict[str, str], step: str) -> Iterator[Finding]:
    """Yields one finding for each message, with the objects that have it."""
    subjects: dict[str, list[str]] = {}
    for subject, message in found.items():
        subjects.setdefault(message, []).append(subject)
    for message, named in subjects.items():
        shown = ", ".join(named[:MAX_NAMED]) + (f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else "")
        yield Finding("bad", f"{shown}: {message} Next: {step}")


def _setting(installation: Installation, name: str, default: str) -> str:
    try:
        return installation.operator_environment.get(name) or default
    except ApiError:
        return default
