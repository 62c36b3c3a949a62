"""InferenceService: a model that serves predictions.

    spec.model ──▶ Model.status.champion ─┐
                                          ├──▶ one artifact, by digest ──▶ Deployment <name>
    spec.version ──▶ ModelVersion ────────┘                                  │ pod: fetch (sha256 checked) ──▶ server
                                                                             │         ready after a warm-up request
    client ──▶ Service <name>: 8080 REST, 8081 gRPC ─────────────────────────┘

A new champion rolls out one server at a time, and a new one is ready before an old one stops. When the Model, the champion or the store goes
missing, the servers go on. There are also a ServiceAccount without a token, a NetworkPolicy, and from two replicas on a PodDisruptionBudget.
Each pod mounts ConfigMap `<name>-route`, which does not exist until there is a challenger.
"""
