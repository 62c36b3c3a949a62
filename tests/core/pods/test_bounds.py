"""What bounds a step where its spec does not."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.pods.bounds import bound_resources, bound_time, inputs_volume
from flywheel.core.resource.schema import Resources
from flywheel.core.resource.values import Duration
from flywheel.core.settings import Settings

SETTINGS = Settings(step_requests=("cpu=250m", "memory=512Mi"), step_limits=("memory=2Gi",))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}, id="nothing"),
        pytest.param(
            {"requests": {"memory": "3Gi"}},
            {"requests": {"cpu": "250m", "memory": "3Gi"}, "limits": {"memory": "3Gi"}},
            id="a request over the default limit, which a LimitRange would refuse",
        ),
        pytest.param(
            {"limits": {"memory": "64Mi"}},
            {"requests": {"cpu": "250m"}, "limits": {"memory": "64Mi"}},
            id="a limit, which Kubernetes takes as the request",
        ),
        pytest.param(
            {"requests": {"memory": "1Gi"}, "limits": {"memory": "8Gi", "nvidia.com/gpu": 1}},
            {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "8Gi", "nvidia.com/gpu": 1}},
            id="its own",
        ),
    ],
)
def test_defaults_fill_what_is_not_named_key_by_key(given: dict[str, Any], expected: dict[str, Any]) -> None:
    found = bound_resources(Resources(**given), SETTINGS)

    assert {"requests": dict(found.requests), "limits": dict(found.limits)} == expected
    assert bound_resources(found, SETTINGS) == found


def test_without_defaults_resources_stay_as_they_are() -> None:
    given = Resources(requests={"cpu": 1})

    assert bound_resources(given, Settings()) == given


@pytest.mark.parametrize(
    ("given", "default", "expected"),
    [(None, "", None), (None, "24h", timedelta(hours=24)), (Duration("10m"), "24h", timedelta(minutes=10))],
)
def test_a_timeout_of_its_own_replaces_the_default(
    given: Duration | None, default: str, expected: timedelta | None
) -> None:
    assert bound_time(given, default) == expected


def test_the_inputs_may_have_what_fetch_may_bring_and_a_checkpoint() -> None:
    settings = Settings(fetch_limit="1Gi", output_limit="2Gi")

    assert inputs_volume(Resources(), settings, restores_checkpoint=False)["emptyDir"]["sizeLimit"] == str(2 << 30)
    assert inputs_volume(Resources(), settings, restores_checkpoint=True)["emptyDir"]["sizeLimit"] == str(4 << 30)
