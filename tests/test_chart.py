"""The rendered chart is the golden one ('make golden' accepts a change), and wrong values are refused with their path."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster import images
from flywheel.cli.yaml_text import load_yaml_documents
from flywheel.core.resource.names import UPGRADE_CONFIG_MAP
from flywheel.core.settings import Identity, Settings
from tests.documents import CHECKOUT
from tests.rendered_chart import CHART, KEY, helm, one, template

pytestmark = pytest.mark.apiserver  # helm is one of the Go programs that this floor builds

GOLDEN = CHECKOUT / "tests" / "golden" / "chart"
SCENARIOS = {
    "default": (*KEY, "--set", "crds.install=false"),
    "team": (
        *KEY,
        "--set",
        "crds.install=false",
        "--set",
        "namespaces={shop}",
        "--set",
        "store.embedded.nodePort=30900",
    ),
    "production": ("--values", str(CHART / "ci" / "production-values.yaml"), "--set", "crds.install=false"),
}


def pods(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The spec of every pod."""
    for each in objects:
        if each["kind"] == "Deployment":
            yield each["spec"]["template"]["spec"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_renders_as_the_golden_file_says(scenario: str) -> None:
    objects = template(*SCENARIOS[scenario])
    for each in objects:
        if "rules" in each:  # they follow the kinds, and are compared below
            each["rules"] = []
    rendered = yaml.safe_dump_all(objects, sort_keys=False, width=120)
    golden = GOLDEN / f"{scenario}.yaml"
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(rendered)

    assert rendered == golden.read_text()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_lint_has_nothing_to_say(scenario: str) -> None:
    done = helm("lint", "--strict", str(CHART), *SCENARIOS[scenario])

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param("operator.replicaz=3", "additional properties 'replicaz' not allowed", id="a misspelt value"),
        pytest.param("operator.resyncSeconds=1", "minimum: got 1, want 5", id="a resync that would never rest"),
        pytest.param("store.embedded.nodePort=80", "/store/embedded/nodePort", id="a port that no node has"),
        pytest.param("namespaces={Shop}", "does not match pattern", id="a namespace in capitals"),
        pytest.param("images.operator.digest=3f9a", "/images/operator/digest", id="a digest without its algorithm"),
        pytest.param("policies.controllers=null", "missing property 'controllers'", id="no controllers at all"),
        pytest.param("placement.tolerationKeys={a b}", "/placement/tolerationKeys/0", id="a key that no taint has"),
        pytest.param("store.readable={s3://flywheel/public}", "/store/readable", id="a folder without its slash"),
        pytest.param("store.embedded.seed=short", "/store/embedded/seed", id="a seed that can be guessed"),
        pytest.param("store.bucket=ab", "/store/bucket", id="a bucket's name that S3 refuses"),
    ],
)
def test_is_refused(value: str, message: str) -> None:
    done = helm("template", "flywheel", str(CHART), "--set", value)

    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_container_satisfies_pod_security_restricted(scenario: str) -> None:
    for pod in pods(template(*SCENARIOS[scenario])):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            security = container["securityContext"]
            assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
            assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(
    ("kind", "name", "table"),
    [
        ("Role", "flywheel-operator", "operator"),
        ("ClusterRole", "flywheel-operator-policies", "policies"),
        ("Role", "flywheel-operator-leader", "ownNamespace"),
        ("ClusterRole", "flywheel-view", "view"),
        ("ClusterRole", "flywheel-edit", "edit"),
        ("ClusterRole", "flywheel-server-tokens", "serverTokens"),
        ("ClusterRole", "flywheel-server-access", "serverAccess"),
        ("ClusterRole", "flywheel-inference-caller", "caller"),
        ("ClusterRole", "flywheel-labeler", "labeler"),
        ("ClusterRole", "flywheel-runner-logs", "runnerLogs"),
    ],
)
def test_rights_are_the_generated_ones(kind: str, name: str, table: str) -> None:
    generated = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())

    assert one(template(), kind, name)["rules"] == generated[table]


