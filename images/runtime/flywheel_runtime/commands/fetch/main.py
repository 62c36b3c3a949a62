"""The command `fetch`: it checks sizes and disk, downloads every input, writes the parameters, and lets main start."""

import errno
import json
import os
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from flywheel_runtime.commands.fetch import peers
from flywheel_runtime.commands.fetch.item import Item, too_large
from flywheel_runtime.contract import termination_message
from flywheel_runtime.contract.config.fetch import FetchConfig, Input
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.paths import Paths
from flywheel_runtime.contract.start_signal import signal_main, write_params
from flywheel_runtime.contract.termination_message import format_bytes
from flywheel_runtime.store.retry import Retry

MAX_PARALLEL_TRANSFERS = 4  # transfers side by side
SPARE_DISK_BYTES = 64 << 20  # bytes of disk that stay free
REPEATED_EXIT_CODE = 3  # exit code: this attempt was done before


def main(env: Mapping[str, str] = os.environ, retry: Retry | None = None) -> int:
    """Bring everything; the exit code of the contract, with the message that explains it written."""
    paths = Paths.from_env(env)
    os.umask(
        0o002
    )  # the containers after this one have another user of our group; those before main may change the inputs
    try:
        if paths.repeated.exists():
            return _end(
                paths, "Repeated", "this attempt was done before; main does not start", False, REPEATED_EXIT_CODE
            )
        _store_took_collect(paths)
        words = fetch(env, paths, retry or Retry())
    except Failure as failure:
        code = _end(paths, failure.reason, failure.message, failure.retry, 1 if failure.retry else 2)
        if not failure.retry:
            with suppress(OSError):  # a full disk; the message is out
                paths.fetch_failure.write_bytes(paths.termination_log.read_bytes())
        return code
    except Exception as error:  # noqa: BLE001 the last resort: an unforeseen error is reported, and may be retried
        return _end(paths, "InternalError", f"fetch failed: {type(error).__name__}: {error}", True, 1)
    return _end(paths, "Fetched", words, False, 0)


def fetch(env: Mapping[str, str], paths: Paths, retry: Retry) -> str:
    """Bring all inputs and the parameters; the sentence about them. Raises Failure."""
    config = FetchConfig.parse(env.get("FLYWHEEL_FETCH") or "{}")
    paths.inputs.mkdir(parents=True, exist_ok=True)
    items = [item for entry in config.inputs for item in find(entry, config, env, paths, retry)]
    check_size(items, config.limit_bytes)
    check_disk(items, paths.inputs)
    try:
        with ThreadPoolExecutor(MAX_PARALLEL_TRANSFERS) as pool:
            for later in (False, True):
                list(pool.map(lambda item: item.download(), [item for item in items if item.reads_inputs is later]))
            fetch_checkpoint(env, paths, retry, pool)
        peers.wait_for_peers(json.loads(env.get("FLYWHEEL_PEERS") or "[]"))
        write_params(env, paths)
        signal_main(paths)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _disk_full(sum(item.size or 0 for item in items), paths.inputs) from error
    size = format_bytes(sum(item.size or 0 for item in items))
    return f"{_count(len(config.inputs), 'input')}, {_count(len(items), 'file')}, {size}"


