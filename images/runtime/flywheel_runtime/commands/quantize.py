"""`python3 -m flywheel_runtime quantize`, between fetch and verify: rewrites the artifact in `inputs/model`.

In: `params.json` `{"path": "model.onnx", "quantize": "Dynamic"}`, and the Dataset's artifact in `inputs/data` if there is one.
A model that cannot be quantised ends with 0 as well, and `quantization.json` with `{"reason", "message"}`: verify, which is the pod's main,
then refuses it, since a version's failure is the message of main alone.
"""

import json
import os
import sys
from collections.abc import Mapping

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.paths import Paths
from flywheel_runtime.models.quantization import REPORT, quantize_artifact, write_json


def main(env: Mapping[str, str] = os.environ) -> int:
    """0 whenever there is a report to read."""
    paths = Paths.from_env(env)
    params = json.loads(paths.params.read_text(encoding="utf-8"))
    artifact = paths.inputs / "model"
    try:
        report = quantize_artifact(artifact, str(params.get("path") or "model.onnx"), paths.inputs / "data")
    except Failure as failure:
        report = {"v": 1, "reason": failure.reason, "message": failure.message}
    sys.stdout.write(f"{json.dumps(report)}\n")
    write_json(artifact / REPORT, report)
    return 0
