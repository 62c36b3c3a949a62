"""Manifests: one form, safe paths."""

import pytest

from flywheel_runtime.contract.errors import ManifestInvalid
from flywheel_runtime.store.manifest import File, Manifest

SHA = "ab" * 32


def test_the_form_is_the_contracts() -> None:
    manifest = Manifest.of_files([File("b/ü.txt", SHA, 2), File("a.parquet", SHA, 1)])

    assert manifest.encode().decode() == (
        f'{{"files":[{{"path":"a.parquet","sha256":"{SHA}","size":1}},{{"path":"b/ü.txt","sha256":"{SHA}","size":2}}],"v":1}}'
    )
    assert Manifest.parse(manifest.encode()) == manifest


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        ".",
        "a\\b",
        "a\0b",
        "caf\udce9",
        "x" * 256,
        "x/" * 600 + "x",
    ],
)
def test_unsafe_paths_are_refused(path: str) -> None:
    with pytest.raises(ManifestInvalid):
        Manifest.of_files([File(path, SHA, 1)])


@pytest.mark.parametrize("paths", [("a", "a"), ("a", "a/b"), ("a/b", "a/b/c/d")])
def test_paths_that_cannot_be_together_are_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(ManifestInvalid):
        Manifest.of_files([File(path, SHA, 1) for path in paths])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"files": [], "v": 1}',
        b'{"files":[],"v":2}',
        b'{"extra":1,"files":[],"v":1}',
        b'{"files":[{"path":"a","sha256":"AB","size":1}],"v":1}',
        b'{"files":[{"path":"a","sha256":"%s","size":-1}],"v":1}' % SHA.encode(),
        b'{"files":[{"path":"b","sha256":"%s","size":1},{"path":"a","sha256":"%s","size":1}],"v":1}'
        % ((SHA.encode(),) * 2),
    ],
)
def test_only_the_canonical_form_is_read(text: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        Manifest.parse(text)
