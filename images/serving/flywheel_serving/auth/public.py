"""What everybody may ask, whoever they are: probes, which have no token, and metrics, which are scraped inside the cluster.

All else is shut, also what comes later and what does not exist: a path is no secret, but which model is here may be one.
"""

ROUTES = frozenset({"/v2/health/live", "/v2/health/ready", "/metrics"})
METHODS = frozenset(
    {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
    }
)
