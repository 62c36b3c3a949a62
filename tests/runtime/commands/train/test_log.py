"""The log of a trial that succeeded has nothing that a reader could take for a fault."""

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.runtime.commands.flights import FEATURES, flights

pytestmark = pytest.mark.integration  # trains models


@pytest.mark.integration
def test_a_trial_as_a_process_of_its_own_ends_without_reports_of_leaks(run_train: Any, checked: Any) -> None:
    data = checked({"a.csv": flights()}, target="late", keys=["id"])
    trial = run_train(data, estimator="HistGradientBoostingClassifier", parameters={"max_iter": 5}, features=FEATURES)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "FLYWHEEL_ROOT": str(trial.root)}

    command = [sys.executable, "-m", "flywheel_runtime", "train"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    assert found.returncode == 0, found.stderr
    assert "trial started" in found.stderr + found.stdout
    assert "leaked" not in found.stderr + found.stdout
