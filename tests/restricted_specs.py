"""A spec for each field that names a Secret or a volume, and for each placement, as users could write them."""

from collections.abc import Callable
from typing import Any

from tests.apiserver.manifests import OPEN

# A spec for each field that names something, with NAME in that field alone.
S3 = {"uri": "s3://acme/rows/", "secretName": "NAME"}
SQL = {"engine": "PostgreSQL", "host": "db.acme.example", "database": "shop", "secretName": "NAME", "table": "orders"}
PVC = {"claimName": "NAME", "path": "rows/"}
HERE = {"uri": "s3://flywheel/rows/"}
ENV = [{"name": "TOKEN", "secret": {"name": "NAME", "key": "token"}}]
PULL = [{"name": "NAME"}]
ARTIFACT = {"artifact": {"digest": "sha256:" + "a" * 64}}
BATCH = {"model": "fraud", "input": {"s3": HERE}, "output": {"s3": HERE}}
SERVICE = {"model": "fraud", **OPEN}
VERSION = {"model": "fraud", "source": ARTIFACT}
FEATURES = {
    "inputs": [{"name": "sched", "type": "Timestamp"}, {"name": "dist", "type": "Float"}],
    "eventTime": "sched",
    "rowwise": {"far": "dist > 500"},
}
SKLEARN: dict[str, Any] = {"sklearn": {}}
TRAINER = {"container": {"image": "trainer"}}


def experiment(trainer: dict[str, Any] = SKLEARN, **spec: Any) -> dict[str, Any]:
    return {"dataset": "flights", "objective": {"metric": "roc_auc"}, "trainer": trainer, **spec}


def pipeline(step: dict[str, Any], place: str = "steps") -> dict[str, Any]:
    """Return a pipeline with that step, last if `place` is finally."""
    steps = [{"name": "work", "container": {"image": "worker"}}] if place == "finally" else []
    inputs = [{"name": "flights", "dataset": "flights"}]
    spec: dict[str, Any] = {"inputs": inputs, "steps": steps}
    return {**spec, place: [*spec.get(place, []), {"name": "last", **step}]}


def container(**fields: Any) -> dict[str, Any]:
    return {"container": {"image": "worker", **fields}}


def train(trainer: dict[str, Any] = SKLEARN, **fields: Any) -> dict[str, Any]:
    return {"train": {"from": "flights", "objective": {"metric": "roc_auc"}, "trainer": trainer, **fields}}


NOTIFY = {"notify": {"secret": {"name": "NAME", "key": "url"}, "text": "done"}}
WITH_ENV = {"container": {"image": "trainer", "env": ENV}}
SECRETS: dict[tuple[str, str], dict[str, Any]] = {
    ("Dataset", "spec.source.s3.secretName"): {"source": {"s3": S3}},
    ("Dataset", "spec.source.sql.secretName"): {"source": {"sql": SQL}, "keys": ["id"]},
    ("ModelVersion", "spec.source.s3.secretName"): {"model": "fraud", "source": {"s3": {**S3, "uri": "s3://acme/a.onnx"}, "sha256": "a" * 64}},
    ("ModelVersion", "spec.imagePullSecrets.name"): {**VERSION, "imagePullSecrets": PULL},
    ("BatchInference", "spec.input.s3.secretName"): {**BATCH, "input": {"s3": S3}},
    ("BatchInference", "spec.output.s3.secretName"): {**BATCH, "output": {"s3": S3}},
    ("BatchInference", "spec.imagePullSecrets.name"): {**BATCH, "imagePullSecrets": PULL},
    ("Experiment", "spec.trainer.container.env.secret.name"): experiment(WITH_ENV),
    ("Experiment", "spec.imagePullSecrets.name"): experiment(TRAINER, imagePullSecrets=PULL),
    ("InferenceService", "spec.env.secret.name"): {**SERVICE, "env": ENV},
    ("InferenceService", "spec.imagePullSecrets.name"): {**SERVICE, "imagePullSecrets": PULL},
    ("InferenceService", "spec.logging.hmac.name"): {
        **SERVICE,
        "logging": {"columns": [{"name": "card", "action": "Hmac"}], "hmac": {"name": "NAME", "key": "key"}},
    },
    ("TrainingPipeline", "spec.steps.container.env.secret.name"): pipeline(container(env=ENV)),
    ("TrainingPipeline", "spec.steps.container.imagePullSecrets.name"): pipeline(container(imagePullSecrets=PULL)),
    ("ModelMonitor", "spec.notify.secret.name"): {"inferenceService": "fraud", "notify": {"secret": {"name": "NAME", "key": "url"}}},
    ("TrainingPipeline", "spec.steps.notify.secret.name"): pipeline(NOTIFY),
    ("TrainingPipeline", "spec.steps.train.trainer.container.env.secret.name"): pipeline(train(WITH_ENV)),
    ("TrainingPipeline", "spec.steps.train.imagePullSecrets.name"): pipeline(train(TRAINER, imagePullSecrets=PULL)),
    ("TrainingPipeline", "spec.finally.container.env.secret.name"): pipeline(container(env=ENV), "finally"),
    ("TrainingPipeline", "spec.finally.container.imagePullSecrets.name"): pipeline(container(imagePullSecrets=PULL), "finally"),
    ("TrainingPipeline", "spec.finally.notify.secret.name"): pipeline(NOTIFY, "finally"),
}  # fmt: skip
CLAIMS: dict[tuple[str, str], dict[str, Any]] = {
    ("Dataset", "spec.source.pvc.claimName"): {"source": {"pvc": PVC}},
    ("BatchInference", "spec.input.pvc.claimName"): {**BATCH, "input": {"pvc": PVC}},
}
PLACES: dict[tuple[str, str], Callable[[dict[str, Any]], dict[str, Any]]] = {
    ("Dataset", "spec.placement"): lambda place: {"source": {"s3": HERE}, "placement": place},
    ("ModelMonitor", "spec.placement"): lambda place: {"inferenceService": "fraud", "placement": place},
    ("ModelVersion", "spec.placement"): lambda place: {**VERSION, "placement": place},
    ("BatchInference", "spec.placement"): lambda place: {**BATCH, "placement": place},
    ("FeatureSet", "spec.placement"): lambda place: {**FEATURES, "placement": place},
    ("Experiment", "spec.placement"): lambda place: experiment(placement=place),
    ("InferenceService", "spec.placement"): lambda place: {**SERVICE, "placement": place},
    ("TrainingPipeline", "spec.steps.placement"): lambda place: pipeline({**container(), "placement": place}),
    ("TrainingPipeline", "spec.steps.train.placement"): lambda place: pipeline(train(placement=place)),
}
