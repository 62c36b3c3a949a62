"""An input from a URL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flywheel_runtime.commands.fetch.item import Item, too_large
from flywheel_runtime.contract.config.fetch import HTTPSource
from flywheel_runtime.contract.errors import DigestMismatch, Failure, HostUnknown, HostUnreachable
from flywheel_runtime.store.download import download
from flywheel_runtime.store.retry import Retry
from flywheel_runtime.transport.http import Download


def items(source: HTTPSource, folder: Path, retry: Retry, limit: int | None) -> list[Item]:
    """The one file, under the last part of the URL's path. Its size is asked for at once, so that limits come first."""
    get = Download(source.url, source.allowed_hosts)
    target = folder / get.name

    def stream(start: int) -> Iterator[bytes]:
        came = start
        for chunk in get.stream(start):
            came += len(chunk)
            if limit is not None and came > limit:
                raise too_large(came, limit, "at least ")
            yield chunk

    def download_checked() -> None:
        with translate_errors(source.url):
            try:
                download(target, stream, retry, sha256=source.sha256, size=get.size)
            except DigestMismatch as error:
                cure = "the file has changed, or the sha256 of the source is wrong"
                words = f"{source.url} has sha256 {error.found} and should have {error.expected}; {cure}"
                raise Failure("DigestMismatch", words) from error
        if target.stat().st_size == 0:
            raise Failure("EmptySource", f"{source.url} has no bytes; correct the source")

    with translate_errors(source.url):
        retry.call(get.measure)
    return [Item(get.size, download_checked)]


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Turns a host's silence into the sentence about it."""
    try:
        yield
    except (HostUnreachable, HostUnknown) as error:
        cure = "see that the host runs and can be reached from the cluster"
        raise Failure("SourceUnreachable", f"{url} did not answer ({error}); {cure}", retry=True) from error
