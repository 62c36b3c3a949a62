"""What every child gets from its resource."""

from flywheel.core.resource import names
from flywheel.core.resource.api import CONFIG_MAP, JOB
from flywheel.core.resource.ownership import with_owner
from flywheel.core.resource.plan import Child
from tests.core.toy import KIND
from tests.simulation import resource

FLIGHTS = resource(KIND, "flights", {"source": {"s3": {"uri": "s3://bucket/"}}})


def test_pods_of_a_child_have_its_labels_beside_their_own() -> None:
    spec = {"template": {"metadata": {"labels": {"own": "label"}}, "spec": {"containers": []}}}

    labels = with_owner(FLIGHTS, Child(JOB, JOB.manifest("work", spec=spec)))["spec"]["template"]["metadata"]["labels"]

    assert labels == {**names.labels(FLIGHTS), "own": "label"}


def test_a_child_without_pods_gets_no_template() -> None:
    assert "spec" not in with_owner(FLIGHTS, Child(CONFIG_MAP, CONFIG_MAP.manifest("facts")))
