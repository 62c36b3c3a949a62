"""What a user writes into a Model, and what is read from it.

`gates` are the conditions that a version must meet before it may become champion.
"""

from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.model.schema.status import ModelStatus

__all__ = ["ModelSpec", "ModelStatus"]
