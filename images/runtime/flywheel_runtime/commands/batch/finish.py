"""`batch-finish`: every shard has left its result, so the manifest makes them one output, whole or not at all."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from flywheel_runtime.commands.batch.batch_step import Report, Step, run_batch_step
from flywheel_runtime.commands.batch.scoring_plan import FILE, Plan
from flywheel_runtime.commands.batch.storage import output_manifest
from flywheel_runtime.commands.batch.storage.locations import Folder, open_output
from flywheel_runtime.commands.batch.storage.shard_results import Result, Results
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import log_line

MAX_PARALLEL_READS = 8


def main() -> int:
    """The exit code of the contract."""
    return run_batch_step(finish)


def finish(step: Step) -> Report:
    """Commits the output of the plan."""
    return commit(step, Plan.read(step.paths.inputs / "plan" / FILE))


def commit(step: Step, plan: Plan) -> Report:
    """Counts all shards, and commits. Failure ShardMissing, TooManyRowErrors, NoRowScored, OutputExists."""
    output = open_output(step.config, step.env)
    keeper = Results.of_plan(step.env, plan.id)
    with ThreadPoolExecutor(MAX_PARALLEL_READS) as pool:
        found = list(pool.map(keeper.read, range(len(plan.shards))))
    lost = [index for index, result in enumerate(found) if result is None]
    if lost:
        raise Failure(
            "ShardMissing", f"the result of shard {lost[0]} is not in the store; it is scored again", retry=True
        )
    whole = [result for result in found if result is not None]
    rows, errors = sum(result.rows for result in whole), sum(result.errors for result in whole)
    _check(step, output, rows, errors)
    output_manifest.commit(output, _document(step, plan, whole), overwrite=step.config.output.overwrite)
    log_line(f"{rows} rows and {errors} row errors in {output_manifest.uri(output)}")
    return Report({"rows": float(rows), "errors": float(errors)}, {"manifest": output_manifest.uri(output)})


def _check(step: Step, output: Folder, rows: int, errors: int) -> None:
    where = f"see '{output.place.uri}_errors/' for each row and its reason"
    most = step.config.max_row_errors
    if most is not None and errors > most:
        words = f"{errors} rows cannot be scored and spec.maxRowErrors lets {most} pass"
        raise Failure("TooManyRowErrors", f"{words}; {where}")
    if not rows:
        raise Failure("NoRowScored", f"none of {errors} rows can be scored; {where}")


def _document(step: Step, plan: Plan, results: list[Result]) -> dict[str, object]:
    return {
        "v": 1,
        "plan": plan.id,
        "model": step.config.model.model_dump(),
        "input": [asdict(file) for file, _ in plan.files],
        **({"featureSets": [asdict(each) for each in plan.feature_sets]} if plan.feature_sets else {}),
        "format": plan.output_format,
        "columns": [name for name, _ in plan.columns],
        "rows": sum(result.rows for result in results),
        "errors": sum(result.errors for result in results),
        "files": [asdict(result.part) for result in results if result.part],
        "errorFiles": [asdict(result.faults) for result in results if result.faults],
    }