def test_a_step_pod_may_read_logs_of_its_namespace_alone() -> None:
    objects = template(*SCENARIOS["team"])
    bound = [each for each in objects if any(s.get("name") == "flywheel-runner" for s in each.get("subjects") or ())]
    runners = [each["metadata"]["namespace"] for each in objects if each["metadata"]["name"] == "flywheel-runner"]

    assert one(objects, "ClusterRole", "flywheel-runner-logs")["rules"] == [
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}
    ]
    assert [(each["kind"], each["metadata"]["namespace"], each["roleRef"]["name"]) for each in bound] == [
        ("RoleBinding", namespace, "flywheel-runner-logs") for namespace in runners
    ]


def test_crds_are_the_generated_ones_and_stay_when_the_chart_goes() -> None:
    rendered = {each["metadata"]["name"]: each for each in template() if each["kind"] == "CustomResourceDefinition"}
    generated = {path.stem: yaml.safe_load(path.read_text()) for path in (CHECKOUT / "crds").glob("*.yaml")}

    assert {name: each["spec"] for name, each in rendered.items()} == {
        name: each["spec"] for name, each in generated.items()
    }
    assert all(each["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"} for each in rendered.values())


def test_the_time_of_the_upgrade_stays_when_the_chart_goes() -> None:
    recorded = one(template(), "ConfigMap", UPGRADE_CONFIG_MAP)

    assert recorded["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "data" not in recorded  # the API server's time of its creation is the record


def test_crds_can_go_with_the_chart_or_be_left_out() -> None:
    gone = [each for each in template("--set", "crds.keep=false") if each["kind"] == "CustomResourceDefinition"]

    assert gone
    assert all("annotations" not in each["metadata"] for each in gone)
    assert not [each for each in template("--set", "crds.install=false") if each["kind"] == "CustomResourceDefinition"]


def test_the_operator_understands_its_environment() -> None:
    objects = template(*SCENARIOS["production"])
    container = one(objects, "Deployment", "flywheel-operator")["spec"]["template"]["spec"]["containers"][0]
    environment = {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}

    settings = Settings.from_environment(environment)

    assert settings.runtime_image == "example.org/flywheel/runtime:0.1.0"
    assert settings.namespaces == ("shop", "flights")
    assert settings.allowed_http_hosts == ("data.example.org",)
    assert settings.readable == ("s3://acme-models/public/",)
    assert settings.store_folder("shop") == "s3://acme-models/flywheel/shop/"
    assert settings.store_folder("flights") == "s3://acme-flights/flights/"
    assert settings.image_pull_secrets == ("registry",)
    assert settings.resync.total_seconds() == 600
    assert container["image"] == f"example.org/flywheel/operator@sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("values", "watched"),
    [
        pytest.param((), ["flywheel-system"], id="without teams its own namespace"),
        pytest.param(("namespaces={shop,flights}",), ["shop", "flights"], id="the namespaces of teams"),
        pytest.param(
            ("namespaces={shop}", "watchNamespaces={ml}"), ["ml"], id="the watched ones, where they are named"
        ),
    ],
)
def test_the_operator_may_write_in_watched_namespaces_alone(values: tuple[str, ...], watched: list[str]) -> None:
    objects = template(*(word for value in values for word in ("--set", value)))
    roles = [
        each["metadata"]["namespace"]
        for each in objects
        if (each["kind"], each["metadata"]["name"]) == ("Role", "flywheel-operator")
    ]
    bound = {
        each["roleRef"]["name"]: each["metadata"].get("namespace")
        for each in objects
        if each["kind"] in ("RoleBinding", "ClusterRoleBinding") and each["subjects"][0]["name"] == "flywheel-operator"
    }
    environment = one(objects, "Deployment", "flywheel-operator")["spec"]["template"]["spec"]["containers"][0]["env"]
    policies = [each["spec"] for each in objects if each["kind"] == "ValidatingAdmissionPolicyBinding"]

    assert roles == watched
    assert bound == {
        "flywheel-operator": watched[-1],
        "flywheel-operator-leader": "flywheel-system",
        "flywheel-operator-policies": None,
    }
    assert {"name": "FLYWHEEL_NAMESPACES", "value": ",".join(watched)} in environment
    assert policies
    for each in policies:
        [selected] = each["matchResources"]["namespaceSelector"]["matchExpressions"]
        assert selected == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": watched}


