"""What a user writes into a Dataset, and what is read from it.

`spec` is written by users, `status` by the operator.
"""

from flywheel.kinds.dataset.schema.spec import DatasetSpec
from flywheel.kinds.dataset.schema.status import DatasetStatus

__all__ = ["DatasetSpec", "DatasetStatus"]
