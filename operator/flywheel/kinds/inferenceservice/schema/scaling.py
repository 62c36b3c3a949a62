"""`spec.scaling`: between which numbers, and by what, servers are added and taken away."""

from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema, int_or_string, model_rules, rule, validations

Metric = Literal["CPU", "Memory", "InFlight", "RequestsPerSecond"]
DEFAULT_TARGET = "70%"

IS_TARGET = rule(
    "type(self) == int ? self > 0 : (self.matches('^[1-9][0-9]{0,2}%$') || (isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))))",
    "must be a percentage of what each server requests, such as 70%, or an amount above 0 for each server, such as 10, 500m or 512Mi",
)
Target = Annotated[int | str, int_or_string(32, IS_TARGET)]


class ScalingPolicy(Schema):
    """The largest change within a period, as in a HorizontalPodAutoscaler."""

    type: Literal["Pods", "Percent"] = Field(description="Whether value counts servers or percent of them.")
    value: int = Field(ge=1, le=1000, description="The number of servers or percent.")
    period_seconds: int = Field(ge=1, le=1800, description="The period in seconds.")


class ScalingRules(Schema):
    """The rules of one direction, as in a HorizontalPodAutoscaler."""

    stabilization_window_seconds: int | None = Field(
        None, ge=0, le=3600, description="The window from which the most cautious recommendation is taken."
    )
    select_policy: Literal["Max", "Min", "Disabled"] | None = Field(
        None, description="Which of several policies applies; Disabled forbids this direction."
    )
    policies: tuple[ScalingPolicy, ...] = Field(
        (), max_length=8, description="The largest changes; absent, Kubernetes' defaults."
    )


class Behavior(Schema):
    """How fast servers are added and removed, as in a HorizontalPodAutoscaler."""

    scale_up: ScalingRules | None = Field(None, description="Adding servers; absent, Kubernetes' defaults.")
    scale_down: ScalingRules | None = Field(
        None, description="Removing servers; absent, Kubernetes' defaults, which wait for 300 s."
    )


class Scaling(Schema):
    """The number of servers follows the load."""

    model_config = model_rules(
        rule(
            "self.minReplicas <= self.maxReplicas",
            "spec.scaling.minReplicas must not be above spec.scaling.maxReplicas",
        ),
        rule(
            "self.metric in ['CPU', 'Memory'] || has(self.target)",
            "spec.scaling.target is required with metric InFlight or RequestsPerSecond: the number for each server, such as 10",
        ),
        rule(
            "self.metric in ['CPU', 'Memory'] || !has(self.target) || type(self.target) == int || !self.target.endsWith('%')",
            "spec.scaling.target must be a number with metric InFlight or RequestsPerSecond: the number for each server, such as 10",
        ),
    )

    min_replicas: int = Field(
        1,
        le=1000,
        description="The smallest number of servers.",
        json_schema_extra=validations(
            rule(
                "self >= 1",
                "minReplicas must be at least 1, because no component holds requests while no server runs; spec.suspend: true stops all servers",
            )
        ),
    )
    max_replicas: int = Field(ge=1, le=1000, description="The largest number of servers.")
    metric: Metric = Field(
        "CPU",
        description="The metric. CPU and Memory need metrics-server; InFlight and RequestsPerSecond need custom.metrics.k8s.io, such as prometheus-adapter's.",
    )
    target: Target | None = Field(
        None,
        description="The average for each server: a percentage of its request (CPU, Memory; absent, 70%), or an amount.",
    )
    behavior: Behavior | None = Field(
        None, description="How fast servers are added and removed; absent, Kubernetes' defaults."
    )


def _requested(metric: str, resource: str) -> str:
    share = "!has(self.scaling.target) || (type(self.scaling.target) == string && self.scaling.target.endsWith('%'))"
    requested = " || ".join(
        f"(has(self.resources) && has(self.resources.{where}) && '{resource}' in self.resources.{where})"
        for where in ("requests", "limits")
    )
    return f"!has(self.scaling) || self.scaling.metric != '{metric}' || !({share}) || {requested}"


# Rules of the spec that holds `scaling`.
RULES = (
    rule(
        "!has(self.scaling) || self.replicas == 1",
        "give spec.replicas or spec.scaling, not both: remove replicas in the same change and use minReplicas and maxReplicas",
    ),
    rule(
        _requested("CPU", "cpu"),
        "spec.scaling with a percentage of CPU requires spec.resources.requests.cpu; set it, or specify the target as an amount such as 500m",
    ),
    rule(
        _requested("Memory", "memory"),
        "spec.scaling with a percentage of memory requires spec.resources.requests.memory; set it, or specify the target as an amount such as 512Mi",
    ),
)
