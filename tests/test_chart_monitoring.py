"""The chart's monitors select the servers and the operator, and its alerts use metrics that the code exports."""

import re
from typing import Any

import pytest
from prometheus_client import generate_latest

from flywheel.engine import discover
from flywheel.engine.metrics import REGISTRY, resource_gauges
from flywheel.kinds.inferenceservice.slots import ROLE_LABEL, ROLES
from flywheel_serving.infer.health_metrics import HealthMetrics
from flywheel_serving.metrics.server_metrics import ServerMetrics
from flywheel_serving.prediction_log.metrics import LogMetrics
from flywheel_serving.route.metrics import RouteMetrics
from tests.documents import CHECKOUT
from tests.rendered_chart import KEY, one, template

pytestmark = pytest.mark.apiserver  # helm is one of the Go programs that this floor builds

ON = (*KEY, "--set", "monitoring.monitors=true", "--set", "monitoring.rules=true", "--set", "namespaces={shop}")
METRIC = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b(?=[\[{)\s]|$)")
# Names in an expression that are no metrics: labels, in `by (…)` and in selectors.
LABELS = re.compile(r"by \([^)]*\)|\{[^}]*\}")


def exported_metrics() -> set[str]:
    """Names of all series that the operator and our server export."""
    resource_gauges.read_from(discover.kinds(), lambda _api: ())
    server = ServerMetrics("m", "1")
    for each in (RouteMetrics("m"), HealthMetrics(("m", "1"), lambda: "", lambda: 0, {}), LogMetrics()):
        server.register(each)
    text = generate_latest(REGISTRY).decode() + server.exposition().decode()
    return {words[2] for words in map(str.split, text.splitlines()) if words[:2] == ["#", "TYPE"]}


def alerts() -> list[dict[str, Any]]:
    rules = one(template(*ON), "PrometheusRule", "flywheel")
    return [rule for group in rules["spec"]["groups"] for rule in group["rules"]]


def test_every_alert_uses_metrics_that_are_exported() -> None:
    exported = exported_metrics()
    used = {name for alert in alerts() for name in METRIC.findall(LABELS.sub("", alert["expr"]))}

    assert len(used) >= 8, "this test finds no metric any more"
    assert used <= exported


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    for alert in alerts():
        assert alert["labels"]["severity"] in ("critical", "warning")
        assert set(alert["annotations"]) == {"summary", "description"}
        assert alert["expr"].count("(") == alert["expr"].count(")")


def test_the_monitors_select_the_operator_and_the_servers() -> None:
    objects = template(*ON, "--set", "monitoring.labels.release=prometheus")
    monitor, pods = one(objects, "ServiceMonitor", "flywheel-operator"), one(objects, "PodMonitor", "flywheel-servers")
    service = one(objects, "Service", "flywheel-operator-metrics")

    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [port["name"] for port in service["spec"]["ports"]] == ["http"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert pods["spec"]["namespaceSelector"] == {"matchNames": ["shop"]}
    [selected] = pods["spec"]["selector"]["matchExpressions"]
    assert (selected["key"], set(selected["values"])) == (ROLE_LABEL, set(ROLES.values()))


def test_an_operator_of_all_namespaces_has_all_servers_scraped() -> None:
    objects = template(*ON, "--set", "watchNamespaces={*}")

    assert one(objects, "PodMonitor", "flywheel-servers")["spec"]["namespaceSelector"] == {"any": True}


def test_without_the_values_nothing_needs_prometheus_operator() -> None:
    assert not [each for each in template(*KEY) if each["apiVersion"].startswith("monitoring.coreos.com/")]


def test_the_page_on_monitoring_has_every_alert_and_only_metrics_that_are_exported() -> None:
    page = (CHECKOUT / "docs/monitoring.md").read_text().partition("\n## Metrics and alerts\n")[2]
    listed = re.findall(r"^\| (Flywheel\w+) \| .* \| (\w+) \|$", page, re.MULTILINE)
    metrics = {
        name for line in re.findall(r"^\| (`.*`) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", line)
    }

    assert sorted(listed) == sorted((each["alert"], each["labels"]["severity"]) for each in alerts())
    assert metrics - exported_metrics() <= {"flywheel_route_forwarded_total", "flywheel_shadow_compared_total"}
