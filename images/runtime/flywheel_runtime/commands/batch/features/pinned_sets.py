"""The FeatureSets that a model pins, and those that are looked up for a batch."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from flywheel_runtime.commands.batch.batch_step import Step
from flywheel_runtime.commands.batch.config import BatchConfig, FeatureSetConfig
from flywheel_runtime.commands.batch.inference.cells import Cell
from flywheel_runtime.commands.batch.reading import Head
from flywheel_runtime.commands.batch.scoring_plan import LookedUpDataset, LookedUpSet
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import read_json_object
from flywheel_runtime.datasets.formats.column_names import find_same
from flywheel_runtime.datasets.sql import quote_column
from flywheel_runtime.datasets.types import SQL_TYPE
from flywheel_runtime.features.feature_sets.binding import check_binding
from flywheel_runtime.features.feature_sets.definition import FILE, ColumnType, Definition
from flywheel_runtime.features.feature_sets.feature_inputs import read_source, read_types
from flywheel_runtime.features.feature_sets.point_in_time import FeatureSource

INVALID = "FeatureSetInvalid"
TRAIN_AGAIN = "give them their types back, or train a version with the FeatureSet as it is now."
# Which columns of typed files are read as an input: a text may say anything, and a number may be a time in microseconds.
READ_AS: Mapping[ColumnType, tuple[str, ...]] = {
    "String": ("String", "Integer", "Boolean"),
    "Integer": ("Integer", "Float", "String"),
    "Boolean": ("Boolean", "Integer", "String"),
    "Timestamp": ("Timestamp", "Integer", "Float", "String"),
}


class ModelSet(BaseModel):
    """What features.json of a model says of a FeatureSet: its digest, and those of its features that the model takes."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)

    name: str
    digest: str
    looked_up: dict[str, str] = Field(default_factory=dict)


