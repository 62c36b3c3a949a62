"""The parameters of a command in params.json: pydantic reads what the operator wrote by pydantic (operator/flywheel/core/pods/step_config/).

`fetch` and `collect`, which start in every pod, are configured by contract/config instead, without pydantic.
"""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from flywheel_runtime.contract.errors import Failure


class Params(BaseModel):
    """The base of a command's parameters and of their parts. An unknown field is an error."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    @classmethod
    def parse(cls, document: Any, reason: str = "ParamsInvalid") -> Self:
        """The parameters in a document; a Failure with this reason names the first wrong field."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            first = error.errors()[0]
            problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise Failure(reason, f"params.json cannot be read: {problem}.") from error