def test_an_operator_that_watches_all_namespaces_has_its_rights_in_all() -> None:
    objects = template("--set", "watchNamespaces={*}")
    environment = one(objects, "Deployment", "flywheel-operator")["spec"]["template"]["spec"]["containers"][0]["env"]

    assert one(objects, "ClusterRoleBinding", "flywheel-operator")["roleRef"]["name"] == "flywheel-operator"
    assert {"name": "FLYWHEEL_NAMESPACES", "value": ""} in environment
    assert not [
        each
        for each in objects
        if each["kind"] == "ValidatingAdmissionPolicyBinding" and "matchResources" in each["spec"]
    ]


def test_without_policies_nothing_of_the_operator_is_cluster_wide() -> None:
    objects = template(
        "--set", "policies.enabled=false", "--set", "serving.tokenReviews=false", "--set", "reader.enabled=false"
    )

    assert not [
        each for each in objects if each["kind"] == "ClusterRoleBinding" or each["kind"].startswith("Validating")
    ]


def test_the_servers_one_right_beyond_a_namespace_can_be_withheld() -> None:
    objects = template(*SCENARIOS["production"], "--set", "serving.tokenReviews=false")

    bound = [each["metadata"]["name"] for each in objects if each["kind"] == "ClusterRoleBinding"]
    assert bound == ["flywheel-operator-policies", "flywheel-reader-reviews"]


