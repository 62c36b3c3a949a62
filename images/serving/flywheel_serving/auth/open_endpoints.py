"""REST paths and gRPC methods that need no token (probes, which have none, and metrics, which are scraped in the cluster), and the verb that the others need.

All others need a token, those added later and those that do not exist too: which model is here may be a secret.
"""

OPEN_PATHS = frozenset({"/v2/health/live", "/v2/health/ready", "/metrics"})
OPEN_METHODS = frozenset(
    {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
    }
)

CALL_VERB, LABEL_VERB = "get", "label"  # of this InferenceService, as Kubernetes' RBAC names them
LABEL_PATHS = frozenset({"/v2/models/{model}/feedback"})


def required_verb(pattern: str) -> str:
    """Returns the verb that the caller of the path `pattern` needs."""
    return LABEL_VERB if pattern in LABEL_PATHS else CALL_VERB
