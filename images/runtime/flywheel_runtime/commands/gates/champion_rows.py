"""The champion on the challenger's test rows: as they are, or as the champion's own training prepared them."""

from dataclasses import dataclass
from pathlib import Path

from flywheel_runtime.commands.gates.config import Champion
from flywheel_runtime.contract.errors import Failure, Unmeasurable
from flywheel_runtime.contract.step import Step, log_line
from flywheel_runtime.datasets import sql
from flywheel_runtime.datasets.preparation.repeated import Preparation, repeat_preparation
from flywheel_runtime.datasets.split import SPLITS
from flywheel_runtime.models.matched_rows import OtherRowsOrTarget, match_rows
from flywheel_runtime.models.onnx_model import OnnxModel
from flywheel_runtime.models.test_set import Array, TestSet
from flywheel_runtime.statistics.metrics import ScoredRows


@dataclass(frozen=True)
class ChampionRows:
    """The champion's predictions, or why there are none; the rest as in Comparison."""

    scored: ScoredRows | Unmeasurable
    matched: Array | None = None
    left_out: int = 0
    fallback: str | None = None


def score_model(artifact: Path, test: TestSet) -> ScoredRows | Unmeasurable:
    """A model's predictions of the test rows as they are, or why there are none."""
    try:
        return OnnxModel.read(artifact).score(test)
    except Failure as error:
        return Unmeasurable(error.message)


def score_champion(step: Step, champion: Champion, test: TestSet) -> ChampionRows:
    """The champion on those test rows that its own preparation keeps; on all as they are where it has none that differs, or may fall back."""
    own, artifact = champion.own, step.input("champion")
    if own is None:
        return ChampionRows(score_model(artifact, test))
    reason = None
    if own.preparation is not None:
        try:
            return _score_prepared(step, champion.version, own.preparation, test)
        except Failure as error:
            reason = error.message.rstrip(".")
        except OtherRowsOrTarget as error:
            return ChampionRows(error)
        except Unmeasurable as error:
            reason = str(error)
    if own.direct:
        scored = score_model(artifact, test)
        if isinstance(scored, ScoredRows):
            return ChampionRows(scored, fallback=reason)
        reason = reason or str(scored).partition(";")[0]
    return ChampionRows(Unmeasurable("; ".join(each for each in (reason, own.finding) if each is not None)))


def _score_prepared(step: Step, name: str, preparation: Preparation, test: TestSet) -> ChampionRows:
    model = OnnxModel.read(step.input("champion"))
    folders = {table: step.input(each) for table, each in preparation.tables.items()}
    _check_there(folders)
    with sql.scratch_folder() as work, sql.translate_resource_errors():
        repeated = repeat_preparation(work, folders, preparation)
        (work / "matched").mkdir()
        matched = match_rows(test, repeated, model.signature.get("target"), work / "matched")
        log_line(f"champion '{name}' has {len(matched.numbers):,} test rows by its own preparation")
        return ChampionRows(model.score(matched.test), matched.numbers, matched.left_out)


def _check_there(folders: dict[str, Path]) -> None:
    """Raises Unmeasurable for a raw table that the store no longer has."""
    files = ("schema.json", *(f"{split}.parquet" for split in SPLITS))
    gone = next(
        (name for name, folder in folders.items() if any(not (folder / each).is_file() for each in files)), None
    )
    if gone is not None:
        raise Unmeasurable(
            f"the raw rows of table '{gone}' are no longer in the store; train again on the Dataset's present version, "
            "and let no lifecycle rule of the bucket remove artifacts of versions that may still compete"
        )
