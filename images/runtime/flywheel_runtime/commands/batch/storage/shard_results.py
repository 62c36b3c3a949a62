"""What each shard left: its files in the output, and then its result in the namespace's store, so that nobody scores it again.

The result's key is `results/batch/<the plan's digest>/<index>.json`: the same plan is the same work, whoever asks for it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from flywheel_runtime.commands.batch.scoring_plan import DIGITS, Plan
from flywheel_runtime.commands.batch.storage.locations import Folder
from flywheel_runtime.commands.batch.storage.part_files import SUFFIX
from flywheel_runtime.store import installation
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.retry import Retry
from flywheel_runtime.store.upload import put_file


@dataclass(frozen=True)
class Written:
    """One file of the output: path below it, SHA-256 in hexadecimal, bytes, rows."""

    path: str
    sha256: str
    size: int
    rows: int


@dataclass(frozen=True)
class Result:
    """One shard's: `part` None where no row could be scored, `faults` None where every row could."""

    rows: int
    errors: int
    part: Written | None
    faults: Written | None


@dataclass(frozen=True)
class Results:
    """All shards' of one plan."""

    store: Store
    plan: str
    env: Mapping[str, str]

    @classmethod
    def of_plan(cls, env: Mapping[str, str], plan: str) -> "Results":
        return cls(installation.open_store(env, Retry()), plan, env)

    def read(self, index: int) -> Result | None:
        """What the shard left, or None. Failure where the store does not answer."""
        with installation.translate_errors(self.env, self.store):
            text = self.store.result(self._key(index))
        return TypeAdapter(Result).validate_json(text) if text is not None else None

    def write(self, index: int, result: Result) -> None:
        """Replaces what is there: it speaks of the files that were written last."""
        body = json.dumps({"v": 1, **asdict(result)}, sort_keys=True).encode()
        with installation.translate_errors(self.env, self.store):
            self.store.retry.call(lambda: self.store.bucket.put(self.store.root + self._key(index), body))

    def _key(self, index: int) -> str:
        return f"results/batch/{self.plan}/{index:05}.json"


def upload_shard(
    output: Folder, plan: Plan, index: int, part: Path | None, faults: Path | None, rows: int, errors: int
) -> Result:
    """The shard's files, uploaded."""
    name = f"part-{index:05}-{plan.id[:DIGITS]}"
    suffix = SUFFIX[plan.output_format]  # type: ignore[index]
    return Result(
        rows,
        errors,
        _put(output, f"{name}.{suffix}", part, rows) if part else None,
        _put(output, f"_errors/{name}.jsonl", faults, errors) if faults else None,
    )


def _put(output: Folder, path: str, file: Path, rows: int) -> Written:
    with output.translate_errors():
        line = put_file(output.bucket, output.place.key + path, file, output.retry)
    return Written(path, line.sha256, line.size, rows)


def files_exist(output: Folder, result: Result) -> bool:
    """Whether the files that a result speaks of are still in the output."""
    files = [file for file in (result.part, result.faults) if file is not None]
    with output.translate_errors():
        return all(
            output.retry.call(lambda file=file: output.bucket.exists(output.place.key + file.path, file.size))  # type: ignore[misc]
            for file in files
        )
