"""Approval by a person: a field of the version that only who has the verb `approve` may write (the chart's ValidatingAdmissionPolicy)."""

import json

from flywheel.kinds.model.observe import Version

MAX_MESSAGE_CHARACTERS = 512  # of a verdict's message


def approval_command(version: Version, numbers: str) -> str:
    """The sentence with the command. An approval of other bytes is void, and is said to be."""
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
    told = f" ({numbers[:room]})" if numbers and room > 0 else ""
    return f"{void}it waits for approval{told}: {command}"
