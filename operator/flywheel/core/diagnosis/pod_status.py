"""What a pod's status says: the termination messages of its containers, and who stopped it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flywheel.core.resource.api import Manifest
from flywheel.core.resource.conditions import is_true

MAX_LINE_LENGTH = 300  # characters of a container's output that a message quotes


@dataclass(frozen=True)
class PodTermination:
    """How one pod and its containers ended."""

    name: str
    node: str | None
    phase: str | None
    reason: str | None  # of the pod: Evicted, DeadlineExceeded, …
    disrupted: bool
    deleted: bool
    eviction_message: str  # from the kubelet
    collect: Mapping[str, Any]  # the report that the container wrote as its termination message
    fetch: Mapping[str, Any] | None  # the container's terminated state
    main: Mapping[str, Any] | None
    memory_limit: str | None
    image: str | None
    runs_our_step: bool = False  # main is a command of the runtime or the serving image

    @classmethod
    def from_manifest(cls, pod: Manifest) -> "PodTermination":
        """Returns what the spec and status of a pod say."""
        status, spec = pod.get("status", {}), pod.get("spec", {})
        containers = {each["name"]: each for each in container_statuses(pod)}

        def find_terminated(name: str) -> Mapping[str, Any] | None:
            found = containers.get(name, {})
            state: Mapping[str, Any] | None = found.get("state", {}).get("terminated")
            return state or found.get("lastState", {}).get("terminated")

        specs = {each["name"]: each for each in spec.get("containers", [])}
        # A pod without collect uploads its own results, and main reports them as collect would.
        init_containers = [each["name"] for each in spec.get("initContainers", [])]
        reporter = "main" if init_containers and "collect" not in init_containers else "collect"
        image = str(containers.get("main", {}).get("imageID", "")).removeprefix("docker-pullable://")
        return cls(
            name=pod["metadata"]["name"],
            node=spec.get("nodeName"),
            phase=status.get("phase"),
            reason=status.get("reason"),
            disrupted=is_true(pod, "DisruptionTarget"),
            deleted="deletionTimestamp" in pod["metadata"],
            eviction_message=str(status.get("message") or "") if status.get("reason") == "Evicted" else "",
            collect=parse_json_object((find_terminated(reporter) or {}).get("message")),
            fetch=find_terminated("fetch"),
            main=find_terminated("main"),
            memory_limit=specs.get("main", {}).get("resources", {}).get("limits", {}).get("memory"),
            image=image if "@" in image else None,  # the bare id of an image that came from no registry names nothing
            runs_our_step=runs_our_command(specs.get("main", {})),
        )


def runs_our_command(container: Mapping[str, Any]) -> bool:
    """Returns whether a container runs a module of the runtime or the serving image, rather than a user's command."""
    return any(str(word).startswith("flywheel_") for word in container.get("command") or ())


def container_statuses(pod: Manifest) -> list[Mapping[str, Any]]:
    """Returns the statuses of all containers of a pod, init containers first."""
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def parse_json_object(text: object) -> Mapping[str, Any]:
    """Returns a termination message that is a JSON object, or an empty mapping for any other."""
    try:
        value = json.loads(str(text))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def last_line(terminated: Mapping[str, Any]) -> str:
    """Returns the last line that is not blank of a container's termination message, or an empty text."""
    lines = [line.strip() for line in str(terminated.get("message") or "").splitlines() if line.strip()]
    return lines[-1][:MAX_LINE_LENGTH] if lines else ""


def to_sentence(text: object) -> str:
    """Returns the text with a full stop at its end, so that a sentence may follow."""
    sentence = str(text or "").strip()
    return sentence if sentence.endswith((".", "!", "?")) or not sentence else f"{sentence}."
