"""Which labels count for a monitor, by its configuration."""

from flywheel_runtime.commands.monitor.config import GroundTruth, MonitorConfig
from flywheel_runtime.commands.monitor.version_files import read_json
from flywheel_runtime.contract.step import Step
from flywheel_runtime.monitoring.labels.admission import LabelPolicy, find_range, name_source
from flywheel_runtime.monitoring.labels.label_matching import Delay


def label_policy(step: Step, config: MonitorConfig, truth: GroundTruth) -> LabelPolicy:
    """The policy of the monitor; a Dataset's labels have one source, so that there is no share."""
    trusted = tuple(name_source(each, config.namespace, config.service) for each in truth.trusted_sources)
    ranges: dict[str, tuple[float, float]] = {}
    for version in config.versions if truth.max_deviations is not None else ():
        found = find_range(read_json(step, version.name, "evaluation.json"), truth.max_deviations or 0.0)
        ranges |= {version.name: found} if found is not None else {}
    share = 1.0 if truth.column else truth.max_source_share
    return LabelPolicy(Delay(truth.min_delay_seconds, truth.max_delay_seconds), trusted, share, ranges)
