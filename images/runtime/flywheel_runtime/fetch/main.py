"""fetch: the limit and the disk first, then every input, then the parameters, then the word that main may come."""

import errno
import json
import os
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flywheel_runtime import message
from flywheel_runtime.failure import Failure, human_size
from flywheel_runtime.fetch import peers
from flywheel_runtime.fetch.hand_over import let_main_in, write_params
from flywheel_runtime.fetch.item import Item, too_large
from flywheel_runtime.fetch.order import ArtifactSource, HTTPSource, Input, Order, S3Source
from flywheel_runtime.places import Places
from flywheel_runtime.store.retry import Retry

AT_ONCE = 4  # transfers side by side
SPARE = 64 << 20  # bytes of disk that stay free
REPEATED = 3  # exit code: this attempt was done before


def main(env: Mapping[str, str] = os.environ, retry: Retry | None = None) -> int:
    """Bring everything; the exit code of the contract, with the message that explains it written."""
    places = Places.of(env)
    try:
        if places.repeated.exists():
            return _end(places, "Repeated", "this attempt was done before; main does not start", False, REPEATED)
        _store_took_collect(places)
        words = fetch(env, places, retry or Retry())
    except Failure as failure:
        return _end(places, failure.reason, failure.message, failure.retry, 1 if failure.retry else 2)
    except Exception as error:  # noqa: BLE001 the last door: whatever nobody planned for is told, and tried again
        return _end(places, "InternalError", f"fetch failed: {type(error).__name__}: {error}", True, 1)
    return _end(places, "Fetched", words, False, 0)


def fetch(env: Mapping[str, str], places: Places, retry: Retry) -> str:
    """Bring all inputs and the parameters; the sentence about them. Raises Failure."""
    order = Order.parse(env.get("FLYWHEEL_FETCH") or "{}")
    places.inputs.mkdir(parents=True, exist_ok=True)
    items = [item for entry in order.inputs for item in find(entry, order, env, places, retry)]
    check_size(items, order.limit)
    check_disk(items, places.inputs)
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda item: item.bring(), items))
            bring_checkpoint(env, places, retry, pool)
        peers.wait(json.loads(env.get("FLYWHEEL_PEERS") or "[]"))
        write_params(env, places)
        let_main_in(env, places, "fetch")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _disk_full(sum(item.size or 0 for item in items), places.inputs) from error
    size = human_size(sum(item.size or 0 for item in items))
    return f"{_count(len(order.inputs), 'input')}, {_count(len(items), 'file')}, {size}"


def find(entry: Input, order: Order, env: Mapping[str, str], places: Places, retry: Retry) -> list[Item]:
    """The files of one input. Its module is imported only now: a client for object storage takes half a second."""
    folder, source = places.inputs / entry.name, entry.source
    if isinstance(source, HTTPSource):
        from flywheel_runtime.fetch import from_http

        return from_http.items(source, entry.sha256, folder, retry, order.limit)
    if isinstance(source, S3Source):
        from flywheel_runtime.fetch import from_store

        return from_store.object_items(source, entry.sha256, folder, retry, env)
    if isinstance(source, ArtifactSource):
        from flywheel_runtime.fetch import from_store
        from flywheel_runtime.store.own import open_store

        return from_store.artifact_items(entry.name, source.digest, folder, open_store(env, retry), env)
    from flywheel_runtime.fetch import from_volume

    return from_volume.items(entry.name, source, entry.sha256, folder, places.volumes / entry.name)


def bring_checkpoint(env: Mapping[str, str], places: Places, retry: Retry, pool: ThreadPoolExecutor) -> None:
    """What an earlier attempt left, as the input `checkpoint`, if this step keeps checkpoints. One that is lost is no failure: main begins anew."""
    if not env.get("FLYWHEEL_CHECKPOINT"):
        return
    from flywheel_runtime.fetch import from_store

    folder = places.inputs / "checkpoint"
    try:
        items = from_store.checkpoint_items(folder, retry, env)
        check_disk(items, places.inputs)
        list(pool.map(lambda item: item.bring(), items))
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
    need = sum(item.size or 0 for item in items if item.copied)
    if need and need + SPARE > _free(folder):
        raise _disk_full(need, folder)


def _disk_full(need: int, folder: Path) -> Failure:
    words = f"the inputs need {human_size(need)} and the node's disk has {human_size(_free(folder))} free"
    return Failure("DiskFull", f"{words}; free disk on the node or use another node", retry=True)


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _store_took_collect(places: Places) -> None:
    """Failure if collect found that the store cannot take results: then main would work for nothing."""
    if not places.refused.exists():
        return
    body = json.loads(places.refused.read_text(encoding="utf-8"))
    reason = "CredentialsRefused" if body["reason"] == "StoreRefused" else str(body["reason"])
    raise Failure(reason, str(body["message"]), retry=bool(body["retry"]))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _end(places: Places, reason: str, words: str, retry: bool, code: int) -> int:
    text = message.clip(words)
    sys.stderr.write(f"{reason}: {text}\n")
    message.write(places.termination_log, {"v": 1, "reason": reason, "message": text, "retry": retry})
    return code