class ModelFeatures(BaseModel):
    """The part of features.json that names FeatureSets."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)

    feature_sets: tuple[ModelSet, ...] = ()

    @classmethod
    def read(cls, model: Path) -> "ModelFeatures":
        """Those of an artifact; none where it has no features.json that can be read."""
        try:
            return cls.model_validate(read_json_object(model / "features.json"))
        except ValidationError:
            return cls()

    @property
    def owners(self) -> dict[str, str]:
        """The FeatureSet of each looked-up feature that the model takes."""
        return {feature: each.name for each in self.feature_sets for feature in each.looked_up}


@dataclass(frozen=True)
class PinnedSet:
    """A FeatureSet whose features are looked up: its definition as far as they need it, and the features that are wanted with their types."""

    definition: Definition
    wanted: Mapping[str, ColumnType]


@dataclass(frozen=True)
class PinnedSets:
    """All of them. `owners` are those of the features that the model takes, looked up or not."""

    sets: tuple[PinnedSet, ...]
    owners: Mapping[str, str]

    @property
    def features(self) -> dict[str, ColumnType]:
        """The features that are looked up, with their types."""
        return {name: kind for each in self.sets for name, kind in each.wanted.items()}

    @property
    def inputs(self) -> list[str]:
        """The columns that they are asked with."""
        return list(dict.fromkeys(name for each in self.sets for name in each.definition.asked_inputs))

    @property
    def cells(self) -> dict[str, Cell]:
        """The cells of their columns in a chunk."""
        return {name: Cell(quote_column(name), SQL_TYPE[kind]) for name, kind in self.features.items()}

    def check_columns(self, file: str, columns: Collection[str], head: Head) -> None:
        """Raises Failure FeatureSetInvalid where a file lacks an input, has one of another type, or has a column with the name of a feature."""
        for each in self.sets:
            problems = [*_find_problems(each, columns, head)]
            if problems:
                raise Failure(
                    INVALID,
                    f"file '{file}' does not fit FeatureSet '{each.definition.name}': {'; '.join(problems)}",
                )


def read_pinned_sets(step: Step) -> PinnedSets:
    """Those of the configuration, by their definitions and the schemas of their Datasets.

    Raises Failure FeatureSetNotPinned, FeatureSetMissing, FeatureSetInvalid, DefinitionInvalid, InputInvalid.
    """
    model = ModelFeatures.read(step.paths.inputs / "model")
    found = []
    for given in step.config.feature_sets:
        definition = _read_definition(step, model, given)
        check_binding(definition, read_types(given.tables, step.paths.inputs), TRAIN_AGAIN)
        found.append(_pinned(step, model, definition))
    return PinnedSets(tuple(each for each in found if each.wanted), model.owners)


def looked_up_sets(config: BatchConfig) -> tuple[LookedUpSet, ...]:
    """What the plan says of the sets and of the Datasets in which they look up."""
    return tuple(
        LookedUpSet(each.name, each.digest, tuple(LookedUpDataset(**vars(dataset)) for dataset in each.datasets))
        for each in config.feature_sets
    )


def read_sources(step: Step, sets: PinnedSets) -> list[FeatureSource]:
    """The rows in which the features of each set are looked up."""
    found = {}
    for given in step.config.feature_sets:
        source = read_source(step.paths.inputs, given, TRAIN_AGAIN)
        found[source.definition.name] = source
    return [FeatureSource(each.definition, found[each.definition.name].tables) for each in sets.sets]


def _read_definition(step: Step, model: ModelFeatures, given: FeatureSetConfig) -> Definition:
    name, version = given.name, step.config.model.version
    pinned = next((each.digest for each in model.feature_sets if each.name == name), None)
    if pinned != given.digest:
        finding = f"pins {pinned}" if pinned else "does not pin it"
        raise _differs(
            f"the lineage of version '{version}' pins FeatureSet '{name}' by {given.digest}, and features.json of its artifact {finding}"
        )
    folder = step.paths.inputs / given.input
    if not (folder / FILE).is_file():
        words = f"the definition of FeatureSet '{name}' ({given.digest}), which version '{version}' pins, is not in the store"
        cure = "restore it from a backup of the store, or train a version with the FeatureSet as it is now"
        raise Failure("FeatureSetMissing", f"{words}; {cure}")
    try:
        definition = Definition.read(folder)
    except Failure as failure:
        words = f"the definition of FeatureSet '{name}' ({given.digest}) is of another release"
        raise Failure(
            failure.reason, f"{words}; train a version with the FeatureSet as this release checks it"
        ) from failure
    if lost := [each for each in definition.datasets if each not in given.tables]:
        raise _differs(
            f"the lineage of version '{version}' does not name Dataset '{lost[0]}', in which FeatureSet '{name}' looks up"
        )
    return definition


def _differs(finding: str) -> Failure:
    return Failure("FeatureSetNotPinned", f"{finding}; register the artifact with the lineage of its training")


def _pinned(step: Step, model: ModelFeatures, definition: Definition) -> PinnedSet:
    names = {*step.config.output.include, *(name for name, owner in model.owners.items() if owner == definition.name)}
    wanted = {name: kind for name, kind in definition.looked_up.items() if name in names}
    return PinnedSet(definition.keep(wanted), wanted)


def _find_problems(pinned: PinnedSet, columns: Collection[str], head: Head) -> Iterator[str]:
    for name, kind in pinned.definition.asked_inputs.items():
        if name not in columns:
            near = find_same(name, columns)
            advice = f"is '{near}' meant?" if near else "add it to the input"
            yield f"it has no column '{name}', an input of type {kind}; {advice}"
            continue
        stated = Cell("", head.type_of(name)).kind
        if stated is not None and stated not in READ_AS[kind]:
            yield f"column '{name}' is {head.type_of(name)}, and the input {kind}; write it as {kind}"
    for name in pinned.wanted:
        if same := find_same(name, columns):
            yield (
                f"column '{same}' has the name of a feature; add it to spec.input.ignore, so that the feature is looked up, "
                "or remove spec.features, so that the model takes the column"
            )
