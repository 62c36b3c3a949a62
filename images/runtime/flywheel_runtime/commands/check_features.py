"""The check of a FeatureSet: its features by the columns of its Datasets, and their definition as an artifact (images/README.md)."""

from flywheel_runtime.contract.step import Step, log_line, step_command
from flywheel_runtime.features.feature_sets.binding import bind
from flywheel_runtime.features.feature_sets.definition import Definition, FeatureSetSpec
from flywheel_runtime.features.feature_sets.feature_inputs import read_types
from flywheel_runtime.models.rowwise.rowwise_expressions import compile_rowwise
from flywheel_runtime.params import Params


class CheckFeaturesConfig(Params):
    """The configuration in params.json. `tables` maps each Dataset to the input that has its schema.json."""

    definition: FeatureSetSpec
    tables: dict[str, str]


@step_command
def main(step: Step) -> None:
    """Bind the features to the columns of the Datasets and write output `definition`; exits with 0 when all fit, 2 when the spec or a Dataset must change."""
    config = CheckFeaturesConfig.parse(step.params)
    log_line(f"check of FeatureSet '{config.definition.name}' started")
    definition = bind(config.definition, read_types(config.tables, step.inputs))
    if definition.rowwise:
        _check_expressions(definition)
    definition.write(step.output("definition"))
    looked_up, rowwise = len(definition.looked_up), len(definition.rowwise)
    step.finish({"features": looked_up + rowwise}, {"lookedUp": looked_up, "rowwise": rowwise})
    log_line(f"FeatureSet '{definition.name}' is good: {looked_up} features that are looked up, {rowwise} by SQL")


def _check_expressions(definition: Definition) -> None:
    """Raises Failure RowwiseInvalid for expressions that no model can compute of the inputs and of what is looked up."""
    columns = [{"name": name, "type": kind} for name, kind in (definition.input_types | definition.looked_up).items()]
    compile_rowwise({"columns": columns, "target": None}, definition.rowwise)
