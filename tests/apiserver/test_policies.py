"""The chart's policies for pods, workloads, containers with credentials, Secrets and placement, on a real API server."""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from flywheel.core.resource import names
from tests.apiserver.manifests import Kubectl
from tests.apiserver.policies import OPERATOR, Run, policies_in, resource
from tests.documents import CHECKOUT
from tests.restricted_specs import CLAIMS, PLACES, S3, SECRETS, container, experiment

pytestmark = pytest.mark.apiserver

JOBS, REPLICA_SETS, DAEMON_SETS, CRON_JOBS = (
    f"system:serviceaccount:kube-system:{name}-controller" for name in ("job", "replicaset", "daemon-set", "cronjob")
)
KUEUE = "system:serviceaccount:kueue-system:kueue-controller-manager"
ADMIN = ("--as", "boss", "--as-group", "system:masters")
OURS = {"flywheel.ml/uid": "7d1f", "flywheel.ml/name": "flights"}
POD_SPEC: dict[str, Any] = {"containers": [{"name": "collect", "image": "runtime"}, {"name": "main", "image": "user"}]}


def as_user(user: str) -> tuple[str, ...]:
    """Return the words by which kubectl acts as that user, with every right: the policies look at the name."""
    return ("--as", user, "--as-group", "system:masters")


def pod(name: str, labels: dict[str, str] = OURS, **metadata: Any) -> str:
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels, **metadata}}
    return yaml.safe_dump({**body, "spec": POD_SPEC})


def workload(api: str, kind: str, name: str, labels: dict[str, str] = OURS, own: dict[str, str] | None = None) -> str:
    """Return a workload whose pods have these labels."""
    one_shot = kind in ("Job", "CronJob")
    marks = {"app": name, **labels}
    template = {"metadata": {"labels": marks}, "spec": {**POD_SPEC, **({"restartPolicy": "Never"} if one_shot else {})}}
    spec: dict[str, Any] = {"template": template}
    if kind == "CronJob":
        spec = {"schedule": "0 0 * * *", "jobTemplate": {"spec": spec}}
    elif kind == "ReplicationController":
        spec["selector"] = {"app": name}
    elif kind != "Job":
        spec["selector"] = {"matchLabels": {"app": name}}
    if kind == "Job":
        spec["suspend"] = True  # its pods' nodes may change only so, and Kueue does it
    if kind == "StatefulSet":
        spec["serviceName"] = name
    metadata = {"name": name, "labels": own or {}}
    return yaml.safe_dump({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec})


WORKLOADS = [
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("v1", "ReplicationController"),
]


@pytest.fixture(scope="module")
def team(installed: Kubectl) -> Iterator[Run]:
    """kubectl in a namespace with a tenant (the chart's edit role and four Secrets), an editor (Kubernetes' own) and a guest who may exec."""
    users = {
        "tenant": ("flywheel-edit", "flywheel-view"),
        "editor": ("flywheel-edit", "flywheel-view", "system:aggregate-to-edit", "system:aggregate-to-view"),
    }
    with policies_in("policies", installed, users, "serving.allowedEnv={TOKEN}") as run:
        grant(
            run,
            "tenant",
            "--verb=get",
            "--resource=secrets",
            *(f"--resource-name={each}" for each in ("mine", "a", "b", "c")),
        )
        grant(
            run,
            "tenant-claims",
            "--verb=get",
            "--resource=persistentvolumeclaims",
            "--resource-name=mine",
            user="tenant",
        )
        for subresources in ("pods/status", "pods/ephemeralcontainers", "jobs.batch/status", "deployments.apps/status"):
            name = f"editor-{subresources.replace('/', '-').replace('.', '-')}"
            grant(run, name, "--verb=get,update,patch", f"--resource={subresources}", user="editor")
        grant(run, "guest", "--verb=get", "--resource=pods")
        grant(run, "guest-exec", "--verb=get,create", "--resource=pods/exec,pods/attach", user="guest")
        create(run, pod("ours"), JOBS)
        create(run, pod("fraud-score-1-0123abcd-0-x7k2p"), JOBS)
        create(run, pod("theirs", {"app": "theirs"}), "editor")
        for api, kind, name in (("batch/v1", "Job", "job"), ("apps/v1", "Deployment", "service")):
            create(run, workload(api, kind, name, own=OURS), OPERATOR)
            annotate = (
                "annotate",
                kind,
                name,
                "flywheel.ml/trial={}",
                "flywheel.ml/digest=sha256:0",
                *as_user(OPERATOR),
            )
            assert (done := run(*annotate)).returncode == 0, done.stderr
        create(run, workload("apps/v1", "Deployment", "plain", {}), "editor")
        yield run  # fmt: skip


