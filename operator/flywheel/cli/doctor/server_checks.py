"""Checks of the processes of an installation: the operator and its leader, the embedded store, and the reader."""

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus

from flywheel.cli.doctor.inspection import OPERATOR, Finding, Installation, is_available
from flywheel.cli.fields import get_field
from flywheel.client.errors import FlywheelError
from flywheel.client.session import READER_PORT, READER_SERVICE, Options, open_session
from flywheel.client.transport.reader import path_of
from flywheel.core.diagnosis.workload_diagnosis import diagnose
from flywheel.core.resource.api import DEPLOYMENT, LEASE, POD, SERVICE, Manifest, Reference

MAX_LEASE_AGE_SECONDS = 60.0  # four times the Lease's duration
STORE = "flywheel-store"
UNREADABLE = "trials, logs and data cannot be read"


def check_operator(installation: Installation) -> Iterator[Finding]:
    """Looks for the operator's Deployment, and an available pod of it."""
    if installation.operator is None:
        yield Finding(
            "bad",
            f"Deployment '{OPERATOR}' does not exist in namespace '{installation.release}': no operator reconciles; install the "
            "chart, or name its namespace with --release-namespace",
        )
        return
    yield _deployment_finding(installation, installation.operator, "the operator", "nothing is reconciled")


def check_leader(installation: Installation) -> Iterator[Finding]:
    """Looks at the Lease by which one operator leads."""
    lease = installation.client.get(Reference(LEASE, installation.release, OPERATOR))
    holder, renewed = get_field(lease, "spec", "holderIdentity"), get_field(lease, "spec", "renewTime")
    see = f"'kubectl -n {installation.release} logs deployment/{OPERATOR}' says why"
    if not holder or not renewed:
        yield Finding(
            "bad", f"no operator leads: Lease '{OPERATOR}' in namespace '{installation.release}' has no holder; {see}"
        )
        return
    age = (datetime.now(UTC) - datetime.fromisoformat(str(renewed))).total_seconds()
    if age > MAX_LEASE_AGE_SECONDS:
        yield Finding(
            "bad",
            f"no operator leads: '{holder}' renewed the Lease {age:.0f} s ago, which it does every 2 s; it is gone, or cannot reach "
            f"the API server; {see}",
        )
    elif age < -MAX_LEASE_AGE_SECONDS:
        yield Finding(
            "bad", f"the clock of the operator's node is {-age:.0f} s ahead of this machine's; set both by NTP"
        )
    else:
        yield Finding("good", f"'{holder}' leads")


def check_store(installation: Installation) -> Iterator[Finding]:
    """Looks for an available pod of the embedded store; another store is judged by what pods say of it."""
    store = installation.client.get(Reference(DEPLOYMENT, installation.release, STORE))
    if store is None:
        yield Finding("good", "the store is not the embedded one; whether pods reach it, their conditions say")
    else:
        yield _deployment_finding(installation, store, "the embedded store", "no step can read or write data")


def check_reader(installation: Installation) -> Iterator[Finding]:
    """Looks for an available pod of the reader, and asks it for a trial of the namespace, as the commands do that read."""
    options = Options(release_namespace=installation.release).with_environment()
    reader = installation.client.get(Reference(DEPLOYMENT, installation.release, READER_SERVICE))
    if reader is None and not options.reader_url:
        yield _missing_reader(installation)
        return
    found = _deployment_finding(installation, reader, "the reader", UNREADABLE) if reader else None
    if found is None or found.state == "good":
        found = None if options.reader_url else _proxy_failure(installation)
    yield found or _trials_finding(installation, options)


def _missing_reader(installation: Installation) -> Finding:
    if installation.client.get(Reference(SERVICE, installation.release, READER_SERVICE)) is None:
        return Finding("good", f"the chart's value reader.enabled is false, so {UNREADABLE}")
    return Finding(
        "bad",
        f"Deployment '{READER_SERVICE}' does not exist in namespace '{installation.release}', though its Service does, so {UNREADABLE}; "
        "upgrade the chart, which creates it",
    )


def _proxy_failure(installation: Installation) -> Finding | None:
    """What is wrong on the way through the API server's proxy, which needs no token of the reader; None if nothing is."""
    path = f"/api/v1/namespaces/{installation.release}/services/http:{READER_SERVICE}:{READER_PORT}/proxy/readyz"
    response = installation.client.open("GET", path)
    body = response.read().decode(errors="replace").strip()[:200]
    response.release_conn()
    if response.status == HTTPStatus.OK:
        return None
    if response.status == HTTPStatus.FORBIDDEN:
        return Finding(
            "bad",
            f"you may not reach the reader through the API server's proxy: {body}; set the chart's value reader.proxyAccess=true, "
            "or FLYWHEEL_READER_URL to its address",
        )
    return Finding(
        "bad", f"the reader is not ready (HTTP {response.status}): {body}; see the log of Deployment '{READER_SERVICE}'"
    )


def _trials_finding(installation: Installation, options: Options) -> Finding:
    """Whether the reader lets this user list the trials of the namespace."""
    namespace = installation.namespace
    try:
        session = open_session(installation.client, namespace, options)
        session.reader.get_json(path_of(namespace, "trials"), [("limit", "1")])
    except FlywheelError as error:
        if error.reason != "NoToken":
            return Finding("bad", f"you cannot read what was tracked in namespace '{namespace}': {error.message}")
        account = f"--serviceaccount={namespace}:NAME -n {namespace}"
        return Finding(
            "unknown",
            "the reader responds, but your kubeconfig has no token to show it. A ServiceAccount has one: "
            f"'kubectl create serviceaccount NAME -n {namespace}', "
            f"'kubectl create rolebinding NAME-edit --clusterrole=edit {account}', "
            f"'kubectl create rolebinding NAME-data --clusterrole=flywheel-data-reader {account}', "
            f"'export FLYWHEEL_SERVICE_ACCOUNT={namespace}/NAME'",
        )
    return Finding("good", f"the reader responds, and you may list the trials of namespace '{namespace}'")


def _deployment_finding(installation: Installation, deployment: Manifest, subject: str, effect: str) -> Finding:
    name = deployment["metadata"]["name"]
    if get_field(deployment, "spec", "replicas") == 0:
        return Finding(
            "bad",
            f"{subject} is scaled to no replicas, so {effect}; "
            f"'kubectl -n {installation.release} scale deployment/{name} --replicas=1' starts it",
        )
    if is_available(deployment):
        return Finding("good", f"{subject} is available")
    return Finding("bad", f"{subject} is not available, so {effect}. {_why(installation, deployment)}")


def _why(installation: Installation, deployment: Manifest) -> str:
    name = deployment["metadata"]["name"]
    labels = get_field(deployment, "spec", "selector", "matchLabels") or {}
    pods = [
        pod
        for pod in installation.client.list_objects(POD, installation.release)
        if labels.items() <= (get_field(pod, "metadata", "labels") or {}).items()
    ]
    found = diagnose(deployment, pods, lambda _uid: (), datetime.now(UTC))
    return found.message if found else f"'kubectl -n {installation.release} describe deployment/{name}' says why"
