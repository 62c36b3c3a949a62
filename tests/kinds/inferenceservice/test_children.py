"""What an InferenceService becomes, as reviewed YAML and as rules."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.core.resource.api import CONFIG_MAP, JOB, MODEL, MODEL_VERSION, POD_DISRUPTION_BUDGET, Reference
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.resource.ownership import with_owner
from flywheel.core.resource.plan import Child
from flywheel.core.settings import Identity, Settings
from flywheel.kinds.inferenceservice import children
from flywheel.kinds.inferenceservice.auth import authentication
from flywheel.kinds.inferenceservice.kind import KIND
from flywheel.kinds.inferenceservice.schema import InferenceService
from tests.examples import examples
from tests.golden_files import same_as
from tests.pod_security import containers, violations
from tests.simulation import resource

HERE = Path(__file__).parent
TARGET = ResolvedVersion("delay-1", "sha256:" + "1" * 64)
EVERYTHING: dict[str, Any] = {
    "replicas": 3,
    "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi", "nvidia.com/gpu": 1}},
    "env": [{"name": "TOKEN", "secret": {"name": "hf", "key": "token"}}, {"name": "OMP_NUM_THREADS", "value": "1"}],
    "imagePullSecrets": [{"name": "registry"}],
    "placement": {
        "nodeSelector": {"gpu": "a100"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "priorityClassName": "online",
    },
    "sharedMemory": "1Gi",
    "batching": {"maxBatchSize": 32, "maxLatency": "2ms"},
    "logging": {
        "sample": "5%",
        "key": "flight_id",
        "columns": [{"name": "wind", "action": "Bucket", "width": "2.5"}, {"name": "carrier", "action": "Hmac"}],
        "hmac": {"name": "log-key", "key": "hmac"},
    },
    "explain": {"sample": "1%", "header": True},
}


def service(**spec: Any) -> InferenceService:
    found: InferenceService = resource(KIND, "delay", {"model": "delay", "auth": {"none": {}}, **spec})
    return found


def template(settings: Settings | None = None, **spec: Any) -> Any:
    child = children.deployment(service(**spec), TARGET, settings or Settings())
    return child.manifest["spec"]["template"]


def inputs(settings: Settings | None = None, target: ResolvedVersion = TARGET, **spec: Any) -> Any:
    return children.deployment(service(**spec), target, settings or Settings()).inputs


@pytest.mark.parametrize(("name", "spec"), [("plain", {}), ("everything", EVERYTHING)])
def test_the_children_are_the_golden_ones(name: str, spec: dict[str, Any]) -> None:
    asked = service(**spec)
    every = [
        with_owner(asked, child)
        for child in children.service_children(asked, TARGET, Settings(allowed_serving_env=("TOKEN",)))
        if isinstance(child, Child)
    ]

    assert same_as(HERE / f"golden/{name}.yaml", *every)


NAMES = st.sampled_from(["a", "b-1", "registry"])
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 5),
        "scaling": st.fixed_dictionaries({"maxReplicas": st.integers(1, 5)}),
        "suspend": st.booleans(),
        "resources": st.fixed_dictionaries(
            {},
            optional={
                each: st.dictionaries(st.sampled_from(["cpu", "memory", "nvidia.com/gpu"]), st.integers(1, 9))
                for each in ("requests", "limits")
            },
        ),
        "env": st.lists(
            st.builds(
                lambda name, value: {"name": name, "value": value}, st.sampled_from("AB"), st.sampled_from(["", "1"])
            ),
            max_size=3,
        ),
        "imagePullSecrets": st.lists(st.builds(lambda name: {"name": name}, NAMES), max_size=2),
        "placement": st.fixed_dictionaries({}, optional={"nodeSelector": st.dictionaries(NAMES, NAMES)}),
        "sharedMemory": st.sampled_from(["64Mi", 1024]),
    },
)


@settings(max_examples=examples(50), deadline=None)
@given(SPECS)
def test_every_pod_is_restricted_and_without_empties(spec: dict[str, Any]) -> None:
    pod = template(**spec)["spec"]

    assert violations(pod) == []
    assert pod["automountServiceAccountToken"] is False
    # The server drops these, and what it drops would differ from what is wanted for ever.
    assert not [key for key in ("tolerations", "imagePullSecrets", "nodeSelector", "env") if pod.get(key) in ([], {})]
    assert not [each for each in containers(pod) if each.get("resources") == {} or each.get("env") == []]


def test_a_new_server_image_restarts_nothing() -> None:
    newer = Settings(serving_image="flywheel.local/serving:next", runtime_image="flywheel.local/runtime:next")

    assert template(newer) != template()
    assert inputs(newer) == inputs()


BOUNDED = Settings(server_requests=("memory=256Mi",), server_limits=("memory=4Gi",), fetch_limit="2Gi", tmp_limit="5Gi")


@pytest.mark.parametrize(
    ("spec", "resources"),
    [
        pytest.param({}, {"requests": {"memory": "256Mi"}, "limits": {"memory": "4Gi"}}, id="nothing"),
        pytest.param({"resources": {"limits": {"memory": "1Gi"}}}, {"limits": {"memory": "1Gi"}}, id="its own limit"),
        pytest.param({"runtime": {"custom": {"image": "a", "ports": {"http": 8000}}}}, None, id="another runtime"),
    ],
)
def test_a_server_is_bounded_where_its_spec_does_not_bound_it(
    spec: dict[str, Any], resources: dict[str, Any] | None
) -> None:
    pod = template(BOUNDED, **spec)["spec"]

    assert pod["containers"][0].get("resources") == resources
    volumes = {volume["name"]: volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume}
    assert volumes == {"flywheel": {"sizeLimit": str(3 << 30)}, "tmp": {"sizeLimit": "5Gi"}}


def test_other_bounds_restart_nothing() -> None:
    assert template(BOUNDED) != template()
    assert inputs(BOUNDED) == inputs()


def test_the_ephemeral_storage_of_a_server_replaces_the_sizes() -> None:
    pod = template(BOUNDED, resources={"limits": {"ephemeral-storage": "1Gi"}})["spec"]

    volumes = {volume["name"]: volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume}
    assert volumes == {"flywheel": {"sizeLimit": str(2 << 30)}, "tmp": {"sizeLimit": "1Gi"}}


def test_what_is_not_said_is_no_input_so_that_a_later_field_restarts_nothing() -> None:
    assert inputs() == {"version": "delay-1", "digest": TARGET.digest, "store": "flywheel-store", "spec": {}}


@pytest.mark.parametrize("field", [name for name in EVERYTHING if name != "replicas"])
def test_whatever_shapes_the_pod_is_an_input(field: str) -> None:
    assert template(**{field: EVERYTHING[field]}) != template()
    assert inputs(**{field: EVERYTHING[field]}) != inputs()


ACCOUNTS: dict[str, Any] = {"serviceAccount": {}}
JWT: dict[str, Any] = {
    "jwt": {
        "issuer": "https://login.example.org",
        "audiences": ["delay"],
        "jwksUri": "https://login.example.org/keys",
        "algorithms": ["ES256"],
        "requiredClaims": [{"name": "groups", "values": ["shop"]}, {"name": "email"}],
        "labelClaims": [{"name": "groups", "values": ["labelers"]}],
        "certificateAuthority": "-----BEGIN CERTIFICATE-----",
    }
}


@pytest.mark.parametrize("auth", [ACCOUNTS, JWT], ids=["serviceAccount", "jwt"])
def test_who_may_ask_is_an_input_unless_everybody_may(auth: dict[str, Any]) -> None:
    assert template(auth=auth) != template()
    assert inputs(auth=auth) != inputs()
    assert violations(template(auth=auth)["spec"]) == []


def told(auth: dict[str, Any]) -> Any:
    """What the server itself makes of its arguments."""
    from flywheel_serving import settings

    [server] = template(auth=auth)["spec"]["containers"]
    return settings.parse(server["args"]).auth


def test_the_server_understands_who_may_ask() -> None:
    from flywheel_serving.auth.config import JwtConfig, RequiredClaim, ServiceAccountConfig

    assert told({"none": {}}) is None
    assert told(ACCOUNTS) == ServiceAccountConfig("default", "delay", ("delay.default.svc",))
    assert told({"serviceAccount": {"audiences": ["shop"]}}).audiences == ("shop",)
    assert told(JWT) == JwtConfig(
        "https://login.example.org",
        ("delay",),
        ("ES256",),
        "https://login.example.org/keys",
        (RequiredClaim("groups", ("shop",)), RequiredClaim("email")),
        (RequiredClaim("groups", ("labelers",)),),
        "-----BEGIN CERTIFICATE-----",
    )


def test_only_a_server_that_asks_the_api_server_has_a_token_and_fetch_does_not_see_it() -> None:
    pod = template(auth=ACCOUNTS)["spec"]
    mounted = {
        container["name"]: [each["mountPath"] for each in container["volumeMounts"] if each["name"] == "credentials"]
        for container in containers(pod)
    }

    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("flywheel-server", False)
    assert mounted == {"fetch": [], "server": ["/var/run/secrets/kubernetes.io/serviceaccount"]}
    assert all(each["readOnly"] for each in authentication.mounts(service(auth=ACCOUNTS).spec.auth))
    others: tuple[dict[str, Any], ...] = (JWT, {"none": {}})
    for auth in others:
        other = template(auth=auth)["spec"]
        assert other["serviceAccountName"] == "delay"
        assert not [each for each in other["volumes"] if "projected" in each]


def test_an_input_has_the_name_of_its_field_which_never_changes() -> None:
    assert inputs(sharedMemory="1Gi")["spec"] == {"sharedMemory": "1Gi"}


def test_another_artifact_is_an_input() -> None:
    assert inputs(target=ResolvedVersion("delay-2", TARGET.digest)) != inputs()
    assert inputs(target=ResolvedVersion("delay-1", "sha256:" + "2" * 64)) != inputs()


@pytest.mark.parametrize("spec", [{"replicas": 5}, {"suspend": True}])
def test_how_many_there_are_is_not(spec: dict[str, Any]) -> None:
    assert template(**spec) == template()
    assert inputs(**spec) == inputs()


def test_the_server_is_told_what_the_contract_says() -> None:
    [server] = template()["spec"]["containers"]

    assert server["command"] == ["python3", "-I", "-u", "-m", "flywheel_serving"]
    assert " ".join(server["args"]).startswith(
        "--model /flywheel/inputs/model --name delay --version delay-1 --http 0.0.0.0:8080 --grpc 0.0.0.0:8081"
    )


def test_the_server_takes_these_arguments() -> None:
    from flywheel_serving import settings

    [server] = template()["spec"]["containers"]
    parsed = settings.parse(server["args"])

    assert (parsed.model.name, parsed.model.version, parsed.http, parsed.grpc) == (
        "delay",
        "delay-1",
        ("0.0.0.0", 8080),
        ("0.0.0.0", 8081),
    )
    assert parsed.drain_seconds + parsed.grace_seconds < template()["spec"]["terminationGracePeriodSeconds"]


def test_the_server_understands_how_to_batch() -> None:
    from flywheel_serving import settings

    [server] = template(batching={"maxBatchSize": 8, "maxLatency": "500us"})["spec"]["containers"]
    limits = settings.parse(server["args"]).model.limits

    assert (limits.batch_rows, limits.batch_wait_seconds) == (8, 0.0005)


@pytest.mark.parametrize(("size", "number"), [("64Mi", 64 << 20), (1_000_000, 1_000_000)])
def test_the_server_takes_bodies_of_the_size_in_the_spec(size: str | int, number: int) -> None:
    from flywheel_serving import settings

    [server] = template(maxBodySize=size)["spec"]["containers"]

    assert settings.parse(server["args"]).http_limits.body_bytes == number


def test_fetch_brings_the_artifact_by_its_digest_and_alone_sees_the_store() -> None:
    [fetch] = template()["spec"]["initContainers"]
    told = {each["name"]: each.get("value") for each in fetch["env"]}

    assert json.loads(told["FLYWHEEL_FETCH"])["inputs"] == [
        {
            "name": "model",
            "artifact": TARGET.digest,
            "files": ["baseline.json", "golden.json", "model.onnx", "signature.json"],
        }
    ]
    assert told["FLYWHEEL_STORE_FOLDER"] in [mount["mountPath"] for mount in fetch["volumeMounts"]]
    assert "store" not in [mount["name"] for mount in template()["spec"]["containers"][0]["volumeMounts"]]


def test_a_route_that_comes_later_is_mounted_from_the_start() -> None:
    assert {"name": "route", "configMap": {"name": "delay-route", "optional": True}} in template()["spec"]["volumes"]


def test_a_single_server_has_no_budget_so_that_its_node_can_be_drained() -> None:
    def budgets(**spec: Any) -> int:
        every = children.service_children(service(**spec), TARGET, Settings())
        return sum(child.api == POD_DISRUPTION_BUDGET for child in every)

    assert (budgets(replicas=1), budgets(replicas=2), budgets(replicas=2, suspend=True)) == (0, 1, 0)


def test_every_child_is_a_type_that_the_kind_owns() -> None:
    scaled = {key: value for key, value in EVERYTHING.items() if key != "replicas"}
    every = children.service_children(service(**scaled, scaling={"maxReplicas": 3}), TARGET, Settings())

    # ConfigMaps and Jobs come with a rollout (test_rollout.py).
    assert {child.api for child in every} == set(KIND.owns) - {CONFIG_MAP, JOB}


@pytest.mark.parametrize(
    ("spec", "status", "led"),
    [
        pytest.param({"model": "delay"}, {}, {(MODEL, "delay")}, id="to its model"),
        pytest.param({"version": "delay-1"}, {}, {(MODEL_VERSION, "delay-1")}, id="to its version"),
        pytest.param(
            {"model": "delay"},
            {"version": "delay-1"},
            {(MODEL, "delay"), (MODEL_VERSION, "delay-1")},
            id="and to what it serves",
        ),
    ],
)
def test_it_leads(spec: dict[str, Any], status: dict[str, Any], led: set[Any]) -> None:
    found = resource(KIND, "delay", {"auth": {"none": {}}, **spec}, status=status)

    assert set(KIND.references(found)) == {Reference(api, "default", name) for api, name in led}


def test_the_account_of_a_service_has_the_identity_of_its_namespace() -> None:
    role, other = Identity({"eks.amazonaws.com/role-arn": "arn"}, {"team": "ml"}), Identity({"role": "others"})
    known = Settings(server_identities={"default": role, "": other})

    assert children.service_account(service(), known).manifest["metadata"] == {
        "name": "delay",
        "annotations": {"eks.amazonaws.com/role-arn": "arn"},
        "labels": {"team": "ml"},
    }
    elsewhere = Settings(server_identities={"shop": role, "": other})
    assert children.service_account(service(), elsewhere).manifest["metadata"]["annotations"] == {"role": "others"}
    assert children.service_account(service(), Settings()).manifest["metadata"] == {"name": "delay"}


def test_an_identity_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ValueError, match="FLYWHEEL_SERVER_IDENTITIES is 'role'"):
        Settings.from_environment({"FLYWHEEL_SERVER_IDENTITIES": "role"})
