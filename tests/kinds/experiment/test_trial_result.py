"""What a status lists of a trial that has ended."""

from flywheel.kinds.experiment.trial_result import MAX_LISTED_METRICS, listed_metrics


def test_the_objective_comes_first_then_what_is_derived_from_it_and_the_rest_is_left_to_the_records() -> None:
    metrics = {f"a_{number}": "1" for number in range(20)} | {"train_loss": "0.5", "gap_loss": "0.1", "loss": "0.6"}

    found = listed_metrics(metrics, "loss")

    assert list(found)[:4] == ["loss", "gap_loss", "train_loss", "a_0"]
    assert len(found) == MAX_LISTED_METRICS