def grant(run: Run, name: str, *words: str, user: str = "") -> None:
    """Create a Role of that name and bind it to the user, who has the same name if none is given."""
    assert (made := run("create", "role", name, *words)).returncode == 0, made.stderr
    assert (bound := run("create", "rolebinding", name, f"--role={name}", f"--user={user or name}")).returncode == 0, bound.stderr  # fmt: skip


def create(run: Run, manifest: str, user: str) -> None:
    done = run("create", "-f", "-", *as_user(user), stdin=manifest)
    assert done.returncode == 0, done.stderr


def dry_run(run: Run, manifest: str, user: str) -> str:
    """Return what the server says to a creation by that user, empty if it allows it."""
    done = run("create", "--dry-run=server", "-f", "-", "--as", user, stdin=manifest)
    return done.stderr if done.returncode else ""


def patch(run: Run, target: str, change: dict[str, Any] | list[Any], *words: str) -> str:
    """Return what the server says to a patch, empty if it allows it."""
    sort = "json" if isinstance(change, list) else "strategic"
    done = run("patch", *target.split(), "--dry-run=server", f"--type={sort}", "--patch", json.dumps(change), *words)
    return done.stderr if done.returncode else ""


def owned_by_job(run: Run) -> str:
    uid = run("get", "job", "job", "-o", "jsonpath={.metadata.uid}").stdout
    return pod("forged", ownerReferences=[{"apiVersion": "batch/v1", "kind": "Job", "name": "job", "uid": uid, "controller": True}])  # fmt: skip


@pytest.mark.parametrize("user", ["editor", "boss", DAEMON_SETS])
@pytest.mark.parametrize("manifest", [lambda _run: pod("forged"), owned_by_job], ids=["no owner", "our Job as owner"])
def test_a_pod_with_our_labels_is_made_by_nobody_else(team: Run, user: str, manifest: Callable[[Run], str]) -> None:
    done = team("create", "-f", "-", *as_user(user), stdin=manifest(team))

    assert f"made by the controllers of Flywheel's Jobs and Deployments alone, and '{user}' is none of them" in done.stderr  # fmt: skip
    assert "value policies.controllers of the chart" in done.stderr


