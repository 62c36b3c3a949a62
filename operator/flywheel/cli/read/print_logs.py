"""`flywheel logs`: of a pod that runs by the Kubernetes API, of what has ended by the reader."""

import codecs
import json
import re
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flywheel.cli.connection import add_reader_options, open_workspace
from flywheel.cli.errors import DONE, WRONG_USAGE, CommandError
from flywheel.cli.resource_names import parse_kind
from flywheel.client.controls import escape_lines
from flywheel.client.transport.pod_logs import open_pod_log, read_chunks
from flywheel.client.trial_list import SHORT_REFERENCE, STEP_REFERENCE, Trial, find_trial, list_trials
from flywheel.client.workspace import Workspace
from flywheel.cluster.errors import ApiError
from flywheel.core.resource import names
from flywheel.core.resource.api import INFERENCE_SERVICE, POD, TRAINING_PIPELINE, Api, Manifest

DESCRIPTION = "Print the log of a trial or a step: live while its pod exists, else what was recorded of it."
EXAMPLES = """\
examples:
  flywheel logs flight-delay/7                          trial 7 of an Experiment
  flywheel logs flight-delay/7 -f                       goes on until it ends
  flywheel logs flight-delay-monthly-x7k2p/window       a step of a TrainingRun; or run/NAME --step STEP
  flywheel logs dataset/flights                         its check, while the pod exists
  flywheel logs 0c7a5f0e-6f6d-4c8f-9d8e-3a1b5c7d9e0f.trial-3

A live log needs the right to get pods/log; a recorded one the right to get the Experiment or the TrainingRun.
"""
WITHOUT_STEPS = (TRAINING_PIPELINE, INFERENCE_SERVICE)
RECORDED = ("Experiment", "TrainingRun")
POLL_SECONDS = 1.0
MAX_STEPS = 200  # records among which a step is looked for


