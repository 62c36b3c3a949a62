"""The Kubernetes APIs that Flywheel reads or writes, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Manifest = Mapping[str, Any]  # an object as the API server returns it; never mutated

GROUP = "flywheel.ml"
VERSION = "v1alpha1"
KUEUE = "kueue.x-k8s.io"  # the API group of an optional add-on


@dataclass(frozen=True, order=True)
class Api:
    """One resource type: `Api("batch", "v1", "Job", "jobs")`. All that Flywheel uses are namespaced."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """Returns what a manifest says: `batch/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def manifest(self, name: str, *, metadata: Manifest | None = None, **content: Any) -> dict[str, Any]:
        """Returns an object of this type with that name; `metadata` has more of its metadata, and `content` the rest, such as `spec`."""
        return {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": {"name": name, **(metadata or {})},
            **content,
        }

    def same_version(self, live: Manifest, **content: Any) -> dict[str, Any]:
        """Returns what to apply to a live object; the API server refuses it with 409 where the object has changed since."""
        metadata = {key: live["metadata"][key] for key in ("namespace", "resourceVersion")}
        return self.manifest(live["metadata"]["name"], metadata=metadata, **content)

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


POD = Api("", "v1", "Pod", "pods")
SERVICE = Api("", "v1", "Service", "services")
SERVICE_ACCOUNT = Api("", "v1", "ServiceAccount", "serviceaccounts")
CONFIG_MAP = Api("", "v1", "ConfigMap", "configmaps")
JOB = Api("batch", "v1", "Job", "jobs")
CRON_JOB = Api("batch", "v1", "CronJob", "cronjobs")
DEPLOYMENT = Api("apps", "v1", "Deployment", "deployments")
HORIZONTAL_POD_AUTOSCALER = Api("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
CONTROLLER_REVISION = Api("apps", "v1", "ControllerRevision", "controllerrevisions")
POD_DISRUPTION_BUDGET = Api("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Api("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
LEASE = Api("coordination.k8s.io", "v1", "Lease", "leases")
EVENT = Api("events.k8s.io", "v1", "Event", "events")


def flywheel_api(kind: str, plural: str) -> Api:
    """Returns the Api of one of Flywheel's own kinds."""
    return Api(GROUP, VERSION, kind, plural)


# Kinds refer to each other by these, so that no kind imports another kind's folder for its Api.
DATASET = flywheel_api("Dataset", "datasets")
EXPERIMENT = flywheel_api("Experiment", "experiments")
MODEL = flywheel_api("Model", "models")
MODEL_VERSION = flywheel_api("ModelVersion", "modelversions")
INFERENCE_SERVICE = flywheel_api("InferenceService", "inferenceservices")
BATCH_INFERENCE = flywheel_api("BatchInference", "batchinferences")
TRAINING_PIPELINE = flywheel_api("TrainingPipeline", "trainingpipelines")
TRAINING_RUN = flywheel_api("TrainingRun", "trainingruns")
MODEL_MONITOR = flywheel_api("ModelMonitor", "modelmonitors")
FEATURE_SET = flywheel_api("FeatureSet", "featuresets")


@dataclass(frozen=True, order=True)
class Reference:
    """Where an object is, whether it exists or not."""

    api: Api
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.api.kind} '{self.name}' in namespace '{self.namespace}'"

    def describe_absence(self) -> str:
        """Returns a sentence for a user who named an object that does not exist."""
        return f"{self} does not exist; 'kubectl get {self.api} -n {self.namespace}' lists what does"