@pytest.mark.parametrize("user", [JOBS, REPLICA_SETS, "system:kube-controller-manager", KUEUE])
def test_a_pod_with_our_labels_is_made_by_controllers_and_named_writers(team: Run, user: str) -> None:
    done = team("create", "-f", "-", *as_user(user), stdin=pod(f"made-by-{user.rpartition(':')[2]}"))

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("target", "change", "message"),
    [
        pytest.param("pod theirs", {"metadata": {"labels": OURS}}, "may not change the labels", id="a label added"),
        pytest.param("pod ours", {"metadata": {"labels": {"flywheel.ml/uid": None}}}, "may not change the labels", id="our label removed"),
        pytest.param("pod ours", {"metadata": {"labels": {"batch.kubernetes.io/job-name": "job"}}}, "may not change the labels", id="another Job"),
        pytest.param("pod ours", {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"}]}}, "may not change the owner", id="another owner"),
        pytest.param("pod ours", {"spec": {"containers": [{"name": "collect", "image": "mine"}]}}, "may not change what runs in", id="another image"),
        pytest.param("pod ours", {"spec": {"activeDeadlineSeconds": 5}}, "may not change what runs in", id="a deadline"),
        pytest.param("pod ours --subresource=status", {"status": {"phase": "Succeeded"}}, "may not write the status of", id="a status"),
        pytest.param("job job", {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}}, "may not change what jobs 'job' of Flywheel runs", id="the node of a Job's pods"),
        pytest.param("job job --subresource=status", {"status": {"succeeded": 1}}, "may not write the status of jobs 'job'", id="a Job's status"),
        pytest.param("deployment service", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "mine"}]}}}}, "may not change what deployments 'service'", id="a server's image"),
        pytest.param("deployment service", {"metadata": {"labels": {"flywheel.ml/uid": None}}}, "may not change what deployments 'service'", id="a Deployment set free"),
        pytest.param("deployment service", {"metadata": {"annotations": {"flywheel.ml/digest": "sha256:1"}}}, "may not change what deployments 'service'", id="the digest that it serves"),
        pytest.param("job job", {"metadata": {"annotations": {"flywheel.ml/batch-run": "{}"}}}, "may not change what jobs 'job'", id="the run of a Job"),
        pytest.param("job job", {"metadata": {"annotations": {"flywheel.ml/trial": None}}}, "value policies.extraWriters of the chart", id="the trial of a Job"),
        pytest.param("deployment plain", {"spec": {"template": {"metadata": {"labels": OURS}}}}, "may not change what deployments 'plain'", id="our label in a template"),
        pytest.param("deployment service --subresource=status", {"status": {"replicas": 1}}, "may not write the status of deployments 'service'", id="a Deployment's status"),
    ],
)  # fmt: skip
def test_nobody_else_changes_what_makes_it_ours(team: Run, target: str, change: dict[str, Any], message: str) -> None:
    assert message in patch(team, target, change, *as_user("editor"))


def test_nobody_adds_a_container_to_our_pod(team: Run) -> None:
    debugger = {"name": "debugger", "image": "mine", "targetContainerName": "collect"}

    refused = patch(team, "pod ours --subresource=ephemeralcontainers", {"spec": {"ephemeralContainers": [debugger]}}, *as_user("editor"))  # fmt: skip

    assert "may not change what runs in Flywheel's pod 'ours'" in refused


@pytest.mark.parametrize(
    ("target", "change", "user"),
    [
        pytest.param("pod ours", {"metadata": {"annotations": {"note": "mine"}}}, "editor", id="an annotation"),
        pytest.param("pod ours", {"metadata": {"labels": {"team": "mine"}}}, "editor", id="a foreign label"),
        pytest.param("pod ours", {"metadata": {"annotations": {"flywheel.ml/route": "1"}}}, OPERATOR, id="the operator's route"),
        pytest.param("pod ours --subresource=status", {"status": {"phase": "Running"}}, "system:serviceaccount:kube-system:job-controller", id="a controller's status"),
        pytest.param("job job", {"spec": {"suspend": False}}, "editor", id="a Job's suspension"),
        pytest.param("job job", {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}, "metadata": {"annotations": {"a": "b"}}}, KUEUE, id="Kueue's node"),
        pytest.param("job job --subresource=status", {"status": {"active": 1}}, OPERATOR, id="the operator's tick"),
        pytest.param("deployment service", {"spec": {"replicas": 3}}, "editor", id="a scale"),
        pytest.param("deployment service", {"spec": {"template": {"metadata": {"annotations": {"restartedAt": "now"}}}}}, "editor", id="a restart"),
        pytest.param("deployment service", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "new"}]}}}}, OPERATOR, id="the operator's image"),
    ],
)  # fmt: skip
def test_what_does_not_make_it_ours_may_change(team: Run, target: str, change: dict[str, Any], user: str) -> None:
    assert patch(team, target, change, *as_user(user)) == ""


