"""Which labels count for a monitor, by its configuration."""

from flywheel_runtime.commands.monitor.config import GroundTruth, MonitorConfig
from flywheel_runtime.commands.monitor.version_files import read_json
from flywheel_runtime.contract.step import Step
from flywheel_runtime.monitoring.labels import admission
from flywheel_runtime.monitoring.labels.label_matching import Delay


def label_policy(step: Step, config: MonitorConfig, truth: GroundTruth) -> admission.LabelPolicy:
    """The policy of the monitor."""
    evaluations = ((each.name, read_json(step, each.name, "evaluation.json")) for each in config.versions)
    delay = Delay(truth.min_delay_seconds, truth.max_delay_seconds)
    return admission.label_policy(truth, delay, config.namespace, config.service, evaluations)