def find(entry: Input, config: FetchConfig, env: Mapping[str, str], paths: Paths, retry: Retry) -> list[Item]:
    """The files of one input. Its module is imported only now, since a client for object storage takes 0.1 s."""
    folder = paths.inputs / entry.name
    if entry.http is not None:
        from flywheel_runtime.commands.fetch import from_http

        return from_http.items(entry.http, folder, retry, config.limit_bytes)
    if entry.sql is not None:
        from flywheel_runtime.commands.fetch import from_sql

        return from_sql.items(entry.sql, folder, env, config.limit_bytes, lambda size: check_room(size, paths.inputs))
    if entry.s3 is not None:
        from flywheel_runtime.commands.fetch import from_store

        try:
            return from_store.object_items(entry.s3, entry.sha256, folder, retry, env)
        except Failure as failure:
            return _without_optional(entry, failure, ("SourceMissing", "EmptySource"))
    if entry.artifact is not None:
        from flywheel_runtime.commands.fetch import from_store
        from flywheel_runtime.store.installation import open_store

        store = open_store(env, retry)
        try:
            found = from_store.artifact_items(entry.name, entry.artifact, folder, store, env, entry.files)
            return [_optional_item(entry, each) for each in found] if entry.optional else found
        except Failure as failure:
            return _without_optional(entry, failure, ("ArtifactMissing",))
    if entry.folder is not None:
        from flywheel_runtime.commands.fetch import from_store

        return from_store.folder_items(entry.folder, folder, retry, env)
    from flywheel_runtime.commands.fetch import from_volume

    assert entry.volume is not None, "one of six"
    return from_volume.items(entry.name, entry.volume, entry.sha256, folder, paths.volumes / entry.name)


def _without_optional(entry: Input, failure: Failure, reasons: tuple[str, ...]) -> list[Item]:
    """No files of an optional input that is not there. Raises the failure of every other."""
    if not entry.optional or failure.reason not in reasons:
        raise failure
    sys.stderr.write(f"{failure.message}; main goes on without it\n")
    return []


def _optional_item(entry: Input, item: Item) -> Item:
    """The same file; where the store has lost it alone, main goes on without it."""

    def download() -> None:
        try:
            item.download()
        except Failure as failure:
            _without_optional(entry, failure, ("ArtifactMissing",))

    return replace(item, download=download)


def fetch_checkpoint(env: Mapping[str, str], paths: Paths, retry: Retry, pool: ThreadPoolExecutor) -> None:
    """What an earlier attempt left, as the input `checkpoint`, if this step keeps checkpoints. One that is lost is no failure: main begins anew."""
    if not env.get("FLYWHEEL_CHECKPOINT"):
        return
    from flywheel_runtime.commands.fetch import from_store

    folder = paths.inputs / "checkpoint"
    try:
        items = from_store.checkpoint_items(folder, retry, env)
        check_disk(items, paths.inputs)
        list(pool.map(lambda item: item.download(), items))
    except Failure as failure:
        if failure.reason not in ("ArtifactMissing", "DigestMismatch"):
            raise
        sys.stderr.write(f"the last checkpoint cannot be used, so the work begins anew: {failure.message}\n")
        shutil.rmtree(folder, ignore_errors=True)


def check_size(items: list[Item], limit: int | None) -> None:
    """Failure TooLarge before the first byte, where sizes are known."""
    size = sum(item.size or 0 for item in items)
    if limit is not None and size > limit:
        raise too_large(size, limit)


def check_disk(items: list[Item], folder: Path) -> None:
    """Failure DiskFull if what is copied would not leave the node some spare disk."""
    check_room(sum(item.size or 0 for item in items if item.copied), folder)


def check_room(need: int, folder: Path) -> None:
    """Failure DiskFull if so many bytes more would not leave the node some spare disk."""
    if need and need + SPARE_DISK_BYTES > _free(folder):
        raise _disk_full(need, folder)


def _disk_full(need: int, folder: Path) -> Failure:
    words = f"the inputs need {format_bytes(need)} and the node's disk has {format_bytes(_free(folder))} free"
    return Failure("DiskFull", f"{words}; free disk on the node or use another node", retry=True)


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _store_took_collect(paths: Paths) -> None:
    """Failure if collect found that the store cannot take results: then main would work for nothing."""
    if not paths.refused.exists():
        return
    body = json.loads(paths.refused.read_text(encoding="utf-8"))
    reason = "CredentialsRefused" if body["reason"] == "StoreRefused" else str(body["reason"])
    raise Failure(reason, str(body["message"]), retry=bool(body["retry"]))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _end(paths: Paths, reason: str, text: str, retry: bool, code: int) -> int:
    termination_message.report_end(paths.termination_log, reason, text, retry=retry)
    return code
