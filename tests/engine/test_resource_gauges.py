"""The gauges of resources are read from the cache at each scrape."""

from dataclasses import replace

from flywheel.core.resource.kind import Gauge
from flywheel.engine.metrics import ResourceGauges
from flywheel.kinds.modelmonitor.kind import KIND
from tests.simulation.resources import custom

GENERATION = Gauge(
    "widget_generation", "Its generation.", ("side",), lambda each: [(("left",), float(each.generation))]
)


def test_a_gauge_has_a_sample_of_each_resource_with_its_address() -> None:
    resources = [
        custom(KIND.api, name, {"inferenceService": "x"}, generation=number) for name, number in (("a", 1), ("b", 2))
    ]
    broken = custom(KIND.api, "broken", {"inferenceService": 5})
    gauges = ResourceGauges()
    gauges.read_from([replace(KIND, gauges=(GENERATION,))], lambda _api: [*resources, broken])

    [family] = gauges.collect()

    assert [(each.labels, each.value) for each in family.samples] == [
        ({"resource_namespace": "default", "resource_name": "a", "side": "left"}, 1.0),
        ({"resource_namespace": "default", "resource_name": "b", "side": "left"}, 2.0),
    ]
    resources.clear()
    [family] = gauges.collect()
    assert family.samples == [], "deleted resources have none"
