"""Bad InferenceServices are refused by the API server with a sentence of ours, and `kubectl scale` works."""

from typing import Any

import pytest

from tests.apiserver.manifests import OPEN, Kubectl, manifest

pytestmark = pytest.mark.apiserver


JWT: dict[str, Any] = {"issuer": "https://login.example.org", "audiences": ["fraud"]}
FIVE: dict[str, Any] = {"percent": 5, "duration": "2m"}
LOGGED: dict[str, Any] = {"logging": {"sample": "100%"}}
OF_KEYS: dict[str, Any] = {"metric": "label", "minEffect": "0.02", "maxDuration": "14d"}
BY_LABEL: dict[str, Any] = {**OF_KEYS, "sticky": {"header": "x-user-id"}}
BAD_AB_TESTS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("an effect of nothing", {"minEffect": "0"}, "must be above 0"),
    ("an effect that no test can find", {"minEffect": "1"}, "minEffect must be less than the range of the outcome"),
    ("a loss without bounds", {"metric": "mae"}, "range is required with metric log_loss, mae or mape"),
    ("bounds that are known", {"metric": "accuracy", "range": {"max": "2"}}, "have a range of their own"),
    ("bounds in reverse", {"range": {"min": "5", "max": "2"}}, "max must be above min"),
    ("more time for labels than the test has", {"labelDelay": "8d"}, "maxDuration must be at least twice labelDelay"),
    ("a test for ever", {"maxDuration": "91d"}, "maxDuration must not be longer than 90d"),
    ("looks without a pause", {"maxDuration": "3h", "interval": "29s"}, "interval must be at least 30s"),
    ("too many looks", {"interval": "10m"}, "interval must be at least a thousandth of maxDuration"),
    ("no error at all", {"alpha": "0%"}, "must be above 0%"),
    ("nobody for the champion", {"percent": 100}, "less than or equal to 99"),
)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param({"model": "fraud"}, "spec.auth is required: set auth: {none: {}}", id="no word on who may ask"),
        pytest.param(
            {"model": "fraud", "auth": {}},
            "spec.auth is required: set auth: {none: {}}",
            id="an empty word on who may ask",
        ),
        pytest.param(
            {"model": "fraud", "auth": {"none": {}, "serviceAccount": {}}},
            "or exactly one of serviceAccount and jwt",
            id="two words on who may ask",
        ),
        pytest.param(
            {"model": "fraud", "auth": {"serviceAccount": {"audiences": ["a b"]}}},
            "must be an audience without spaces",
            id="an audience with a space",
        ),
        *(
            pytest.param({"model": "fraud", "auth": {"jwt": {**JWT, **wrong}}}, sentence, id=name)
            for name, wrong, sentence in (
                ("no audience", {"audiences": []}, "spec.auth.jwt.audiences"),
                ("an issuer that nobody can ask", {"issuer": "login"}, "issuer must be an https:// URL"),
                ("keys without TLS", {"jwksUri": "http://a/keys"}, "must be an https:// URL"),
                ("keys with a password", {"jwksUri": "https://me:pw@a/keys"}, "must be an https:// URL"),
                ("a secret as a key", {"algorithms": ["HS256"]}, 'Unsupported value: "HS256"'),
                ("no signature at all", {"algorithms": ["none"]}, 'Unsupported value: "none"'),
                ("a claim twice", {"requiredClaims": [{"name": "a"}, {"name": "a"}]}, "Duplicate value"),
                ("a path for certificates", {"certificateAuthority": "/ca.crt"}, "must be certificates in PEM form"),
            )
        ),
        pytest.param(
            {"model": "fraud", "version": "fraud-1", **OPEN},
            "give exactly one of model (its champion) and version",
            id="model and version",
        ),
        pytest.param(OPEN, "give exactly one of model (its champion) and version", id="nothing to serve"),
        pytest.param({"model": "fraud", "replicas": -1, **OPEN}, "spec.replicas", id="fewer than none"),
        pytest.param(
            {"model": "fraud", "resources": {"limits": {"memory": "plenty"}}, **OPEN},
            "must be a quantity such as 2, 500m, 512Mi or 1Gi",
            id="no quantity",
        ),
        pytest.param(
            {"model": "fraud", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}], **OPEN},
            "Duplicate value",
            id="a variable twice",
        ),
        pytest.param(
            {"model": "fraud", "env": [{"name": "FLYWHEEL_UID", "value": "1"}], **OPEN},
            "names that start with FLYWHEEL_ are reserved for the operator",
            id="a variable of ours",
        ),
        pytest.param(
            {"model": "fraud", "env": [{"name": "A"}], **OPEN},
            "give exactly one of value and secret",
            id="a variable without a value",
        ),
        *(
            pytest.param({"model": "fraud", **OPEN, **given}, sentence, id=name)
            for name, given, sentence in (
                (
                    "explained rows of no log",
                    {"explain": {"sample": "1%"}},
                    "set spec.logging, or remove spec.explain.sample",
                ),
                (
                    "more explained rows than logged ones",
                    {"explain": {"sample": "10.5%"}, "logging": {}},
                    "spec.explain.sample is a part of spec.logging.sample",
                ),
                ("nothing to explain", {"explain": {}}, "give sample, or header: true, or both"),
                (
                    "an explainer without room",
                    {"explain": {"header": True, "memory": "64Mi"}},
                    "between 256Mi and 64Gi",
                ),
                (
                    "explanations by another server",
                    {"explain": {"header": True}, "runtime": {"triton": {"image": "a/b:1"}}},
                    "only the default server explains answers",
                ),
            )
        ),
        pytest.param(
            {"model": "fraud", "logging": {"sample": "101%"}, **OPEN},
            "must be a percentage of at most 100",
            id="more than all is logged",
        ),
        pytest.param(
            {"model": "fraud", "logging": {"columns": [{"name": "age", "action": "Bucket"}]}, **OPEN},
            "width is required with action Bucket and not allowed otherwise",
            id="a bucket without a width",
        ),
        pytest.param(
            {"model": "fraud", "logging": {"columns": [{"name": "age", "action": "Drop", "width": "5"}]}, **OPEN},
            "width is required with action Bucket",
            id="a width without a bucket",
        ),
        pytest.param(
            {"model": "fraud", "logging": {"columns": [{"name": "age", "action": "Bucket", "width": "0.0"}]}, **OPEN},
            "width must be a number above 0",
            id="a bucket of no width",
        ),
        pytest.param(
            {"model": "fraud", "logging": {"columns": [{"name": "age", "action": "Hmac"}]}, **OPEN},
            "hmac is required for a column with action Hmac",
            id="a hash without its key",
        ),
        pytest.param(
            {"model": "fraud", "logging": {"columns": [{"name": "age", "action": "Hide"}]}, **OPEN},
            'Unsupported value: "Hide"',
            id="an unknown way to keep a column private",
        ),
        pytest.param(
            {
                "model": "fraud",
                "logging": {"columns": [{"name": "a", "action": "Drop"}, {"name": "a", "action": "Drop"}]},
                **OPEN,
            },
            "Duplicate value",
            id="a logged column twice",
        ),
        pytest.param(
            {"model": "fraud", "mirror": {}, **OPEN}, 'unknown field "spec.mirror"', id="a field of a later version"
        ),
        pytest.param(
            {"model": "fraud", "rollout": {}, **OPEN},
            "give exactly one of canary, shadow and abTest",
            id="an empty rollout",
        ),
        pytest.param(
            {"model": "fraud", "rollout": {"canary": {"steps": [FIVE]}, "shadow": FIVE}, **OPEN},
            "give exactly one of canary, shadow and abTest",
            id="a canary and a shadow",
        ),
        pytest.param(
            {"model": "fraud", "rollout": {"canary": {"steps": []}}, **OPEN},
            "at least 1 items",
            id="a canary without steps",
        ),
        pytest.param(
            {"model": "fraud", "rollout": {"canary": {"steps": [{**FIVE, "percent": 50}, FIVE]}}, **OPEN},
            "the percentages of the steps must increase",
            id="steps that fall",
        ),
        pytest.param(
            {"model": "fraud", "rollout": {"canary": {"steps": [FIVE, FIVE]}}, **OPEN},
            "the percentages of the steps must increase",
            id="a step twice",
        ),
        pytest.param(
            {"model": "fraud", "rollout": {"canary": {"steps": [{**FIVE, "percent": 100}]}}, **OPEN},
            "less than or equal to 99",
            id="a canary that leaves nothing to compare with",
        ),
        pytest.param(
            {"model": "fraud", "rollout": {"shadow": {**FIVE, "duration": "2 min"}}, **OPEN},
            "must be an integer followed by s, m, h or d, such as 30s",
            id="a length of time in words",
        ),
        pytest.param(
            {"model": "fraud", "rollout": {"shadow": {**FIVE, "maxDisagreement": "0.01"}}, **OPEN},
            "must be a percentage below 100",
            id="a share without its sign",
        ),
        pytest.param(
            {"model": "fraud", "rollout": {"canary": {"steps": [FIVE], "analysis": {"maxP99Ratio": "0.9"}}}, **OPEN},
            "must be at least '1'",
            id="a challenger that must be quicker than the champion",
        ),
        pytest.param(
            {"model": "fraud", "rollout": {"shadow": {**FIVE, "tolerance": {"absolute": "-0.5"}}}, **OPEN},
            "must not be negative",
            id="a negative tolerance",
        ),
        pytest.param(
            {"model": "fraud", "rollout": {"shadow": {**FIVE, "tolerance": {"absolute": "little"}}}, **OPEN},
            "must be a decimal number in quotes",
            id="a tolerance that is no number",
        ),
        pytest.param(
            {"model": "fraud", "rollout": {"shadow": FIVE, "timeout": "2m"}, **OPEN},
            "must be from 1s to 60s",
            id="a challenger that may take minutes",
        ),
        pytest.param(
            {"model": "fraud", "rollout": {"canary": {"steps": [FIVE], "sticky": {"header": "x user"}}}, **OPEN},
            "spec.rollout.canary.sticky.header",
            id="no name of a header",
        ),
        pytest.param(
            {"model": "fraud", "rollout": {"abTest": BY_LABEL}, **OPEN},
            "set spec.logging with a sample above 0%",
            id="an A/B test of predictions that nobody logs",
        ),
        pytest.param(
            {"model": "fraud", "rollout": {"abTest": OF_KEYS}, **LOGGED, **OPEN},
            "an A/B test assigns users, not requests",
            id="an A/B test without users",
        ),
        *(
            pytest.param(
                {"model": "fraud", "rollout": {"abTest": {**BY_LABEL, **change}}, **LOGGED, **OPEN}, sentence, id=name
            )
            for name, change, sentence in BAD_AB_TESTS
        ),
    ],
)
def test_a_bad_service_is_refused(installed: Kubectl, spec: dict[str, Any], sentence: str) -> None:
    answer = installed("create", "--dry-run=server", "-f", "-", stdin=manifest(spec))

    assert answer.returncode != 0
    assert sentence in answer.stderr


