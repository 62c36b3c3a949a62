"""A part of the configuration that commands of the runtime image read in their pods, in FLYWHEEL_FETCH or params.json.

tests/contracts/config/*.json hold both sides to the same documents. A pod's manifest shows only what was asked for.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class StepConfig(BaseModel):
    """A part of the configuration. An unknown field is an error: the pod would refuse it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    def document(self) -> dict[str, Any]:
        """Returns the configuration as it is written."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def to_json(self) -> str:
        """Returns the value of the environment variable, with sorted keys."""
        return json.dumps(self.document(), sort_keys=True)
