"""What the installation forbids is found in every kind, wherever its spec has it."""

import json
from typing import Any

import pytest

from flywheel.core.resource.restrictions import find_violation
from flywheel.core.settings import AllowedPlacement, Settings
from flywheel.engine import discover
from tests.restricted_specs import PLACES, SECRETS
from tests.simulation import resource

KINDS = {kind.api.kind: kind for kind in discover.kinds()}
SETTINGS = Settings(placement=AllowedPlacement((), ("nvidia.com/gpu",), None))
CRITICAL = {"priorityClassName": "system-node-critical"}
GPU = {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}], "nodeSelector": {"gpu": "a100"}}


def violation(kind: str, spec: dict[str, Any], settings: Settings = SETTINGS) -> tuple[str, str] | None:
    found = find_violation(resource(KINDS[kind], "one", spec).spec, settings)
    return None if found is None else (found.reason, found.message)


@pytest.mark.parametrize(("kind", "path"), SECRETS)
def test_the_stores_secret_is_found_in_every_field(kind: str, path: str) -> None:
    def named(name: str) -> dict[str, Any]:
        spec: dict[str, Any] = json.loads(json.dumps(SECRETS[kind, path]).replace("NAME", name))
        return spec

    reason, message = violation(kind, named("flywheel-store")) or ("", "")

    assert reason == "SecretNotAllowed"
    assert "names Secret 'flywheel-store', which is the installation's own; name a Secret of yours." in message
    assert violation(kind, named("mine")) is None


@pytest.mark.parametrize(("kind", "path"), PLACES)
def test_a_placement_is_found_in_every_field(kind: str, path: str) -> None:
    reason, message = violation(kind, PLACES[kind, path](CRITICAL)) or ("", "")

    assert reason == "PlacementNotAllowed"
    assert "priorityClassName 'system-node-critical' is not allowed in this installation; allowed: none." in message
    assert violation(kind, PLACES[kind, path](GPU)) is None


@pytest.mark.parametrize(
    ("place", "allowed", "message"),
    [
        pytest.param(CRITICAL, AllowedPlacement(), None, id="null allows any"),
        pytest.param(CRITICAL, AllowedPlacement(("batch",)), "allowed: batch.", id="another class"),
        pytest.param({"tolerations": [{"operator": "Exists"}]}, AllowedPlacement(), "tolerates every taint", id="no key, whatever is allowed"),
        pytest.param({"tolerations": [{"key": "", "operator": "Exists"}]}, AllowedPlacement(), "tolerates every taint", id="an empty key"),
        pytest.param(GPU, AllowedPlacement(None, ()), "spec.placement.tolerations 'nvidia.com/gpu' is not allowed", id="no toleration"),
        pytest.param(GPU, AllowedPlacement(None, None, ("pool",)), "spec.placement.nodeSelector 'gpu' is not allowed in this installation; allowed: pool. Change it, or have an administrator add it to the chart's value placement.nodeSelectorKeys.", id="another node selector"),
    ],
)  # fmt: skip
def test_placement(place: dict[str, Any], allowed: AllowedPlacement, message: str | None) -> None:
    found = violation("Dataset", PLACES["Dataset", "spec.placement"](place), Settings(placement=allowed))

    assert (found is None) is (message is None)
    assert message is None or message in (found or ("", ""))[1]


def test_the_charts_value_is_read_from_json() -> None:
    text = '{"priorityClassNames":[],"tolerationKeys":["a"],"nodeSelectorKeys":null}'

    assert Settings.from_environment({"FLYWHEEL_PLACEMENT": text}).placement == AllowedPlacement((), ("a",), None)
    assert Settings.from_environment({}).placement == AllowedPlacement()
    with pytest.raises(ValueError, match="FLYWHEEL_PLACEMENT is '\\[\\]'"):
        Settings.from_environment({"FLYWHEEL_PLACEMENT": "[]"})
