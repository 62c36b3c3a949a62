"""What a user writes into an InferenceService, and what is read from it."""

from pydantic import Field

from flywheel.core.resource.schema import (
    LIST_MAP_BY_NAME,
    Placement,
    PullSecrets,
    Quantity,
    Resources,
    Schema,
    Variable,
    exactly_one_of,
    model_rules,
    rule,
    validations,
)
from flywheel.core.resource.values import Duration, Latency, ObjectName
from flywheel.kinds.inferenceservice.schema import explain as explain_rules
from flywheel.kinds.inferenceservice.schema import runtimes
from flywheel.kinds.inferenceservice.schema import scaling as scaling_rules
from flywheel.kinds.inferenceservice.schema.auth import Authentication
from flywheel.kinds.inferenceservice.schema.explain import Explain
from flywheel.kinds.inferenceservice.schema.logging import Logging
from flywheel.kinds.inferenceservice.schema.rollout import Rollout
from flywheel.kinds.inferenceservice.schema.runtimes import Runtime
from flywheel.kinds.inferenceservice.schema.scaling import Scaling


class Batching(Schema):
    """Concurrent requests share one call of the model, where its rows are independent of one another."""

    max_batch_size: int = Field(
        64, ge=1, le=4096, description="The most rows in one call of the model; 1 disables batching."
    )
    max_latency: Latency | None = Field(
        None,
        description="How long a request may wait for others to fill a batch, such as 5ms; absent, requests do not wait.",
    )


class InferenceServiceSpec(Schema):
    """One model's champion, or one version, served over REST and gRPC by a number of identical servers."""

    model_config = model_rules(
        exactly_one_of("model", "version", message="give exactly one of model (its champion) and version"),
        rule(
            "has(self.auth) && [has(self.auth.none),has(self.auth.serviceAccount),has(self.auth.jwt)].exists_one(x,x)",
            "spec.auth is required: set auth: {none: {}} to allow every client that can reach the Service, or exactly one of serviceAccount and jwt",
        ),
        rule(
            "!has(self.rollout) || !has(self.rollout.abTest) || (has(self.logging) && !self.logging.sample.matches(r'^0(\\.0+)?%$'))",
            "an A/B test reads the outcomes of logged predictions: set spec.logging with a sample above 0%, such as logging: {sample: 100%}",
        ),
        rule(
            "!has(self.rollout) || !has(self.rollout.abTest) || has(self.rollout.abTest.sticky) || (has(self.logging) && has(self.logging.key))",
            "an A/B test assigns users, not requests: set spec.rollout.abTest.sticky.header, or spec.logging.key",
        ),
        *scaling_rules.RULES,
        *runtimes.RULES,
        *explain_rules.RULES,
    )

    model: ObjectName | None = Field(None, description="The Model whose champion is served.")
    version: ObjectName | None = Field(None, description="The ModelVersion that is served.")
    replicas: int = Field(1, ge=0, le=1000, description="The number of servers.")
    scaling: Scaling | None = Field(None, description="Autoscaling, in place of a fixed number in replicas.")
    runtime: Runtime | None = Field(
        None, description="The program that serves the model; absent, Flywheel's own server."
    )
    batching: Batching | None = Field(None, description="How concurrent requests share calls of the model.")
    request_timeout: Duration | None = Field(
        None,
        description="How long the model may compute for one request, such as 30s; at most 12h; then the computation is ended. Absent, 60s.",
    )
    max_body_size: Quantity | None = Field(
        None,
        description="The largest body of a request, over REST and gRPC, such as 64Mi; at most 1Gi; absent, 16Mi. All connections of a server together may buffer 16 times as much, so raise its memory with it.",
        json_schema_extra=validations(
            rule(
                "(type(self) == int || isQuantity(self)) && quantity(string(self)).isGreaterThan(quantity('1023')) && !quantity(string(self)).isGreaterThan(quantity('1Gi'))",
                "must be a quantity between 1Ki and 1Gi, such as 64Mi",
            )
        ),
    )
    resources: Resources = Field(Resources(), description="Resource requests and limits of each server.")
    auth: Authentication | None = Field(None, description="Who may call the service; required.")
    logging: Logging | None = Field(
        None, description="Logging of a sample of predictions; absent, none are logged or counted."
    )
    explain: Explain | None = Field(
        None, description="Contributions of the columns to answers; absent, none are computed."
    )
    env: tuple[Variable, ...] = Field(
        (),
        max_length=64,
        description="Environment variables of the server. Flywheel's own server takes OMP_NUM_THREADS, OMP_WAIT_POLICY and those of the chart's value serving.allowedEnv; other runtimes take any.",
        json_schema_extra=validations(
            rule(
                "self.all(e, !e.name.startsWith('FLYWHEEL_'))",
                "names that start with FLYWHEEL_ are reserved for the operator",
            ),
            **LIST_MAP_BY_NAME,
        ),
    )
    image_pull_secrets: PullSecrets = Field((), description="Secrets with credentials of image registries.")
    placement: Placement = Field(Placement(), description="Scheduling constraints of the servers.")
    shared_memory: Quantity | None = Field(
        None, description="Size of /dev/shm, such as 1Gi; absent, the container runtime's default."
    )
    rollout: Rollout | None = Field(None, description="How a new version takes over; absent, by a rolling update.")
    suspend: bool = Field(False, description="If true, all servers are stopped and everything else is retained.")