def store_keys(objects: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """The account and the key in the store's Secret of each namespace."""
    secrets = [each for each in objects if each["kind"] == "Secret" and each["metadata"]["name"] == "flywheel-store"]
    return {
        each["metadata"]["namespace"]: (
            each["stringData"]["AWS_ACCESS_KEY_ID"],
            each["stringData"]["AWS_SECRET_ACCESS_KEY"],
        )
        for each in secrets
    }


def test_each_namespace_has_an_account_of_its_own_and_none_has_the_root_key() -> None:
    objects = template("--set", "namespaces={shop,flights}")
    root = one(objects, "Secret", "flywheel-store-server")["stringData"]["ROOT_SECRET_KEY"]
    users = json.loads(one(objects, "Secret", "flywheel-store-accounts")["stringData"]["users.json"])["accessAccounts"]
    keys = store_keys(objects)

    assert {name: account for name, (account, _) in keys.items()} == {"shop": "shop.1", "flights": "flights.1"}
    assert {account: users[account]["secret"] for account, _ in keys.values()} == dict(keys.values())
    assert len({root, *(key for _, key in keys.values())}) == 3
    assert all(len(key) == 40 for _, key in keys.values())


def test_a_rotated_key_leaves_the_one_before_valid() -> None:
    before = store_keys(template(*SCENARIOS["team"]))
    objects = template(*SCENARIOS["team"], "--set", "store.embedded.keyGeneration=2")
    users = json.loads(one(objects, "Secret", "flywheel-store-accounts")["stringData"]["users.json"])["accessAccounts"]
    policy = json.loads(one(objects, "ConfigMap", "flywheel-store-policy")["data"]["policy.json"])

    assert store_keys(objects)["shop"] == ("shop.2", users["shop.2"]["secret"])
    assert before["shop"] == ("shop.1", users["shop.1"]["secret"])
    assert {tuple(each["Principal"]["AWS"]) for each in policy["Statement"]} == {
        ("shop.1", "shop.2"),
        ("shop.reader.1", "shop.reader.2"),
    }


def test_the_folder_of_an_account_has_the_namespaces_own_prefix() -> None:
    values = ("store.namespaces.shop.prefix=ml", "store.prefix=all")
    objects = template("--set", "namespaces={shop,flights}", *(word for each in values for word in ("--set", each)))
    policy = json.loads(one(objects, "ConfigMap", "flywheel-store-policy")["data"]["policy.json"])
    folders = {
        (*each["Principal"]["AWS"], *each["Resource"])
        for each in policy["Statement"]
        if "s3:GetObject" in each["Action"]
    }

    assert folders == {
        ("shop.1", "arn:aws:s3:::flywheel/ml/shop/*"),
        ("flights.1", "arn:aws:s3:::flywheel/all/flights/*"),
        ("shop.reader.1", "arn:aws:s3:::flywheel/ml/shop/*"),
        ("flights.reader.1", "arn:aws:s3:::flywheel/all/flights/*"),
    }
    writers = [each for each in policy["Statement"] if "s3:PutObject" in each["Action"]]
    assert [each["Principal"]["AWS"] for each in writers] == [["shop.1"], ["flights.1"]]


def test_a_bucket_that_the_embedded_store_does_not_have_is_refused() -> None:
    refused = helm(
        "template", "flywheel", str(CHART), "--set", "namespaces={shop}", "--set", "store.namespaces.shop.bucket=other"
    )

    assert "the embedded store has the bucket 'flywheel' alone, and store.namespaces.shop.bucket is" in refused.stderr


@pytest.mark.parametrize("key", ["accessKey", "secretKey"])
def test_a_key_that_the_embedded_store_would_not_take_is_refused(key: str) -> None:
    refused = helm(
        "template", "flywheel", str(CHART), "--set", "namespaces={shop}", "--set", f"store.namespaces.shop.{key}=given"
    )

    assert "the embedded store derives the key of namespace 'shop' itself" in refused.stderr


def test_one_key_for_all_is_named_what_it_is() -> None:
    objects = template(*KEY, "--set", "namespaces={shop,flights}", "--set", "store.shared=true")

    assert set(store_keys(objects).values()) == {("flywheel", "not-a-secret")}
    statements = json.loads(one(objects, "ConfigMap", "flywheel-store-policy")["data"]["policy.json"])["Statement"]
    accounts = {account for each in statements for account in each["Principal"]["AWS"]}
    assert accounts == {"shop.reader.1", "flights.reader.1"}


def test_one_key_of_an_external_store_for_several_namespaces_is_refused_unless_it_is_named() -> None:
    values = ("--set", "store.embedded.enabled=false", "--set", "store.accessKey=AKIA", "--set", "store.secretKey=x")

    refused = helm("template", "flywheel", str(CHART), *values, "--set", "namespaces={shop,flights}")

    assert "give each namespace its own with store.namespaces.shop.accessKey" in refused.stderr
    assert store_keys(template(*values, "--set", "namespaces={shop}")) == {"shop": ("AKIA", "x")}
    shared = template(*values, "--set", "namespaces={shop,flights}", "--set", "store.shared=true")
    assert set(store_keys(shared).values()) == {("AKIA", "x")}


def test_a_namespace_may_have_its_own_bucket_and_workload_identity() -> None:
    objects = template(*SCENARIOS["production"])
    secrets = {
        each["metadata"]["namespace"]: each["stringData"]
        for each in objects
        if each["kind"] == "Secret" and each["metadata"]["name"] == "flywheel-store"
    }
    runners, servers = (
        {
            each["metadata"]["namespace"]: each["metadata"].get("annotations")
            for each in objects
            if each["kind"] == "ServiceAccount" and each["metadata"]["name"] == name
        }
        for name in ("flywheel-runner", "flywheel-server")
    )

    assert secrets["shop"]["AWS_ACCESS_KEY_ID"] == "AKIASHOP"
    assert "AWS_ACCESS_KEY_ID" not in secrets["flights"]
    assert (secrets["flights"]["FLYWHEEL_BUCKET"], secrets["flights"]["FLYWHEEL_PREFIX"]) == ("acme-flights", "")
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/flights"}
    assert runners == {"shop": None, "flights": role}
    team = {"example.org/team": "serving"}
    assert servers == {"shop": team, "flights": {**role, **team}}


def test_a_store_of_ones_own_leaves_out_what_was_not_given() -> None:
    objects = template(
        "--set", "store.embedded.enabled=false", "--set", "namespaces={shop}", "--set", "store.bucket=acme"
    )  # fmt: skip

    assert one(objects, "Secret", "flywheel-store")["stringData"] == {
        "AWS_REGION": "us-east-1",
        "FLYWHEEL_BUCKET": "acme",
        "FLYWHEEL_PREFIX": "",
    }
    assert not [each for each in objects if each["kind"] == "PersistentVolumeClaim"]


def test_values_are_short_and_each_is_explained() -> None:
    text = (CHART / "values.yaml").read_text()

    assert len(text.splitlines()) <= 200
    assert text.count("# -- ") >= 30


EXISTING = ("--set", "store.embedded.enabled=false", "--set", "store.existingSecret=s3-keys")


def test_an_existing_secret_is_named_everywhere_and_none_is_created() -> None:
    objects = template(*EXISTING, "--set", "namespaces={shop}")
    environment = one(objects, "Deployment", "flywheel-operator")["spec"]["template"]["spec"]["containers"][0]["env"]
    policies = json.dumps([each for each in objects if each["kind"] == "ValidatingAdmissionPolicy"])

    assert {"name": "FLYWHEEL_STORE_SECRET", "value": "s3-keys"} in environment
    assert not [each for each in objects if each["kind"] == "Secret"]
    assert ".name('s3-keys').check('get')" in policies
    assert "!('s3-keys' in variables.left0)" in policies
    assert "flywheel-store" not in policies


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param(("store.existingSecret=s3-keys",), "set store.embedded.enabled=false", id="with the embedded store"),
        pytest.param(
            ("store.existingSecret=s3-keys", "store.embedded.enabled=false", "store.accessKey=AKIA"),
            "store.existingSecret and store.accessKey exclude each other", id="with another key",
        ),
        *(
            pytest.param(
                ("store.existingSecret=s3-keys", "store.embedded.enabled=false", f"store.namespaces.shop.{field}=some"),
                f"Secret 's3-keys', which store.existingSecret names, alone says how namespace 'shop' reaches the store, and store.namespaces.shop.{field} would have no effect; leave it out, or put it into that Secret",
                id=f"with {field} of a namespace",
            )
            for field in ("accessKey", "secretKey", "bucket", "prefix")
        ),
        pytest.param(
            ("store.embedded.enabled=false", "store.namespaces.shop.createSecret=false", "store.namespaces.shop.accessKey=x"),
            "createSecret is false for namespace 'shop', whose Secret flywheel-store you create, and store.namespaces.shop.accessKey would have no effect", id="of ones own",
        ),
        pytest.param(
            ("store.embedded.enabled=false", "store.namespaces.bakery.accessKey=x"),
            "`namespaces` does not list 'bakery', so that the chart creates no Secret there, and store.namespaces.bakery.accessKey would have no effect; leave it out, or add the namespace", id="in a namespace that is not listed",
        ),
    ],
)  # fmt: skip
def test_keys_that_no_secret_of_the_chart_would_hold_are_refused(values: tuple[str, ...], message: str) -> None:
    words = [word for value in values for word in ("--set", value)]

    assert message in helm("template", "flywheel", str(CHART), "--set", "namespaces={shop}", *words).stderr


