"""REST paths and gRPC methods that need no token: probes, which have none, and metrics, which are scraped in the cluster.

All others need one, those added later and those that do not exist too: which model is here may be a secret.
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
