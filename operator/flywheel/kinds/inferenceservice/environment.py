"""Which variables of `spec.env` reach the server's container.

A variable can make our own server run other code: the loader reads LD_PRELOAD, Python PYTHONPATH, onnxruntime ORT_* names. So it gets only
those of an allow-list. Other runtimes are the user's own code and get all of them.
"""

from flywheel.core.resource.schema import Variable
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice.runtimes import container
from flywheel.kinds.inferenceservice.schema import InferenceService

# The chart's policy flywheel-serving-env has the same names; value serving.allowedEnv adds others to both.
ALWAYS_ALLOWED = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")


def allowed_names(settings: Settings) -> tuple[str, ...]:
    """The names that our own server may get, sorted."""
    return tuple(sorted({*ALWAYS_ALLOWED, *settings.allowed_serving_env}))


def allowed_variables(service: InferenceService, settings: Settings) -> tuple[Variable, ...]:
    """The variables that the server gets."""
    refused = refused_names(service, settings)
    return tuple(each for each in service.spec.env if each.name not in refused)


def refused_names(service: InferenceService, settings: Settings) -> tuple[str, ...]:
    """The names in spec.env that the server does not get, sorted."""
    if not container.is_ours(service.spec.runtime):
        return ()
    return tuple(sorted({each.name for each in service.spec.env} - set(allowed_names(settings))))
