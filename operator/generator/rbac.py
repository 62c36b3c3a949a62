"""From the Kinds to the permissions of the operator and its users: no wildcards, no Secrets, nothing that no kind needs."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flywheel.core.policies import POLICY_GUARANTEES
from flywheel.core.resource.api import (
    BATCH_INFERENCE,
    CONFIG_MAP,
    CRON_JOB,
    DATASET,
    EVENT,
    GROUP,
    INFERENCE_SERVICE,
    JOB,
    KUEUE,
    LEASE,
    MODEL,
    MODEL_MONITOR,
    MODEL_VERSION,
    POD,
    Api,
)
from flywheel.core.resource.kind import AnyKind
from flywheel.core.resource.names import UPGRADE_CONFIG_MAP

READER_SERVICE = "flywheel-reader"
READ_DATA = "read-data"
READ_VERBS = ("get", "list", "watch")
OWNER_VERBS = (*READ_VERBS, "create", "patch", "delete")


@dataclass(frozen=True)
class Rule:
    """One rule of a Role, and its reason."""

    why: str
    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()  # empty: all

    def manifest(self) -> dict[str, Any]:
        """Returns the rule of rbac.authorization.k8s.io/v1."""
        names = {"resourceNames": list(self.names)} if self.names else {}
        return {"apiGroups": [self.group], "resources": list(self.resources), **names, "verbs": list(self.verbs)}


def operator_rules(kinds: Iterable[AnyKind]) -> tuple[Rule, ...]:
    """Returns what the operator needs in every namespace that it watches. A server-side apply that creates needs `create` and `patch`."""
    kinds = tuple(kinds)
    ours = _plurals(kind.api for kind in kinds)
    owned = {api for kind in kinds for api in kind.owns}
    created = {api for kind in kinds for api in kind.makes} - owned
    removed = {api for kind in kinds for api in kind.removes} - owned
    patched = {api for kind in kinds for api in kind.patches}
    patches = "patches: an annotation by which a kubelet updates a route at once, or an owner reference"
    rules = [
        Rule("what users write", GROUP, ours, READ_VERBS),
        Rule("the status of each resource", GROUP, tuple(f"{plural}/status" for plural in ours), ("patch",)),
        # Only where the admission plugin OwnerReferencesPermissionEnforcement is on, as on OpenShift.
        Rule("children with blockOwnerDeletion", GROUP, tuple(f"{plural}/finalizers" for plural in ours), ("update",)),
        *_by_group("resources of Flywheel's kinds that other kinds create", created, ("create", "patch")),
        *_by_group("unowned objects to delete, such as old versions", removed, ("delete",)),
        *_by_group("children of resources", owned, OWNER_VERBS),
        *_by_group(patches, patched, ("patch",)),
    ]
    if CRON_JOB in owned:
        rules.append(Rule("completing a CronJob's tick", JOB.group, ("jobs/status",), ("patch",)))
    return (
        *rules,
        Rule("outcomes, and why a pod does not run", POD.group, (POD.plural,), READ_VERBS),
        # Kubernetes' own events can be selected by the object's uid in the core group alone.
        Rule("why a pod does not run", POD.group, (EVENT.plural,), ("list",)),
        Rule("why a Job waits in Kueue's queue, where there is Kueue", KUEUE, ("workloads",), ("list",)),
        Rule("recording events", EVENT.group, (EVENT.plural,), ("create", "patch")),
    )


def own_namespace_rules() -> tuple[Rule, ...]:
    """Returns what the operator needs in its own namespace: the Lease of the leader election, and the time of the upgrade."""
    return (
        Rule("one replica leads", LEASE.group, (LEASE.plural,), ("get", "create", "update")),
        Rule("since when results are bound to Jobs", "", (CONFIG_MAP.plural,), ("get",), (UPGRADE_CONFIG_MAP,)),
    )


def policy_rules() -> tuple[Rule, ...]:
    """Returns what the operator needs in the whole cluster, to log at its start which guarantees are not enforced."""
    resources = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
    why = "whether the chart's policies exist"
    return (Rule(why, "admissionregistration.k8s.io", resources, ("get",), tuple(POLICY_GUARANTEES)),)


def view_rules(kinds: Iterable[AnyKind]) -> tuple[Rule, ...]:
    """Returns what is added to the cluster's roles view, edit and admin."""
    return (Rule("reading every kind", GROUP, _plurals(kind.api for kind in kinds), READ_VERBS),)


