"""`python3 -m flywheel_runtime promote`: the main of the Job that records a promotion. collect, which alone sees the store's Secret, writes
the records and the champion's pointer when this is done."""

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import Step, log_line, step_command


@step_command
def main(step: Step) -> None:
    """Check the promotions that the operator requests to be recorded, and log them; exits with 0."""
    try:
        for reign in step.params["reigns"]:
            log_line(f"{reign['since']} {reign['message']}")
    except (KeyError, TypeError) as error:
        raise Failure("ParamsInvalid", f"params.json of the promotion cannot be read: {error!r}.") from error
    step.finish({}, {})
