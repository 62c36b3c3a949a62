"""What a user writes into a ModelVersion, and what is read from it.

`gate_results` is what the gates' Job measured, and who approved the version; `quantization` is what quantization did to the model.
"""

from flywheel.kinds.modelversion.schema.spec import ModelVersionSpec
from flywheel.kinds.modelversion.schema.status import ModelVersionStatus

__all__ = ["ModelVersionSpec", "ModelVersionStatus"]
