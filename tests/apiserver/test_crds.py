"""What every kind does alike on a real API server: columns, defaults, names, refusals in words. Each kind's own rules are tested beside it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from flywheel.cli.yaml_text import dump_yaml
from flywheel.core.resource.kind import AnyKind
from flywheel.engine import discover
from generator.crd import crd_manifest
from tests.apiserver.manifests import Kubectl, find_lost
from tests.core.toy import KIND as TOY

pytestmark = pytest.mark.apiserver

KINDS = discover.kinds()
SPEC: dict[str, Any] = {"source": {"s3": {"uri": "s3://bucket/"}}}


def toy(spec: dict[str, Any], name: str = "bear") -> str:
    """A manifest of the toy."""
    return yaml.safe_dump(
        {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Toy", "metadata": {"name": name}, "spec": spec}
    )


@pytest.fixture(scope="session")
def playroom(installed: Kubectl) -> Iterator[Kubectl]:
    """kubectl, with the toy's CRD beside ours; removed afterwards, since others list what is installed."""
    text = dump_yaml(crd_manifest(TOY))
    done = installed("apply", "--server-side", "-f", "-", stdin=text)
    assert done.returncode == 0, done.stderr
    done = installed("wait", "--for=condition=Established", "--timeout=60s", "crd/toys.flywheel.ml")
    assert done.returncode == 0, done.stderr
    done = installed("apply", "--server-side", "-f", "-", stdin=toy(SPEC))
    assert done.returncode == 0, done.stderr
    yield installed
    installed("delete", "crd", "toys.flywheel.ml", "--wait=false")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.api.kind)
def test_is_installed_with_nothing_to_object(installed: Kubectl, kind: AnyKind) -> None:
    conditions = {
        each["type"]: each
        for each in json.loads(installed("get", "crd", str(kind.api), "-o", "json").stdout)["status"]["conditions"]
    }

    assert conditions["Established"]["status"] == "True"
    assert conditions["NamesAccepted"]["status"] == "True"
    assert "NonStructuralSchema" not in conditions


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.api.kind)
def test_the_api_server_stores_a_crd_as_it_was_sent(installed: Kubectl, kind: AnyKind) -> None:
    """Otherwise Argo CD, which compares the manifest with what is stored, shows it OutOfSync for ever."""
    stored = json.loads(installed("get", "crd", str(kind.api), "-o", "json").stdout)

    assert find_lost(crd_manifest(kind), stored) == []


def test_what_the_server_drops_is_found() -> None:
    sent = {"a": {"properties": {}, "default": False}, "list": [{"b": 1}]}

    assert find_lost(sent, {"a": {"default": False}, "list": [{"b": 1, "added": 2}]}) == [".a.properties"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.api.kind)
def test_answers_to_its_short_name_and_its_category(installed: Kubectl, kind: AnyKind) -> None:
    listed = installed("api-resources", "--api-group=flywheel.ml", "--categories=flywheel", "-o", "name").stdout.split()

    assert str(kind.api) in listed
    assert installed("get", kind.short_name).returncode == 0


def test_no_column_is_blank_before_the_operator_has_looked(playroom: Kubectl) -> None:
    header, row = playroom("get", "toys").stdout.splitlines()

    assert header.split() == ["NAME", "READY", "REASON", "DETAIL", "AGE"]
    assert row.split()[:4] == ["bear", "Unknown", "Pending", "-"]


def test_defaults_are_the_servers(playroom: Kubectl) -> None:
    spec = json.loads(playroom("get", "toy", "bear", "-o", "json").stdout)["spec"]

    assert spec == {**SPEC, "mode": "Fast", "shape": "Round", "budget": {"maxTrials": 20}, "suspend": False}


def test_a_status_in_a_users_manifest_is_not_believed(playroom: Kubectl) -> None:
    lie = yaml.safe_dump({**yaml.safe_load(toy(SPEC, "liar")), "status": {"summary": "all is well"}})

    playroom("apply", "--server-side", "-f", "-", stdin=lie)

    assert json.loads(playroom("get", "toy", "liar", "-o", "json").stdout)["status"]["summary"] == "-"


