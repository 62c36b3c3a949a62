"""`batch-plan`: the plan, and of a small input the whole output: each further pod would take longer to start than its work."""

from flywheel_runtime.commands.batch.batch_step import Report, Step, run_batch_step
from flywheel_runtime.commands.batch.finish import commit
from flywheel_runtime.commands.batch.plan import plan
from flywheel_runtime.commands.batch.score import score_shard
from flywheel_runtime.commands.batch.scoring_plan import Plan

MAX_BYTES = 256 << 20  # of input: about a minute of a small model


def main() -> int:
    """The exit code of the contract."""
    return run_batch_step(plan_or_run)


def plan_or_run(step: Step) -> Report:
    """The plan's report, and with it that of the manifest where the output is there. What is broken off goes on as a plan's shards do."""
    frozen, planned = plan(step)
    if planned.repeated or not _is_small(step, frozen):
        return planned
    scored = [score_shard(step, frozen, index) for index in range(len(frozen.shards))]
    finished = commit(step, frozen)
    seconds = sum(each.metrics["seconds"] for each in scored)
    return Report({**finished.metrics, "seconds": seconds}, {**planned.facts, **finished.facts})


def _is_small(step: Step, frozen: Plan) -> bool:
    """Whether shards would run one after the other in any case, and soon end. Datasets to look up in are in the pods that score alone."""
    size = sum(piece.slice.size for shard in frozen.shards for piece in shard)
    is_sequential = len(frozen.shards) == 1 or (step.config.parallelism == 1 and step.config.shards is None)
    return is_sequential and size <= MAX_BYTES and not frozen.feature_sets
