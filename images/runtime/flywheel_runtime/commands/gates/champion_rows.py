"""The champion on the challenger's test rows: as they are, or as the champion's own training prepared them."""

from dataclasses import dataclass
from pathlib import Path

from flywheel_runtime.commands.gates.config import Champion, OwnPreparation
from flywheel_runtime.contract.errors import Failure, Unmeasurable
from flywheel_runtime.contract.step import Step, log_line
from flywheel_runtime.datasets import sql
from flywheel_runtime.datasets.preparation.repeated import Preparation, repeat_preparation
from flywheel_runtime.models.matched_rows import match_rows
from flywheel_runtime.models.onnx_model import OnnxModel
from flywheel_runtime.models.test_set import Array, TestSet
from flywheel_runtime.statistics.metrics import ScoredRows


@dataclass(frozen=True)
class ChampionRows:
    """The champion's predictions, or why there are none; `matched` and `left_out` as in Comparison."""

    scored: ScoredRows | Unmeasurable
    matched: Array | None = None
    left_out: int = 0


def score_model(artifact: Path, test: TestSet) -> ScoredRows | Unmeasurable:
    """A model's predictions of the test rows as they are, or why there are none."""
    try:
        return OnnxModel.read(artifact).score(test)
    except Failure as error:
        return Unmeasurable(error.message)


def score_champion(step: Step, champion: Champion, test: TestSet) -> ChampionRows:
    """The champion on the test rows; where its own preparation applies, on those of them that it keeps."""
    own, artifact = champion.own, step.input("champion")
    if own is None or own.direct:
        scored = score_model(artifact, test)
        if own is None or isinstance(scored, ScoredRows):
            return ChampionRows(scored)
        if own.finding is not None:
            return ChampionRows(Unmeasurable(f"{str(scored).partition(';')[0]}; {own.finding}"))
    try:
        return _score_prepared(step, champion.version, own, test)
    except Failure as error:
        return ChampionRows(Unmeasurable(error.message))
    except Unmeasurable as error:
        return ChampionRows(error)


def _score_prepared(step: Step, name: str, own: OwnPreparation, test: TestSet) -> ChampionRows:
    if own.preparation is None:
        raise Unmeasurable(own.finding or "nothing says how its rows are prepared")
    model = OnnxModel.read(step.input("champion"))
    folders = {name: step.input(each) for name, each in own.preparation.tables.items()}
    _check_there(own.preparation, folders)
    with sql.scratch_folder() as work, sql.translate_resource_errors():
        repeated = repeat_preparation(work, folders, own.preparation)
        (work / "matched").mkdir()
        matched = match_rows(test, repeated, model.signature.get("target"), work / "matched")
        log_line(f"champion '{name}' has {len(matched.numbers):,} test rows by its own preparation")
        return ChampionRows(model.score(matched.test), matched.numbers, matched.left_out)


def _check_there(preparation: Preparation, folders: dict[str, Path]) -> None:
    """Raises Unmeasurable for a raw table that the store no longer has."""
    gone = next((name for name, folder in folders.items() if not (folder / "schema.json").is_file()), None)
    if gone is not None:
        raise Unmeasurable(
            f"the raw rows of table '{gone}' are no longer in the store; train again on the Dataset's present version, "
            "and let its retention keep more versions"
        )
