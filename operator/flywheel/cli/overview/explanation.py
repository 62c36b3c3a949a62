"""`flywheel explain`: why an object is not ready, followed from what it is made of to the cause, and the next step."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flywheel.cli.connection import Connection, connect
from flywheel.cli.errors import DONE
from flywheel.cli.fields import drop_empty, get_field, list_objects
from flywheel.cli.output import STYLES, add_output_option, add_watch_option, print_document, show
from flywheel.cli.overview.namespace_tree import read_objects
from flywheel.cli.overview.status import COLOURS, SYMBOLS
from flywheel.cli.overview.upstream import Key, Objects, find_makers, find_upstream, has_ended, key_of, state_of
from flywheel.cli.resource_names import find_object
from flywheel.client.controls import escape_controls
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import Manifest

DESCRIPTION = "Explain the state of an object: the chain of causes behind it, and the next step."
EXAMPLES = """\
examples:
  flywheel explain inferenceservice/flight-delay
  flywheel explain flight-delay-3f9a1c2e          where one kind alone has the name
  flywheel explain model/flight-delay -o json
"""
MAX_EVENTS = 3
# What to do about a reason, where its message alone does not give a command.
NEXT_STEPS = {
    "NotSeen": "flywheel doctor -n {namespace}",
    "AwaitingApproval": "flywheel approve {version} -n {namespace} --reason …",
    "RolledBack": "flywheel explain model/{model} -n {namespace}; 'flywheel reject {challenger} --undo' offers it again",
    "BreakerOpen": 'kubectl annotate fwpipe {name} -n {namespace} --overwrite flywheel.ml/resume-triggers="$(date)"',
    "Suspended": "set spec.suspend of {kind} '{name}' to false",
    "RolloutPaused": "set spec.rollout of {kind} '{name}' to go on, or 'flywheel pin' another version",
    "CredentialsRefused": "flywheel doctor -n {namespace}",
    "StoreUnreachable": "flywheel doctor -n {namespace}",
    "ImagePullFailed": "flywheel doctor -n {namespace}",
    "GateFailed": "train a better version, or correct spec.gates; 'flywheel pin {name} VERSION' serves one all the same",
    "NoObjective": "name spec.objective, or 'flywheel pin {name} VERSION'",
    "NotComparable": "add a gate 'champion', which measures both on the same rows, or 'flywheel pin {name} VERSION'",
    "Unschedulable": "lower spec.resources of {kind} '{name}', or add a node",
    "OOMKilled": "raise spec.resources.limits.memory of {kind} '{name}'",
}


@dataclass(frozen=True)
class Finding:
    """One object of the chain, and how deep it is below the object that was asked for."""

    key: Key
    state: str
    reason: str
    message: str
    depth: int
    is_cause: bool  # no object that it is made from is at fault

    def to_json(self) -> dict[str, Any]:
        """Returns the finding as JSON."""
        return drop_empty({**vars(self), "key": None, "kind": self.key.kind, "name": self.key.name})


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel explain`."""
    parser.add_argument("object", metavar="KIND/NAME", help="the object")
    add_output_option(parser, ("table", "json", "yaml"))
    add_watch_option(parser)


def run(arguments: Namespace) -> int:
    """Prints the chain."""
    connection = connect(arguments)
    _api, manifest = find_object(connection, arguments.object)
    start = key_of(manifest)
    if arguments.output != "table":
        objects = read_objects(connection)
        chain = follow_causes(start, objects)
        document = {
            "namespace": connection.namespace,
            "chain": [each.to_json() for each in chain],
            "causes": [each.key.short for each in causes(chain)],
            "nextSteps": [next_step(each, objects, connection.namespace) for each in causes(chain)],
        }
        print_document(document, arguments.output)
        return DONE
    show(lambda: render(connection, start), arguments)
    return DONE


def follow_causes(start: Key, objects: Objects) -> list[Finding]:
    """Returns the object and, of what it is made from, everything that is not ready, each below what waits for it."""
    return list(_follow(start, objects, 0, set()))