def test_selectable_fields_select(playroom: Kubectl) -> None:
    assert "bear" in playroom("get", "toys", "--field-selector=spec.mode=Fast").stdout
    assert "bear" not in playroom("get", "toys", "--field-selector=spec.mode=Slow").stdout


REFUSED = [
    pytest.param({"colour": "red"}, 'unknown field "spec.colour"', id="an unknown field"),
    pytest.param({"mode": "Quick"}, 'spec.mode: Unsupported value: "Quick": supported values: "Fast", "Slow"', id="a wrong enum"),
    pytest.param({"source": {"s3": {"uri": "s3://a/"}, "pvc": {"claimName": "a"}}}, "spec.source: Invalid value: give exactly one of s3 and pvc", id="both sources"),
    pytest.param({"source": {}}, "spec.source: Invalid value: give exactly one of s3 and pvc", id="no source"),
    pytest.param({"budget": {"duration": "2 weeks"}}, "must be an integer followed by s, m, h or d, such as 30s, 10m, 6h or 3d", id="a bad duration"),
    pytest.param({"steps": [{"name": "a", "share": "100%"}]}, "spec.steps[0].share: Invalid value: \"100%\": must be a percentage below 100", id="a bad percentage"),
    pytest.param({"steps": [{"name": "a"}, {"name": "a"}]}, "spec.steps[1]: Duplicate value", id="one name twice"),
    pytest.param({"memory": "lots"}, 'spec.memory: Invalid value: "lots": must be a quantity such as 2, 500m, 512Mi or 1Gi', id="a bad quantity"),
    pytest.param({"resources": {"limits": {"nvidia.com/gpu": "one"}}}, "spec.resources.limits[nvidia.com/gpu]", id="a bad amount of a resource"),
    pytest.param({"limits": {"Two Words": 1}}, "spec.limits: Invalid value: each key must be a name of a-z, 0-9 and '-'", id="a bad key"),
    pytest.param({"env": [{"name": "A", "value": "1", "secret": {"name": "a", "key": "b"}}]}, "give exactly one of value and secret", id="a variable twice"),
    pytest.param({"mode": "Slow"}, "spec.memory must be given where spec.mode is Slow", id="a rule across fields"),
    pytest.param({"suspend": "yes"}, "spec.suspend", id="a wrong type, in the server's words"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), REFUSED)
def test_is_refused_with_a_sentence(playroom: Kubectl, change: dict[str, Any], sentence: str) -> None:
    done = playroom("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=toy(SPEC | change, "other"))

    assert done.returncode != 0
    assert sentence in done.stderr


def test_what_cannot_change_is_refused_with_a_sentence(playroom: Kubectl) -> None:
    done = playroom("apply", "--dry-run=server", "-f", "-", stdin=toy({"source": {"s3": {"uri": "s3://other/"}}}))

    assert done.returncode != 0
    assert "spec.source: Invalid value: source cannot be changed" in done.stderr


@pytest.mark.parametrize("name", ["a.b", "a" * 53])
def test_a_name_from_which_no_childs_name_can_be_made_is_refused(playroom: Kubectl, name: str) -> None:
    done = playroom("apply", "--dry-run=server", "-f", "-", stdin=toy(SPEC, name))

    assert done.returncode != 0
    assert f'metadata.name: Invalid value: "{name}": must be a name of a-z, 0-9 and' in done.stderr
    assert "of at most 52 characters" in done.stderr


@pytest.mark.parametrize("amount", [2, "2", "500m", "1Gi", "1e3"])
def test_a_quantity_may_be_a_number_or_a_string(playroom: Kubectl, amount: int | str) -> None:
    done = playroom("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=toy(SPEC | {"memory": amount}))

    assert done.returncode == 0, done.stderr


def test_what_was_applied_is_what_kubectl_diff_finds(playroom: Kubectl) -> None:
    done = playroom("diff", "--server-side", "-f", "-", stdin=toy(SPEC))

    assert (done.returncode, done.stdout) == (0, "")
