"""Manifests: complete lists up to a bound, and a bounded memory for all namespaces together."""

import asyncio
import json

import pytest

from flywheel_reader.errors import TooLarge
from flywheel_reader.fair_slots import FairSlots
from flywheel_reader.store.artifacts import Artifacts
from flywheel_reader.store.bucket import Bucket
from flywheel_reader.store.manifests import MAX_FILES, ManifestCache, parse_manifest
from flywheel_runtime.commands.collect.tracker import MAX_LOGGED_FILES
from tests.reader.seeds import Seeds


class Folder(Bucket):
    """A namespace's objects in memory."""

    def __init__(self) -> None:
        self.namespace = "shop"
        self.objects: dict[str, bytes] = {}
        self.reads = 0

    async def get(self, key: str, limit: int) -> bytes:
        self.reads += 1
        if len(self.objects[key]) > limit:
            raise TooLarge(key)
        return self.objects[key]


def manifest(files: int, name: str = "file") -> bytes:
    lines = [{"path": f"{name}-{number}", "sha256": "a" * 64, "size": 1} for number in range(files)]
    return json.dumps({"files": lines, "v": 1}, separators=(",", ":")).encode()


def test_a_list_is_complete_up_to_the_bound_and_refused_beyond() -> None:
    assert len(parse_manifest(manifest(MAX_FILES), "sha256:0")) == MAX_FILES
    assert MAX_LOGGED_FILES < MAX_FILES  # what collect stores of the files that code logs

    with pytest.raises(TooLarge, match="10,000 files"):
        parse_manifest(manifest(MAX_FILES + 1), "sha256:0")


def test_a_small_list_that_takes_much_memory_is_refused() -> None:
    with pytest.raises(TooLarge, match="values"):
        parse_manifest(b'{"files":[' + b"[]," * 200_000 + b"[]]}", "sha256:0")


def test_a_large_manifest_is_read_in_a_turn_and_then_remembered() -> None:
    async def run() -> None:
        folder, heavy = Folder(), FairSlots(1)
        digest = Seeds(folder.objects.__setitem__).artifact({f"file-{number}": b"" for number in range(1000)})
        artifacts = Artifacts(folder, ManifestCache(), heavy)
        async with heavy.turn("bakery"):
            reading = asyncio.create_task(artifacts.files(digest))
            await asyncio.sleep(0.05)
            assert not reading.done()
        assert len(await reading) == 1000
        reads = folder.reads
        assert len(await artifacts.files(digest)) == 1000
        assert folder.reads == reads

    asyncio.run(asyncio.wait_for(run(), 10))


def test_remembered_manifests_take_bounded_memory_of_all_namespaces_together() -> None:
    cache = ManifestCache(max_bytes=100_000)

    for number in range(50):
        cache.put(f"namespace-{number}", "sha256:0", parse_manifest(manifest(20), "sha256:0"))

    assert cache.bytes <= 100_000
    assert cache.get("namespace-0", "sha256:0") is None
    assert cache.get("namespace-49", "sha256:0") is not None
