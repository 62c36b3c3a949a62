"""The messages of a FeatureSet's conditions, and its summary."""

from flywheel.core.diagnosis.internal_error import INTERNAL_ERROR
from flywheel.kinds.featureset.children import REQUEST_ANNOTATION, FeatureSet
from flywheel.kinds.featureset.observe import DatasetState
from flywheel.kinds.featureset.schema.status import FeatureSetStatus


def dataset_not_found(featureset: FeatureSet, name: str) -> str:
    """A Dataset does not exist."""
    return f"Waiting for Dataset '{name}' in namespace '{featureset.namespace}'; create it or correct 'from.dataset'."


def dataset_not_ready(name: str, state: DatasetState) -> str:
    """A Dataset is not Ready."""
    return f"Waiting for Dataset '{name}' to be Ready. {state.message}".rstrip()


def check_runs(featureset: FeatureSet, job: str) -> str:
    """A check runs."""
    listed = ", ".join(f"'{name}'" for name in featureset.spec.datasets)
    against = f"compares the features with the columns of Dataset {listed}" if listed else "compiles the features"
    return f"Job '{job}' {against}."


def check_passed(status: FeatureSetStatus) -> str:
    """The check passed: what there is, and what needs it."""
    by = f" against {', '.join(str(each.version) for each in status.datasets)}" if status.datasets else ""
    needed = ", ".join(f"'{name}'" for name in status.needed_by)
    champions = f" The champion of Model {needed} needs it." if needed else ""
    return f"Definition {status.version} has {_counts(status)} and was checked{by}.{champions}"


def next_step(featureset: FeatureSet, reason: str) -> str:
    """What to do about a check that failed."""
    mended = "With another release of Flywheel," if reason == INTERNAL_ERROR else "Change the spec or the Dataset; or"
    return (
        f"{mended} request another check with "
        f"'kubectl annotate fwfs {featureset.name} -n {featureset.namespace} --overwrite {REQUEST_ANNOTATION}=\"$(date)\"'."
    )


def summary(status: FeatureSetStatus, reason: str) -> str:
    """`3 features that are looked up, 2 by SQL`."""
    return _counts(status) if status.version is not None else f"no definition yet: {reason}"


def _counts(status: FeatureSetStatus) -> str:
    return f"{status.looked_up or 0} features that are looked up, {status.rowwise or 0} by SQL"
