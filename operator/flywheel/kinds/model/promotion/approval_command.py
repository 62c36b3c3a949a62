"""The command by which a user approves a version. Only a user with the verb `approve` may run it (the chart's ValidatingAdmissionPolicy)."""

import json

from flywheel.kinds.model.observe import Version
from flywheel.kinds.model.schema.status import MAX_MESSAGE_CHARACTERS


def approval_command(version: Version, numbers: str) -> str:
    """The message with the command; it says so where there is an approval that is void, since it is of another artifact."""
    who = "$(kubectl auth whoami -o jsonpath={.status.userInfo.username})"
    approval = {"by": who, "digest": version.digest, "reason": "REASON"}
    # In double quotes, so that a shell puts the user's own name in.
    patch = json.dumps({"spec": {"approval": approval}}, separators=(",", ":")).replace('"', '\\"')
    void = (
        f"its approval is void, since it is of {version.void[:15]} and the artifact is another; "
        if version.void
        else ""
    )
    command = f'kubectl patch fwver {version.name} -n {version.namespace} --type merge -p "{patch}"'
    # A command that was cut would be worse than numbers that are.
    room = MAX_MESSAGE_CHARACTERS - len(f"{void}it waits for approval (): {command}")
    shown = f" ({numbers[:room]})" if numbers and room > 0 else ""
    return f"{void}it waits for approval{shown}: {command}"
