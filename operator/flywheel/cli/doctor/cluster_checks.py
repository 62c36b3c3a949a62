"""Checks of what all namespaces share: the clock, the CRDs and the admission policies."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from flywheel.cli.doctor.inspection import Finding, Installation
from flywheel.cli.fields import get_field
from flywheel.core.policies import POLICY_GUARANTEES
from flywheel.core.resource.api import GROUP, VERSION, Api, Reference

MAX_SKEW_SECONDS = 60.0  # signatures of requests to a store are refused from 5 to 15 minutes on
ADMISSION = "admissionregistration.k8s.io"
POLICY = Api(ADMISSION, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies")
BINDING = Api(ADMISSION, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings")
UPGRADE = "install this release's with 'kubectl apply --server-side -f crds/', or upgrade the chart"


def check_clock(installation: Installation) -> Iterator[Finding]:
    """Compares this machine's clock with the API server's."""
    _version, date = installation.read_json("/version")
    skew = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
    if abs(skew) > MAX_SKEW_SECONDS:
        yield Finding(
            "bad",
            f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the API server's: tokens and signatures "
            "are refused then; set both clocks by NTP",
        )
    else:
        yield Finding("good", "this machine and the API server have the same time")


def check_crds(installation: Installation) -> Iterator[Finding]:
    """Looks for every kind, and for each field that this release of the command knows."""
    # Imported here, since the schemas of all kinds take 0.2 s.
    from flywheel.engine import discover

    if not installation.client.serves(GROUP):
        yield Finding("bad", f"the CRDs of {GROUP} are not installed; {UPGRADE}")
        return
    schemas, _date = installation.read_json(f"/openapi/v3/apis/{GROUP}/{VERSION}")
    old = False
    for kind in discover.kinds():
        found = get_field(schemas, "components", "schemas", f"ml.flywheel.{VERSION}.{kind.api.kind}")
        if found is None:
            yield Finding("bad", f"CRD '{kind.api}' is not installed; {UPGRADE}")
            old = True
            continue
        missing = sorted(_fields(kind.spec) - set(get_field(found, "properties", "spec", "properties") or ()))
        if missing:
            fields = ", ".join(f"spec.{name}" for name in missing)
            yield Finding("bad", f"CRD '{kind.api}' is of an older release: it lacks {fields}; {UPGRADE}")
            old = True
    if not old:
        yield Finding("good", f"all {len(discover.kinds())} CRDs are installed and have every field of this release")


def _fields(schema: Any) -> set[str]:
    return {field.serialization_alias or field.alias or name for name, field in schema.model_fields.items()}


def check_policies(installation: Installation) -> Iterator[Finding]:
    """Looks for each admission policy of the chart, and whether its binding denies."""
    missing = [name for name in POLICY_GUARANTEES if not _is_in_force(installation, name)]
    for name in missing:
        yield Finding(
            "bad",
            f"ValidatingAdmissionPolicy '{name}' is not in force, so nothing ensures that {POLICY_GUARANTEES[name]}; "
            "set the chart's value policies.enabled=true and upgrade",
        )
    if not missing:
        yield Finding("good", f"all {len(POLICY_GUARANTEES)} admission policies are in force")


def _is_in_force(installation: Installation, name: str) -> bool:
    policy = installation.client.get(Reference(POLICY, "", name))
    binding = installation.client.get(Reference(BINDING, "", name))
    return policy is not None and "Deny" in (get_field(binding, "spec", "validationActions") or ())