def edit_rules(kinds: Iterable[AnyKind]) -> tuple[Rule, ...]:
    """Returns what is added to the cluster's roles edit and admin. To delete a Model is to end its approvals, so approvers do."""
    ours, verbs = _plurals(kind.api for kind in kinds), ("create", "update", "patch")
    deleted = tuple(plural for plural in ours if plural != MODEL.plural)
    return (
        Rule("writing every kind", GROUP, ours, verbs),
        Rule("deleting every kind but Models", GROUP, deleted, ("delete", "deletecollection")),
    )


def server_token_rules() -> tuple[Rule, ...]:
    """Returns what servers with spec.auth.serviceAccount need in the whole cluster, to which tokens belong."""
    return (Rule("whose token a caller has", "authentication.k8s.io", ("tokenreviews",), ("create",)),)


def server_access_rules() -> tuple[Rule, ...]:
    """Returns what these servers need in their namespace."""
    reviews = ("localsubjectaccessreviews",)
    return (Rule("whether its owner may call a service here", "authorization.k8s.io", reviews, ("create",)),)


def caller_rules() -> tuple[Rule, ...]:
    """Returns what callers need: with spec.auth.serviceAccount, to `get` an InferenceService is to call it."""
    return (Rule("calling InferenceServices", GROUP, (INFERENCE_SERVICE.plural,), ("get",)),)


def labeler_rules() -> tuple[Rule, ...]:
    """Returns what those need who post labels: with spec.auth.serviceAccount, a verb that no other role has."""
    return (Rule("posting labels to InferenceServices", GROUP, (INFERENCE_SERVICE.plural,), ("label",)),)


def approver_rules() -> tuple[Rule, ...]:
    """Returns what approvers need: a verb that no other role has, which the chart's ValidatingAdmissionPolicies check."""
    why = "approving versions, which is to write spec.approval"
    return (
        Rule(why, GROUP, (MODEL_VERSION.plural,), ("approve", "get", "update", "patch")),
        Rule("deleting Models, which is to end their approvals", GROUP, (MODEL.plural,), ("get", "list", "delete")),
    )


def reader_review_rules() -> tuple[Rule, ...]:
    """Returns what the reader needs in the whole cluster: to learn who its callers are and what they may read."""
    return (
        Rule("whose token a caller has", "authentication.k8s.io", ("tokenreviews",), ("create",)),
        Rule("what its owner may read", "authorization.k8s.io", ("subjectaccessreviews",), ("create",)),
    )


def reader_rules(kinds: Iterable[AnyKind]) -> tuple[Rule, ...]:
    """Returns what the reader needs in every namespace that the operator watches: objects that lead to artifacts."""
    return (Rule("which artifacts an object has", GROUP, _plurals(kind.api for kind in kinds), ("get", "list")),)


def runner_log_rules() -> tuple[Rule, ...]:
    """Returns what the container collect of step pods needs in its namespace."""
    return (Rule("the log of the pod's own main, before it is gone", POD.group, (f"{POD.plural}/log",), ("get",)),)


def reader_proxy_rules() -> tuple[Rule, ...]:
    """Returns what reaching the reader through the API server takes. The reader itself checks who reads what."""
    names = tuple(f"{scheme}{READER_SERVICE}{port}" for scheme, port in (("http:", ":8080"), ("", ":8080"), ("", "")))
    return (Rule("requests through the API server", "", ("services/proxy",), ("get",), names),)


def data_reader_rules() -> tuple[Rule, ...]:
    """Returns what reading rows, logged predictions, reports of monitors and the bytes of models takes: a verb that no other role has."""
    plurals = _plurals((BATCH_INFERENCE, DATASET, INFERENCE_SERVICE, MODEL_MONITOR, MODEL_VERSION))
    return (Rule("reading data through the reader", GROUP, plurals, (READ_DATA,)),)


def _by_group(why: str, apis: Iterable[Api], verbs: tuple[str, ...]) -> list[Rule]:
    apis = tuple(apis)
    groups = sorted({api.group for api in apis})
    return [Rule(why, group, _plurals(api for api in apis if api.group == group), verbs) for group in groups]


def _plurals(apis: Iterable[Api]) -> tuple[str, ...]:
    return tuple(sorted({api.plural for api in apis}))
