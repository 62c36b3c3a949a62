"""A batch outside of Kubernetes: the three steps as their pods run them, against a real store and a real model server."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flywheel_runtime.commands.batch import finish, first_pod, plan, score
from flywheel_runtime.commands.batch.batch_step import run_batch_step
from flywheel_runtime.commands.fetch.main import main as fetch
from flywheel_runtime.store.access import Access
from flywheel_runtime.store.s3 import Bucket
from tests.runtime.pods import IMPATIENT

DIGEST = "sha256:" + "5" * 64
STEPS = {
    "plan": lambda step: plan.plan(step)[1],
    "plan-or-run": first_pod.plan_or_run,
    "score": score.score,
    "finish": finish.finish,
}


@dataclass
class BatchPods:
    """One namespace, `shop`. `params` is what the operator would tell; steps run in folders of their own. `looked_up`: further inputs."""

    folder: Path
    env: dict[str, str]
    model: Path
    server: str
    params: dict[str, Any]
    looked_up: dict[str, Path] = field(default_factory=dict)
    pods: int = 0
    planned: dict[str, Any] = field(default_factory=dict)

    @property
    def bucket(self) -> Bucket:
        return Bucket(Access.from_env(self.env, self.env["FLYWHEEL_BUCKET"]))

    def put(self, key: str, content: bytes | str) -> None:
        self.bucket.put(f"shop/{key}", content.encode() if isinstance(content, str) else content)

    def written(self) -> list[str]:
        """The paths of all files in the output."""
        return sorted(each.key.removeprefix("shop/out/") for each in self.bucket.list("shop/out/"))

    def get(self, key: str) -> bytes:
        return self.bucket.get(f"shop/{key}", limit=1 << 30)

    def document(self) -> dict[str, Any]:
        """The output's manifest."""
        body: dict[str, Any] = json.loads(self.get("out/_manifest.json"))
        return body

    def step(self, name: str, index: int = 0, **changes: Any) -> tuple[int, dict[str, Any]]:
        """One pod: its exit code and its message."""
        self.pods += 1
        root = self.folder / f"pod-{self.pods}"
        (root / "run").mkdir(parents=True)
        (root / "inputs").mkdir()
        for given, folder in {"model": self.model, **self.looked_up}.items():
            (root / "inputs" / given).symlink_to(folder)
        log = root / "log"
        inputs = [{"name": "plan", "artifact": self.planned["facts"]["plan"]}] if not name.startswith("plan") else []
        env = {
            **self.env,
            "FLYWHEEL_ROOT": str(root),
            "FLYWHEEL_TERMINATION_LOG": str(log),
            "FLYWHEEL_NAMESPACE": "shop",
            "FLYWHEEL_SERVER": self.server,
            "JOB_COMPLETION_INDEX": str(index),
            "FLYWHEEL_FETCH": json.dumps({"inputs": inputs}),
            "FLYWHEEL_PARAMS": json.dumps(merged(self.params, changes)),
            "TMPDIR": str(root),
        }
        assert fetch(env, IMPATIENT) == 0, log.read_text()
        code = run_batch_step(STEPS[name], env)
        return code, json.loads(log.read_text())

    def plan(self, **changes: Any) -> dict[str, Any]:
        """The message of a plan that succeeds."""
        code, self.planned = self.step("plan", **changes)
        assert code == 0, self.planned
        return self.planned

    def score_all(self, **changes: Any) -> list[dict[str, Any]]:
        """The messages of all shards, which succeed."""
        told = []
        for index in range(self.planned["facts"]["shards"]):
            code, message = self.step("score", index, **changes)
            assert code == 0, message
            told.append(message)
        return told

    def whole(self, **changes: Any) -> dict[str, Any]:
        """All three steps; the last one's message."""
        self.plan(**changes)
        self.score_all(**changes)
        code, message = self.step("finish", **changes)
        assert code == 0, message
        return message


def merged(params: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`params` with `changes`, one level deep."""
    both = dict(params)
    for key, value in changes.items():
        both[key] = {**both[key], **value} if isinstance(value, dict) and isinstance(both.get(key), dict) else value
    return both
