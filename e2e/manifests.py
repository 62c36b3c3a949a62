"""Manifests that several end-to-end tests apply."""

import hashlib

import pandas as pd
from sklearn.datasets import load_breast_cancer

from e2e.namespace import Namespace

# Each row is another, and `late` follows from `a`, so that a linear model is better than a constant.
GOOD_ROWS = "a,late\n" + "".join(f"{number % 7}.{number:03d},{int(number % 7 > 3)}\n" for number in range(300))
# What Pod Security `restricted` asks of a pod and of its containers.
POD_SECURITY = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
# Canary steps on a machine that all tests share: latency is no matter here; test_canary_rolls_back judges it.
CANARY = {
    "canary": {
        "steps": [{"percent": 20, "duration": "6s"}, {"percent": 50, "duration": "6s"}],
        "analysis": {"maxErrorRate": "1%", "maxP99Ratio": "1000", "minRequests": 20},
    }
}
PATIENTS = """
apiVersion: flywheel.ml/v1alpha1
kind: Dataset
metadata: {name: patients}
spec:
  source: {s3: {uri: "%s"}}
  target: malignant
"""
# The small loop: patients' measurements, a short search, a served champion. The place of the data and spec.auth are left open.
SMALL_LOOP = (
    PATIENTS
    + """---
apiVersion: flywheel.ml/v1alpha1
kind: Experiment
metadata: {name: malignant}
spec:
  dataset: patients
  trainer: {sklearn: {}}
  budget: {maxTrials: 3}
  register: malignant
---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: malignant}
spec:
  model: malignant
  auth: {%s: {}}
"""
)
# A version of Model `delay`: its name, and the digest of its artifact in the store.
DELAY_VERSION = """---
apiVersion: flywheel.ml/v1alpha1
kind: ModelVersion
metadata: {name: %s}
spec:
  model: delay
  source: {artifact: {digest: "%s"}}
"""
# A service with logging whose version is an artifact in the store.
LOGGED_SERVICE = """
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: delay}
spec: {description: "How late will it be?"}
---
apiVersion: flywheel.ml/v1alpha1
kind: ModelVersion
metadata: {name: delay-1}
spec:
  model: delay
  source: {artifact: {digest: "%(digest)s"}}
---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: delay}
spec:
  version: delay-1
  auth: {none: {}}
  logging: %(logging)s
"""
# Its monitor, which tests each minute when it is asked to.
MONITOR = """---
apiVersion: flywheel.ml/v1alpha1
kind: ModelMonitor
metadata: {name: delay}
spec:
  inferenceService: delay
  window: 1m
  schedule: {cron: "0 0 1 1 *"}
"""
MODEL = """
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: fraud}
spec: {description: "Is this payment a fraud?"}
"""
SERVICE = """
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: fraud}
spec:
  version: fraud-1
  auth: {none: {}}
"""


def own_version(uri: str, sha256: str, name: str = "fraud-1") -> str:
    """A ModelVersion of Model `fraud` with that source."""
    return f"""
apiVersion: flywheel.ml/v1alpha1
kind: ModelVersion
metadata: {{name: {name}}}
spec:
  model: fraud
  source: {{s3: {{uri: "{uri}"}}, sha256: "{sha256}"}}
  metrics: {{roc_auc: "0.71"}}
"""


def own_model(namespace: Namespace, content: bytes, sha256: str | None = None) -> str:
    """Model `fraud`, its version `fraud-1` with these bytes, which are uploaded, and an InferenceService of that version."""
    digest = sha256 or hashlib.sha256(content).hexdigest()
    return "---".join((MODEL, own_version(namespace.upload("fraud-1.onnx", content), digest), SERVICE))


def read_patients() -> pd.DataFrame:
    """The rows of the small loop, from scikit-learn."""
    data = load_breast_cancer(as_frame=True)
    frame: pd.DataFrame = data.data.rename(columns=lambda name: name.replace(" ", "_"))
    return frame.assign(malignant=1 - data.target)
