"""A newer chart with another serving image: not one serving pod restarts, not even where there is more to do for their service."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import deploy, kube, rollouts
from e2e.cluster import cluster
from e2e.manifests import CANARY
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.rollouts import NAME
from e2e.waiting import wait_until

pytestmark = pytest.mark.alone

NEWER = "not-yet-built"  # nobody must pull it


@pytest.fixture
def servers_before(namespace: Namespace, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The servers as the installed chart made them; then the chart is upgraded. The installed one comes back afterwards."""
    rollouts.add_versions(namespace, {"fraud-1": linear([1.0, 0.0])})
    rollouts.serve_champion(namespace, "fraud-1", CANARY)
    before = rollouts.server_uids(namespace)
    chart = tmp_path / "chart"
    shutil.copytree(deploy.CHART, chart)
    about = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(about.replace("version: 0.1.0", "version: 0.2.0"))
    values = deploy.values()
    values["images"]["serving"]["tag"] = NEWER
    picked = cluster.chosen()
    given = json.dumps(values)
    picked.helm("upgrade", deploy.RELEASE, str(chart), "--namespace", deploy.NAMESPACE, "--values", "-", given=given)
    try:
        deploy.wait_for_deployment(picked, "flywheel-operator")
        yield before
    finally:
        deploy.deploy(picked)


def test_not_one_pod_restarts(namespace: Namespace, servers_before: dict[str, str]) -> None:
    settings = (kube.get("deployment", "flywheel-operator", "flywheel-system") or {})["spec"]["template"]["spec"]
    environment = {each["name"]: each.get("value", "") for each in settings["containers"][0]["env"]}
    assert environment["FLYWHEEL_SERVING_IMAGE"].endswith(NEWER)

    # More servers: only the upgraded operator can bring them, so it has looked; and they are as the old ones are.
    namespace.kubectl("scale", "fwsvc", NAME, "--replicas=2")
    namespace.wait("fwsvc", NAME, reason="Serving")
    wait_until(lambda: len(rollouts.server_uids(namespace)) == 2, 60, lambda: str(rollouts.server_uids(namespace)))

    pods = kube.list_objects("pods", namespace.name, "flywheel.ml/role=server")
    assert servers_before.items() <= rollouts.server_uids(namespace).items()
    assert len({each["spec"]["containers"][0]["image"] for each in pods}) == 1
    assert not pods[0]["spec"]["containers"][0]["image"].endswith(NEWER)