def _follow(key: Key, objects: Objects, depth: int, seen: set[Key]) -> Iterator[Finding]:
    seen.add(key)
    manifest, makers = objects.get(key), find_makers(key, objects)
    if manifest is None and not makers:
        yield Finding(key, "missing", "NotFound", f"{key} does not exist.", depth, is_cause=True)
        return
    below = [
        finding
        for each in (makers if manifest is None else find_upstream(manifest, objects))
        if each not in seen and (each not in objects or _is_at_fault(objects[each], depth))
        for finding in _follow(each, objects, depth + 1, seen)
    ]
    not_yet = "waiting", "NotYet", f"{key} is created when {makers[0].short if makers else ''} registers a version."
    state, reason, message = not_yet if manifest is None else state_of(manifest)
    if below and manifest is not None and not has_ended(manifest):
        state = "good" if state == "good" else "waiting"  # for what is below
    yield Finding(key, state, reason, message, depth, is_cause=state != "good" and not below)
    yield from below


def _is_at_fault(manifest: Manifest, depth: int) -> bool:
    """Returns whether an object is not ready; of a version that exists, what made it no longer matters."""
    return state_of(manifest)[0] != "good" and (depth == 0 or manifest["kind"] != "TrainingPipeline")


def causes(chain: list[Finding]) -> list[Finding]:
    """Returns the ends of the chain: what has to change first."""
    return [each for each in chain if each.is_cause]


def next_step(cause: Finding, objects: Objects, namespace: str) -> str:
    """Returns what to do about a cause, as a command or a sentence."""
    manifest = objects.get(cause.key)
    if manifest is None:
        return f"create {cause.key} in namespace '{namespace}', or correct the field that names it"
    template = NEXT_STEPS.get(cause.reason)
    if template is not None:
        return template.format(
            kind=cause.key.kind,
            name=cause.key.name,
            namespace=namespace,
            model=get_field(manifest, "spec", "model"),
            version=_awaiting(manifest),
            challenger=get_field(manifest, "status", "rollout", "challenger"),
        )
    if cause.state == "waiting":
        return f"none: it goes on by itself; 'flywheel explain {cause.key.short} -n {namespace} --watch' follows it"
    return "do what the message says, and apply the manifest again"


def _awaiting(model: Manifest) -> str:
    waiting = (
        each for each in list_objects(model, "status", "candidates") if each.get("verdict") == "AwaitingApproval"
    )
    return str(get_field(next(waiting, None), "version") or model["metadata"]["name"])


def render(connection: Connection, start: Key) -> Any:
    """Returns the chain, the warnings about its causes, and the next steps, as they are now."""
    from rich.console import Group
    from rich.text import Text

    objects = read_objects(connection)
    chain = follow_causes(start, objects)
    lines: list[Any] = [line for finding in chain for line in _finding_lines(finding)]
    for cause in causes(chain):
        lines.append(Text())
        for warning in _warnings(connection, objects.get(cause.key)):
            head = (f"Warning about {escape_controls(cause.key.short)}: ", STYLES["waiting"])
            lines.append(Text.assemble(head, escape_controls(warning)))
        head = (f"Next step for {escape_controls(cause.key.short)}: ", STYLES["header"])
        lines.append(Text.assemble(head, escape_controls(next_step(cause, objects, connection.namespace))))
    if not causes(chain):
        lines.append(Text("Nothing is wrong with it, nor with what it is made from."))
    return Group(*lines)


def _finding_lines(finding: Finding) -> Iterator[Any]:
    """Yields the object and, indented as far, its message."""
    from rich.padding import Padding
    from rich.text import Text

    indent = "   " * (finding.depth - 1) + "└─ " if finding.depth else ""
    colour = COLOURS[finding.state]
    yield Text.assemble(
        (indent, STYLES["faint"]),
        (f"{SYMBOLS[finding.state]} ", colour),
        (escape_controls(f"{finding.key.kind} {finding.key.name}"), STYLES["header"]),
        (f"  {escape_controls(finding.reason)}", colour),
    )
    if finding.message:
        yield Padding(Text(escape_controls(finding.message)), (0, 0, 0, len(indent) + 2), expand=False)


def _warnings(connection: Connection, manifest: Manifest | None) -> list[str]:
    """Returns the last warnings about an object; none where the user may not read events."""
    if manifest is None:
        return []
    try:
        events = connection.client.list_events(connection.namespace, str(manifest["metadata"]["uid"]))
    except ApiError:
        return []
    known = state_of(manifest)[2]
    lines = [f"{each.get('reason')}: {each.get('message')}" for each in events if each.get("type") == "Warning"]
    return [line for line in dict.fromkeys(lines) if known[:80] not in line][-MAX_EVENTS:]
