"""When a live object is what was wanted, although it does not look alike."""

from typing import Any

import pytest

from flywheel.engine.apply.canonical import matches


@pytest.mark.parametrize(
    ("desired", "live"),
    [
        pytest.param({"limits": {"cpu": "0.5"}}, {"limits": {"cpu": "500m"}}, id="half a core"),
        pytest.param({"limits": {"memory": "1024Mi"}}, {"limits": {"memory": "1Gi"}}, id="a gibibyte"),
        pytest.param({"limits": {"nvidia.com/gpu": 1}}, {"limits": {"nvidia.com/gpu": "1"}}, id="a number of GPUs"),
        pytest.param({"emptyDir": {"sizeLimit": "2048Mi"}}, {"emptyDir": {"sizeLimit": "2Gi"}}, id="a volume's size"),
        pytest.param({"httpGet": {"path": ""}}, {"httpGet": {"path": "/"}}, id="the root path"),
        pytest.param({"tolerations": []}, {}, id="an empty list that is dropped"),
        pytest.param({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A"}]}, id="an empty value"),
        pytest.param({"a": None}, {}, id="null is absent"),
        pytest.param({"a": 1}, {"a": 1, "b": 2}, id="defaults are added"),
        pytest.param(
            {"env": [{"name": "A"}]}, {"env": [{"name": "B"}, {"name": "A"}]}, id="others added to a keyed list"
        ),
    ],
)
def test_satisfied(desired: dict[str, Any], live: dict[str, Any]) -> None:
    assert matches(desired, live)


@pytest.mark.parametrize(
    ("desired", "live"),
    [
        pytest.param({"a": 1}, {"a": 2}, id="another value"),
        pytest.param({"a": 1}, {}, id="a missing value"),
        pytest.param({"limits": {"cpu": "1"}}, {"limits": {"cpu": "2"}}, id="another quantity"),
        pytest.param(
            {"allowPrivilegeEscalation": False}, {}, id="a missing pointer, for which false is not the default"
        ),
        pytest.param({"emptyDir": {}}, {"configMap": {}}, id="an empty object that says which kind of volume"),
        pytest.param({"args": ["a"]}, {"args": ["a", "b"]}, id="a list that is one value"),
        pytest.param({"env": [{"name": "A"}]}, {"env": [{"name": "B"}]}, id="a missing element"),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]}, id="another element"
        ),
        pytest.param({"suspend": False}, {"suspend": 0}, id="false is not 0"),
        pytest.param({"path": ""}, {"path": "/"}, id="a path that is no probe's"),
    ],
)
def test_not_satisfied(desired: dict[str, Any], live: dict[str, Any]) -> None:
    assert not matches(desired, live)
