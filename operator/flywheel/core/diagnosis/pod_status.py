"""What a pod left behind when it ended: its containers' last words, and who stopped it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flywheel.core.resource.api import Manifest


@dataclass(frozen=True)
class PodTermination:
    """What one pod left behind."""

    name: str
    node: str | None
    phase: str | None
    reason: str | None  # of the pod: Evicted, DeadlineExceeded, …
    disrupted: bool
    evicted_for: str  # the kubelet's words about an eviction
    collect: Mapping[str, Any]
    fetch: Mapping[str, Any] | None  # the container's terminated state
    main: Mapping[str, Any] | None
    memory_limit: str | None
    image: str | None

    @classmethod
    def of(cls, pod: Manifest) -> "PodTermination":
        """Read from its spec and status."""
        status = pod.get("status", {})
        containers = {
            each["name"]: each
            for each in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        }

        def terminated(name: str) -> Mapping[str, Any] | None:
            found = containers.get(name, {})
            state: Mapping[str, Any] | None = found.get("state", {}).get("terminated") or found.get(
                "lastState", {}
            ).get("terminated")
            return state

        specs = {each["name"]: each for each in pod.get("spec", {}).get("containers", [])}
        # A pod without collect keeps its own results, and main reports them as collect would.
        before = [each["name"] for each in pod.get("spec", {}).get("initContainers", [])]
        reporter = "main" if before and "collect" not in before else "collect"
        image = str(containers.get("main", {}).get("imageID", "")).removeprefix("docker-pullable://")
        return cls(
            name=pod["metadata"]["name"],
            node=pod.get("spec", {}).get("nodeName"),
            phase=status.get("phase"),
            reason=status.get("reason"),
            evicted_for=str(status.get("message") or "") if status.get("reason") == "Evicted" else "",
            disrupted=any(
                each["type"] == "DisruptionTarget" and each["status"] == "True"
                for each in status.get("conditions") or []
            ),
            collect=parse_json_object((terminated(reporter) or {}).get("message")),
            fetch=terminated("fetch"),
            main=terminated("main"),
            image=image if "@" in image else None,  # the bare id of an image that came from no registry names nothing
            memory_limit=specs.get("main", {}).get("resources", {}).get("limits", {}).get("memory"),
        )


def parse_json_object(text: object) -> Mapping[str, Any]:
    """A termination message that is a JSON object; whatever else it may be, an empty one."""
    try:
        value = json.loads(str(text))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