def test_the_operator_gives_the_accounts_of_services_the_identity_of_their_namespace() -> None:
    values = (
        "serving.serviceAccount.labels.team=ml",
        "serving.serviceAccount.annotations.role=all",
        "runner.annotations.role=steps",
        "store.namespaces.shop.serverAnnotations.role=shop",
    )
    objects = template(*(word for value in values for word in ("--set", value)), "--set", "namespaces={shop,flights}")
    container = one(objects, "Deployment", "flywheel-operator")["spec"]["template"]["spec"]["containers"][0]
    environment = {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}
    settings = Settings.from_environment(environment)

    assert settings.server_identity("shop") == Identity({"role": "shop"}, {"team": "ml"})
    assert settings.server_identity("flights") == Identity({"role": "all"}, {"team": "ml"})
    accounts = {
        each["metadata"]["namespace"]: each["metadata"]
        for each in objects
        if each["kind"] == "ServiceAccount" and each["metadata"]["name"] == "flywheel-server"
    }
    assert {name: each["annotations"] for name, each in accounts.items()} == {
        "shop": {"role": "shop"},
        "flights": {"role": "all"},
    }
    assert all(each["labels"]["team"] == "ml" for each in accounts.values())


def test_an_image_with_a_digest_is_named_by_it_in_every_pod() -> None:
    digests = {
        name: f"sha256:{number:064x}"
        for number, name in enumerate(("operator", "runtime", "serving", "reader", "store"))
    }
    values = [word for name, digest in digests.items() for word in ("--set", f"images.{name}.digest={digest}")]
    objects = template(*values, "--set", "images.operator.tag=not-used")
    operator = one(objects, "Deployment", "flywheel-operator")["spec"]["template"]["spec"]["containers"][0]
    environment = {variable["name"]: variable.get("value") for variable in operator["env"]}

    assert operator["image"] == f"flywheel.local/operator@{digests['operator']}"
    assert environment["FLYWHEEL_RUNTIME_IMAGE"] == f"flywheel.local/runtime@{digests['runtime']}"
    assert environment["FLYWHEEL_SERVING_IMAGE"] == f"flywheel.local/serving@{digests['serving']}"
    named = [container["image"] for pod in pods(objects) for container in pod["containers"]]
    assert all("@sha256:" in image for image in named)