@pytest.mark.parametrize("words", [("scale", "--replicas=2"), ("rollout", "restart")], ids=lambda words: words[0])
def test_kubectl_scales_and_restarts_our_deployment(team: Run, words: tuple[str, ...]) -> None:
    done = team(*words, "deployment/service", *as_user("editor"))

    assert done.returncode == 0, done.stderr


def test_an_annotation_of_any_size_is_within_the_cost_that_a_policy_may_have(team: Run) -> None:
    big = {"metadata": {"annotations": {"flywheel.ml/trial": "x" * 120_000}}}

    assert patch(team, "job job", big, *as_user(OPERATOR)) == ""
    assert "may not change what jobs 'job'" in patch(team, "job job", big, *as_user("editor"))


@pytest.mark.parametrize(("api", "kind"), WORKLOADS)
def test_a_workload_whose_pods_have_our_label_is_made_by_the_operator_alone(team: Run, api: str, kind: str) -> None:
    forged, foreign = workload(api, kind, "forged"), workload(api, kind, "foreign", {})

    for user in ("editor", DAEMON_SETS):
        done = team("create", "-f", "-", *as_user(user), stdin=forged)
        assert "with the label flywheel.ml/uid; create the Flywheel resource that makes them" in done.stderr
    assert dry_run(team, foreign, "editor") == ""
    create(team, workload(api, kind, "made"), OPERATOR)


def test_a_tick_of_our_cronjob_is_made_by_its_controller(team: Run) -> None:
    create(team, workload("batch/v1", "Job", "tick"), CRON_JOBS)


def test_a_user_makes_a_tick_which_starts_no_pods(team: Run) -> None:
    tick = yaml.safe_load(workload("batch/v1", "Job", "by-hand", own={**OURS, "flywheel.ml/step": "tick"}))
    tick["spec"] |= {"managedBy": "flywheel.ml/trigger", "suspend": False}
    other = {**tick, "metadata": {"name": "other", "labels": {**OURS, "flywheel.ml/step": "verify"}}}

    create(team, yaml.safe_dump(tick), "editor")
    refused = team("create", "-f", "-", *as_user("editor"), stdin=yaml.safe_dump(other))

    assert "'editor' may not create jobs with the label flywheel.ml/uid" in refused.stderr


def test_a_dry_run_tells_the_user_what_the_operators_jobs_would_meet(team: Run) -> None:
    assert dry_run(team, workload("batch/v1", "Job", "tried"), "editor") == ""


def cut_name(number: int, index: int) -> str:
    """Return the name of a shard's pod of a BatchInference with a long name. Kubernetes cuts the Job's name for the index and five letters."""
    tail = f"-score-{number}-0123abcd"
    job, suffix = names.truncate("b" * 60, names.MAX_NAME_LENGTH - len(tail)) + tail, f"-{index}-"
    return f"{job[: 58 - len(suffix)]}{suffix}x7k2p"


@pytest.mark.parametrize(
    ("container", "pod", "user", "refused"),
    [
        pytest.param("collect", "ours", "guest", True, id="collect"),
        pytest.param("fetch", "ours", "guest", True, id="fetch"),
        pytest.param("log-sink", "ours", "guest", True, id="the sink of a server"),
        pytest.param("main", "fraud-score-1-0123abcd-0-x7k2p", "guest", True, id="main of a batch"),
        pytest.param("", "fraud-score-1-0123abcd-0-x7k2p", "guest", True, id="the default container of a batch"),
        *(
            pytest.param("main", cut_name(number, index), "guest", True, id=f"a long name, run {number}, shard {index}")
            for number in (1, 12, 100)
            for index in (0, 10, 100)
        ),
        pytest.param("main", "fraud-plan-1-0123abcd-x7k2p", "guest", True, id="the plan of a batch"),
        pytest.param("main", "fraud-finish-12-0123abcd-x7k2p", "guest", True, id="the end of a batch"),
        pytest.param("main", "ours", "guest", False, id="main of a step"),
        pytest.param("", "ours", "guest", False, id="the default container of a step"),
        pytest.param("collect", "ours", "editor", False, id="by one who may read the Secret"),
    ],
)
def test_who_enters_a_container_with_credentials_may_read_them(
    team: Run, container: str, pod: str, user: str, refused: bool
) -> None:
    query = f"command=true&stdout=true{f'&container={container}' if container else ''}"
    path = f"/api/v1/namespaces/policies/pods/{pod}/exec?{query}"

    done = team("create", "--raw", path, "-f", "-", "--as", user, stdin="{}")

    assert ("holds the store's credentials" in done.stderr) is refused
    # What the policy allows fails later: there is no node here, and no default container.
    later = ("does not have a host assigned", "a container name must be specified")
    assert refused or any(each in done.stderr for each in later), done.stderr


