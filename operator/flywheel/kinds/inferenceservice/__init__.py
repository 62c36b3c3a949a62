"""InferenceService: a model that answers.

    spec.model ──▶ Model.status.champion ─┐
                                          ├──▶ one artifact, by digest ──▶ Deployment <name>
    spec.version ──▶ ModelVersion ────────┘                                  │ pod: fetch (sha256 checked) ──▶ server
                                                                             │         warm-up answered = ready
    client ──▶ Service <name>: 8080 REST, 8081 gRPC ─────────────────────────┘

A new champion rolls out one server at a time, and a new one answers before an old one goes. When the Model, the champion or the store goes
missing, whoever answers goes on answering. Beside them stand a ServiceAccount without a token, a NetworkPolicy, and from two replicas on a
PodDisruptionBudget. Each pod mounts ConfigMap `<name>-route`, which does not exist until a challenger comes.
"""
