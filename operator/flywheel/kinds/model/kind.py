"""Model as the engine sees it."""

from collections.abc import Iterable

from flywheel.core.resource.api import JOB, MODEL, MODEL_VERSION, Reference
from flywheel.core.resource.kind import HealthByReason, Kind
from flywheel.kinds.model.children import Model
from flywheel.kinds.model.decide import decide
from flywheel.kinds.model.observe import Seen, observe
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.model.schema.status import ModelStatus


def references(model: Model) -> Iterable[Reference]:
    """The version that is pinned, which may belong to another Model. Its own versions refer to it."""
    if model.spec.champion is not None:
        yield Reference(MODEL_VERSION, model.namespace, model.spec.champion)


KIND: Kind[ModelSpec, ModelStatus, Seen] = Kind(
    api=MODEL,
    short_name="fwmodel",
    spec=ModelSpec,
    status=ModelStatus,
    observe=observe,
    decide=decide,
    owns=(JOB,),
    removes=(MODEL_VERSION,),
    patches=(MODEL_VERSION,),
    references=references,
    normal_reasons=frozenset(
        ("NoVersion", "WaitingForVersion", "ChampionChosen", "Pinned", "AwaitingApproval", "Measuring", "NotBetter")
    ),
    health=HealthByReason(healthy=("NoVersion", "WaitingForVersion", "Measuring"), suspended=("AwaitingApproval",)),
)