@dataclass(frozen=True)
class Target:
    """What has a log: the pods with these labels, and the record of that trial or step. `reference` is of a trial."""

    labels: Mapping[str, str]
    title: str
    step: str | None = None
    reference: str | None = None
    kind: str = "Experiment"
    name: str = ""

    def has_step(self, step: str) -> bool:
        """Returns whether a step is this one, or a repeat of this trial."""
        return self.step is None or re.fullmatch(rf"{re.escape(self.step)}(-r\d+)?", step) is not None


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel logs`."""
    parser.add_argument("target", metavar="TARGET", help="EXPERIMENT/NUMBER, RUN/STEP, KIND/NAME, or the id of a trial")
    parser.add_argument("--step", help="the step, for a TrainingRun")
    parser.add_argument("-f", "--follow", action="store_true", help="print what is added, until the container ends")
    parser.add_argument("--tail", type=int, metavar="N", help="the last N lines alone")
    add_reader_options(parser)


def run(arguments: Namespace) -> int:
    """Prints the log."""
    if arguments.tail is not None and arguments.tail < 0:
        raise CommandError("--tail takes a number of lines from 0 on", WRONG_USAGE)
    target = parse_target(arguments.target, arguments.step)
    workspace = open_workspace(arguments)
    pod = find_pod(workspace, target)
    live = pod and open_live_log(workspace, pod, follow=arguments.follow, tail=arguments.tail)
    if live:
        print_chunks(live)
        return DONE
    lines = find_record(workspace, target).log().splitlines(keepends=True)
    print_chunks(
        [line.encode() for line in (lines if arguments.tail is None else lines[max(0, len(lines) - arguments.tail) :])]
    )
    return DONE


def parse_target(text: str, step: str | None) -> Target:
    """Returns what a target means.

    Raises:
        CommandError: it has none of the forms, or `step` belongs to none of its kind.
    """
    if parts := SHORT_REFERENCE.fullmatch(text):
        if step is not None:
            raise CommandError("--step is for a TrainingRun, as in run/NAME; a trial has one step", WRONG_USAGE)
        own_step = f"trial-{parts[2]}" + (f"-r{parts[3]}" if parts[3] else "")
        return Target(_labels("Experiment", parts[1]), f"trial {text}", own_step, text, name=parts[1])
    kind, slash, name = text.partition("/")
    if slash and name and (found := _kind_with_steps(kind)) is not None:
        return Target(_labels(found.kind, name), f"{found.kind} '{name}'", step, kind=found.kind, name=name)
    if parts := STEP_REFERENCE.fullmatch(text):
        run, own_step = parts.groups()
        if step is not None:
            raise CommandError(f"'{text}' names the step '{own_step}'; leave --step out", WRONG_USAGE)
        title = f"step '{own_step}' of TrainingRun '{run}'"
        return Target(_labels("TrainingRun", run), title, own_step, text, "TrainingRun", run)
    uid, dot, own_step = text.partition(".")
    if dot and not slash and step is None:
        return Target({names.UID_LABEL: uid}, f"trial {text}", own_step, text)
    raise CommandError(
        f"'{text}' must be EXPERIMENT/NUMBER, RUN/STEP, KIND/NAME such as run/monthly-x7k2p, or the id of a trial",
        WRONG_USAGE,
    )


def _kind_with_steps(word: str) -> Api | None:
    """Returns the kind that a word means, or None where it is the name of a TrainingRun.

    Raises:
        CommandError: objects of that kind have no steps.
    """
    try:
        found = parse_kind(word)
    except CommandError:
        return None
    if found in WITHOUT_STEPS:
        instead = (
            "name one of its runs, as in run/NAME"
            if found is TRAINING_PIPELINE
            else "'kubectl logs' prints the logs of its pods"
        )
        raise CommandError(f"a {found.kind} has no steps; {instead}", WRONG_USAGE)
    return found


def find_pod(workspace: Workspace, target: Target) -> Manifest | None:
    """Returns the newest pod of a target, or None where there is none or the user may not list pods.

    Raises:
        CommandError: several steps have pods, and none is chosen.
    """
    selector = ",".join(f"{name}={value}" for name, value in target.labels.items())
    try:
        pods = workspace.session.cluster.list_objects(POD, workspace.namespace, selector)
    except ApiError as error:
        if not error.forbidden and error.status != HTTPStatus.BAD_REQUEST:
            raise
        return None
    steps = {str(pod["metadata"]["labels"].get(names.STEP_LABEL, "")): pod for pod in sorted(pods, key=_created)}
    found = {step: pod for step, pod in steps.items() if target.has_step(step)}
    running = {
        step: pod for step, pod in found.items() if (pod.get("status") or {}).get("phase") in ("Pending", "Running")
    }
    candidates = running or found
    if target.step is None and len(candidates) > 1:
        raise CommandError(_choose_step(target, sorted(candidates)), WRONG_USAGE)
    return max(candidates.values(), key=_created, default=None)


def open_live_log(workspace: Workspace, pod: Manifest, *, follow: bool, tail: int | None) -> Iterator[bytes] | None:
    """Returns the chunks of a pod's log; None where the user may not read it or the pod has just gone.

    Raises:
        CommandError: its container has not started, and `follow` is not set.
    """
    name = str(pod["metadata"]["name"])
    while True:
        response = open_pod_log(workspace.session.cluster, workspace.namespace, name, follow=follow, tail=tail)
        if response.status == HTTPStatus.OK:
            return _stream(response)
        with closing(response):
            message = _message(response.read(65536))
        if response.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            return None
        if response.status != HTTPStatus.BAD_REQUEST:
            raise ApiError(response.status, "Refused", message)
        if not follow:
            raise CommandError(f"pod '{name}' has no log yet: {message}; -f waits for it")
        time.sleep(POLL_SECONDS)


def find_record(workspace: Workspace, target: Target) -> Trial:
    """Returns the record whose log it is.

    Raises:
        CommandError: there is none, or several steps are recorded and none is chosen.
    """
    reader = workspace.session.reader
    if target.reference is not None:
        return find_trial(reader, workspace.namespace, target.reference)
    if target.kind not in RECORDED:
        raise CommandError(
            f"{target.title} has no pod, and logs are recorded of Experiments and TrainingRuns alone; 'flywheel explain' says how it ended"
        )
    match = [f"attributes.kind = '{target.kind}'", f"attributes.name = '{target.name}'"]
    if target.step:
        match.append(f"attributes.step = '{target.step}'")
    found = list(
        list_trials(
            reader,
            workspace.namespace,
            filter=" and ".join(match),
            order_by="attributes.start_time DESC",
            limit=MAX_STEPS,
        )
    )
    steps = sorted({str(each.get("step")) for each in found})
    if not found:
        raise CommandError(f"{target.title} has no pod and no recorded log; 'flywheel trials' lists what is recorded")
    if len(steps) > 1:
        raise CommandError(_choose_step(target, steps), WRONG_USAGE)
    return Trial(found[0], reader, workspace.namespace)


def print_chunks(chunks: Iterator[bytes] | Sequence[bytes]) -> None:
    """Prints a log as it arrives: as it is into a pipe or a file, and with control characters escaped on a terminal."""
    if not sys.stdout.isatty():
        sys.stdout.flush()
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        return
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for chunk in chunks:
        print(escape_lines(decoder.decode(chunk).replace("\r\n", "\n")), end="", flush=True)


def _stream(response: Any) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError

    with closing(response):
        try:
            yield from read_chunks(response)
        except HTTPError as error:
            raise CommandError(
                f"the connection to the API server ended within the log: {error}; run the command again"
            ) from None


def _labels(kind: str, name: str) -> dict[str, str]:
    return {names.KIND_LABEL: kind, names.NAME_LABEL: names.truncate(name, names.MAX_NAME_LENGTH)}


def _choose_step(target: Target, steps: Sequence[str]) -> str:
    shown = ", ".join(steps[:20])
    if target.kind == "Experiment":
        return f"{target.title} has several trials: {shown}; name one, such as {target.name}/{steps[0].removeprefix('trial-')}"
    return f"{target.title} has several steps: {shown}; name one with --step"


def _created(pod: Manifest) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))


def _message(raw: bytes) -> str:
    try:
        return str(json.loads(raw)["message"])
    except (ValueError, KeyError, TypeError):
        return raw[:300].decode(errors="replace")
