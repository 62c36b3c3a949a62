"""`python3 -m flywheel_runtime gates`: measures a challenger and the champion (images/README.md, "gates")."""

from collections.abc import Mapping, Sequence
from typing import Any

from flywheel_runtime.commands.gates import rules
from flywheel_runtime.commands.gates.champion_rows import score_champion, score_model
from flywheel_runtime.commands.gates.comparison import Comparison
from flywheel_runtime.commands.gates.config import GatesConfig
from flywheel_runtime.commands.gates.leakage import find_leak
from flywheel_runtime.commands.gates.rules import GateResult
from flywheel_runtime.commands.gates.traffic.measurement import measure_traffic_gates
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import Step, is_room_for, log_line, step_command, write_json
from flywheel_runtime.models.test_set import SAMPLE_ROWS, TestSet, open_test_set

LEAK_GATE = "test-rows"
MESSAGE_LENGTHS = (300, 200, 140, 100, 70, 45, 25, 0)


@step_command
def main(step: Step) -> None:
    """One result for each gate, and the objective of both models on the same rows; exits with 0, whatever they are."""
    config = GatesConfig.parse(step.params)
    # First, since it has a process of its own, which needs the memory.
    on_traffic = measure_traffic_gates(step, config)
    of_rows = [gate for gate in config.gates if not gate.on_traffic]
    try:
        with open_test_set(step.input("data"), SAMPLE_ROWS) as test:
            comparison = _compare(step, config, test)
            measured = [rules.evaluate_gate(gate, comparison) for gate in of_rows]
            metrics = rules.objective_metrics(config.objective, comparison) if config.objective else {}
            answers = rules.answers_result(comparison)
    except Failure as error:
        measured = [rules.evaluate_without_rows(gate, step.input("data"), error) for gate in of_rows]
        metrics, answers = {}, None
    by_name = on_traffic | {each.name: each for each in measured}
    results = [*([answers] if answers else []), *(by_name[gate.name] for gate in config.gates)]
    # The operator's own gate compares with a constant, which has seen no row.
    if any(not gate.optional for gate in of_rows):
        leak = find_leak(step.input("data"), step.input("champion-data"))
        if leak is not None:
            results.insert(0, GateResult(LEAK_GATE, False, leak, {}))
    _finish(step, config, results, metrics)


def _compare(step: Step, config: GatesConfig, test: TestSet) -> Comparison:
    challenger = score_model(step.input("model"), test)
    if config.champion is None:
        return Comparison(test, challenger, None, "", config.objective)
    champion = score_champion(step, config.champion, test)
    return Comparison(
        test,
        challenger,
        champion.scored,
        config.champion.version,
        config.objective,
        champion.matched,
        champion.left_out,
        champion.fallback,
    )


def _finish(step: Step, config: GatesConfig, results: Sequence[GateResult], metrics: Mapping[str, float]) -> None:
    for each in results:
        result = "NOT MEASURED" if not each.measured else "passed" if each.passed else "FAILED"
        log_line(f"{result} {each.name}: {each.message}")
    document = {
        "v": 1,
        "digest": config.digest,
        "champion": config.champion.model_dump(include={"version", "digest"}) if config.champion else None,
        "gates": [{**_describe(each, each.message), "numbers": dict(each.numbers)} for each in results],
        "metrics": dict(metrics),
    }
    write_json(step.output("gates") / "gates.json", document)
    step.finish(metrics, shorten_facts(results))


def shorten_facts(results: Sequence[GateResult]) -> dict[str, Any]:
    """`{"gates": [{"name", "passed", "measured", "message"}]}` in at most 2,000 bytes: messages are cut as far as needed, gates.json has them whole."""
    facts: dict[str, Any] = {}
    for length in MESSAGE_LENGTHS:
        gates = [_describe(each, _cut(each.message, length)) for each in results]
        facts = {"gates": gates}
        if is_room_for(facts):
            break
    return facts


def _describe(result: GateResult, message: str) -> dict[str, Any]:
    """A result as JSON; `measured` is there only where it is false."""
    unmeasured = {} if result.measured else {"measured": False}
    return {"name": result.name, "passed": result.passed, **unmeasured, "message": message}


def _cut(message: str, length: int) -> str:
    return message if len(message) <= length else f"{message[: max(length - 1, 0)]}…" if length else ""