def named(spec: dict[str, Any], kind: str, name: str) -> str:
    """Return the manifest of that kind, with the name in place of NAME."""
    return yaml.safe_dump(resource(kind, json.loads(json.dumps(spec).replace("NAME", name))))


def walk(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Yield the path of every field below a schema; lists and maps add nothing to a path."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from walk(field, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from walk(schema[key], path)


@cache
def all_fields() -> frozenset[tuple[str, str]]:
    """Kind and path of every field of a spec, in the CRDs. Reading them takes seconds."""
    found = set()
    for file in (CHECKOUT / "crds").glob("*.yaml"):
        crd = yaml.load(file.read_text(), yaml.CSafeLoader)["spec"]
        schema = crd["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        found |= {(crd["names"]["kind"], path) for path in walk(schema, "spec")}
    return frozenset(found)


def fields(pattern: str) -> set[tuple[str, str]]:
    """Return kind and path of every field of a spec that matches the pattern from its first to its last letter."""
    return {(kind, path) for kind, path in all_fields() if re.fullmatch(pattern, path)}


def test_every_field_that_names_a_secret_or_a_volume_is_in_these_tables() -> None:
    text = r"(?i).*(secret|secretname|secret\.name|pullsecrets\.name|hmac\.name|serviceaccountname|claim|claimname|configmap|configmap\.name)"
    leaves = {(kind, path) for kind, path in fields(text) if not fields(re.escape(path) + r"\.name")}

    assert leaves == {*SECRETS, *CLAIMS}
    assert fields(r".*\.placement") == set(PLACES)


@pytest.mark.parametrize(("kind", "path"), SECRETS)
def test_a_resource_names_only_secrets_that_its_writer_may_read(team: Run, kind: str, path: str) -> None:
    spec = SECRETS[kind, path]

    refused = dry_run(team, named(spec, kind, "payroll"), "tenant")

    assert "'tenant' may not get Secret 'payroll', and so may not have it given to a pod" in refused
    assert dry_run(team, named(spec, kind, "mine"), "tenant") == ""
    assert dry_run(team, named(spec, kind, "payroll"), "editor") == ""


@pytest.mark.parametrize(("kind", "path"), SECRETS)
@pytest.mark.parametrize("user", ["tenant", "boss"])
def test_nobody_names_the_stores_secret(team: Run, kind: str, path: str, user: str) -> None:
    admin = ADMIN if user == "boss" else ("--as", user)
    manifest = named(SECRETS[kind, path], kind, "flywheel-store")

    done = team("create", "--dry-run=server", "-f", "-", *admin, stdin=manifest)

    assert "Secret 'flywheel-store' is the installation's own, and no resource may name it" in done.stderr


@pytest.mark.parametrize(("kind", "path"), CLAIMS)
def test_a_resource_names_only_volumes_that_its_writer_may_read(team: Run, kind: str, path: str) -> None:
    spec = CLAIMS[kind, path]

    assert "'tenant' may not get PersistentVolumeClaim 'payroll'" in dry_run(
        team, named(spec, kind, "payroll"), "tenant"
    )
    assert dry_run(team, named(spec, kind, "mine"), "tenant") == ""
    assert dry_run(team, named(spec, kind, "payroll"), "editor") == ""


def env(*names: str) -> list[dict[str, Any]]:
    return [{"name": f"V{i}", "secret": {"name": name, "key": "k"}} for i, name in enumerate(names)]


@pytest.mark.parametrize(
    ("names", "user", "message"),
    [
        pytest.param(("mine", "a", "b", "c", "a", "mine"), "tenant", "", id="four of his own, some twice"),
        pytest.param(("mine", "a", "b", "payroll"), "tenant", "may not get Secret 'payroll'", id="another's among his own"),
        pytest.param([f"s{i}" for i in range(13)], "tenant", "it names more than 12 Secrets", id="more than can be asked"),
        pytest.param([f"s{i}" for i in range(12)], "tenant", "may not get Secret 's0'", id="as many as can be asked"),
        pytest.param([f"s{i}" for i in range(48)], "editor", "", id="any number, by one who may read all"),
    ],
)  # fmt: skip
def test_several_secrets(team: Run, names: list[str], user: str, message: str) -> None:
    trainer = {"container": {"image": "trainer", "env": env(*names)}}

    refused = dry_run(team, named(experiment(trainer), "Experiment", ""), user)

    assert message in refused
    assert bool(refused) is bool(message)


def test_a_pipeline_with_as_many_secrets_as_fit_is_within_the_cost_that_a_policy_may_have(team: Run) -> None:
    steps = [{"name": f"s{i}", **container(env=env(*(f"secret-{i}-{j}" for j in range(32))))} for i in range(200)]
    manifest = named({"steps": steps}, "TrainingPipeline", "")

    assert dry_run(team, manifest, "editor") == ""
    assert "it names more than 12 Secrets" in dry_run(team, manifest, "tenant")


@pytest.fixture(scope="module")
def payroll(team: Run) -> None:
    """A Dataset of the editor's that names a Secret which the tenant may not read."""
    spec = {"source": {"s3": {**S3, "secretName": "payroll"}}}
    create(team, yaml.safe_dump(resource("Dataset", spec, "payroll")), "boss")


@pytest.mark.parametrize(
    ("change", "words", "refused"),
    [
        pytest.param({"metadata": {"labels": {"a": "b"}}}, ("--as", "tenant"), False, id="a label of another's Dataset"),
        pytest.param({"spec": {"target": "late"}}, ("--as", "tenant"), True, id="what is done with another's Secret"),
        pytest.param({"spec": {"source": {"s3": {"secretName": "mine"}}}}, ("--as", "tenant"), False, id="his own Secret instead"),
        pytest.param({"spec": {"target": "late"}}, as_user(OPERATOR), False, id="by the operator"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("payroll")
def test_a_change_of_the_spec_counts_all_names_again(
    team: Run, change: dict[str, Any], words: tuple[str, ...], refused: bool
) -> None:
    done = team("patch", "fwds", "payroll", "--dry-run=server", "--type=merge", "--patch", json.dumps(change), *words)

    assert ("may not get Secret 'payroll'" in done.stderr) is refused, done.stderr
    assert (done.returncode != 0) is refused, done.stderr


@pytest.mark.parametrize(("kind", "path"), PLACES)
@pytest.mark.parametrize(
    ("place", "message"),
    [
        pytest.param({"priorityClassName": "system-node-critical"}, "placement.priorityClassName 'system-node-critical' is not allowed in this installation; allowed: none", id="a class"),
        pytest.param({"tolerations": [{"operator": "Exists"}]}, "a toleration without a key tolerates every taint", id="every taint"),
        pytest.param({"tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]}, "placement.tolerations 'node-role.kubernetes.io/control-plane' is not allowed in this installation; allowed: nvidia.com/gpu", id="a taint"),
        pytest.param({"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}], "nodeSelector": {"gpu": "a100"}}, "", id="GPUs, and any node"),
    ],
)  # fmt: skip
def test_placement_is_what_the_values_allow(
    team: Run, kind: str, path: str, place: dict[str, Any], message: str
) -> None:
    refused = dry_run(team, named(PLACES[kind, path](place), kind, ""), "tenant")

    assert message in refused
    assert bool(refused) is bool(message)
