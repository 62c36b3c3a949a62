"""InferenceService: one model, answered over REST and gRPC by a number of like servers.

    Model.status.champion ──┐
                            ├──> ModelVersion.status.digest ──> Deployment: fetch (by digest) ─> server (ready after its warm-up)
    spec.version ───────────┘                                    Service, PodDisruptionBudget, NetworkPolicy, ServiceAccount

    nothing to serve ──> starting ──> serving <──> rolling out (old servers answer until new ones do)

Ready says: every counted server has answered a warm-up request with this version. What is served already stays served
whatever happens upstream: a Model that vanishes, a version that fails, a store that is down.
"""