def test_its_name_must_do_for_a_service(installed: Kubectl) -> None:
    answer = installed("create", "--dry-run=server", "-f", "-", stdin=manifest({"model": "m", **OPEN}, "1st"))

    assert "must start with a letter" in answer.stderr


@pytest.mark.parametrize(
    "rollout",
    [
        pytest.param({"canary": {"steps": [FIVE, {**FIVE, "percent": 50}]}}, id="a canary with what is usual"),
        pytest.param(
            {
                "canary": {
                    "steps": [FIVE],
                    "sticky": {"header": "X-User-Id"},
                    "analysis": {"maxErrorRate": "0.5%", "maxP99Ratio": "1.2", "minRequests": 200},
                },
                "timeout": "2s",
                "keepWarm": "1h",
                "paused": True,
            },
            id="all of a canary",
        ),
        pytest.param(
            {"shadow": {**FIVE, "percent": 100, "maxDisagreement": "1%", "tolerance": {"absolute": "0.001"}}},
            id="a shadow of all",
        ),
        pytest.param({"abTest": BY_LABEL}, id="an A/B test with what is usual"),
        pytest.param(
            {
                "abTest": {
                    **BY_LABEL,
                    "metric": "mae",
                    "minEffect": "2.5",
                    "range": {"max": "120"},
                    "percent": 10,
                    "alpha": "1%",
                    "labelDelay": "1d",
                    "interval": "1h",
                },
                "timeout": "2s",
            },
            id="all of an A/B test",
        ),
    ],
)
def test_a_rollout_is_taken(installed: Kubectl, rollout: dict[str, Any]) -> None:
    answer = installed(
        "create", "--dry-run=server", "-f", "-", stdin=manifest({"model": "m", "rollout": rollout, **LOGGED, **OPEN})
    )

    assert answer.returncode == 0, answer.stderr


def test_kubectl_scale_sets_the_replicas(installed: Kubectl) -> None:
    made = installed("apply", "--server-side", "-f", "-", stdin=manifest({"model": "fraud", **OPEN}, "scaled"))
    assert made.returncode == 0, made.stderr

    scaled = installed("scale", "fwsvc", "scaled", "--replicas=3")
    assert scaled.returncode == 0, scaled.stderr
    answer = installed("get", "fwsvc", "scaled", "--output", "jsonpath={.spec.replicas}")

    assert answer.stdout == "3"


@pytest.mark.parametrize(
    "auth",
    [
        {"serviceAccount": {}},
        {"serviceAccount": {"audiences": ["shop-models"]}},
        {"jwt": JWT},
        {"jwt": {**JWT, "issuer": "login", "jwksUri": "https://login.example.org:8443/keys?v=1"}},
    ],
)
def test_each_way_to_say_who_may_ask_is_taken(installed: Kubectl, auth: dict[str, Any]) -> None:
    text = manifest({"model": "fraud", "auth": auth})

    answer = installed("create", "--dry-run=server", "-f", "-", stdin=text)

    assert answer.returncode == 0, answer.stderr
