"""Which guarantees are not enforced, since a ValidatingAdmissionPolicy of the chart is missing."""

import logging

from flywheel.cluster.client import Client
from flywheel.cluster.errors import ApiError
from flywheel.core.policies import POLICY_GUARANTEES
from flywheel.core.resource.api import Api, Reference
from flywheel.engine import metrics

logger = logging.getLogger(__name__)

_GROUP = "admissionregistration.k8s.io"
_POLICY = Api(_GROUP, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies")
_BINDING = Api(_GROUP, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings")


def report_policies(client: Client) -> None:
    """Logs a warning for each policy that is not in force, and sets its metric. Where they may not be read, it says that once."""
    for name, guarantee in POLICY_GUARANTEES.items():
        try:
            in_force = _is_in_force(client, name)
        except ApiError as error:
            logger.warning(
                "whether the chart's policies are in force is unknown (%s); without them nobody keeps that %s",
                error,
                ", that ".join(POLICY_GUARANTEES.values()),
            )
            return
        metrics.policy_in_force.labels(policy=name).set(in_force)
        if not in_force:
            logger.warning("ValidatingAdmissionPolicy '%s' is not in force, so nobody keeps that %s", name, guarantee)


def _is_in_force(client: Client, name: str) -> bool:
    binding = client.get(Reference(_BINDING, "", name)) or {}
    return client.get(Reference(_POLICY, "", name)) is not None and "Deny" in binding.get("spec", {}).get(
        "validationActions", ()
    )