def test_the_values_that_make_images_writes_name_images_by_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "IMAGES", tmp_path / "images.json")
    monkeypatch.setattr(images, "IMAGE_VALUES", tmp_path / "values.json")
    names = {image.name: images.current_name(image) for image in images.IMAGES_OF_OURS}
    images.remember(dict.fromkeys(names.values(), f"sha256:{'1' * 64}"))

    rendered = template("--values", str(tmp_path / "values.json"))

    assert {container["image"] for pod in pods(rendered) for container in pod["containers"]} == {
        f"flywheel.local/{name}@sha256:{'1' * 64}" for name in ("operator", "reader", "store")
    }


def test_names_that_yaml_reads_as_something_else_stay_texts() -> None:
    words = (
        "--set-json",
        'namespaces=["on","1e5"]',
        "--set-json",
        'imagePullSecrets=["y"]',
        "--set",
        "createNamespaces=true",
    )
    secret = ("--set", "store.embedded.enabled=false", "--set-string", "store.existingSecret=123")
    names = ("--set-string", "operator.priorityClassName=0x1F")
    done = helm("template", "flywheel", str(CHART), "--namespace", "no", *words, *secret, *names)
    assert done.returncode == 0, done.stderr
    objects = [each for each in load_yaml_documents(done.stdout) if each]
    operator = one(objects, "Deployment", "flywheel-operator")["spec"]["template"]["spec"]

    assert {each["metadata"].get("namespace", "") for each in objects} == {"", "no", "on", "1e5"}
    assert {each["metadata"]["name"] for each in objects if each["kind"] == "Namespace"} == {"on", "1e5"}
    assert (operator["imagePullSecrets"], operator["priorityClassName"]) == ([{"name": "y"}], "0x1F")
    environment = {variable["name"]: variable.get("value") for variable in operator["containers"][0]["env"]}
    assert environment["FLYWHEEL_STORE_SECRET"] == "123"
    assert all(isinstance(value, str) for value in environment.values() if value is not None)
    subjects = [subject for each in objects for subject in each.get("subjects", ())]
    assert {subject["namespace"] for subject in subjects if "namespace" in subject} == {"no", "on", "1e5"}
