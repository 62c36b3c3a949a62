"""The parts of a container image's name, and its package URL."""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class Image:
    """`registry.example/team/train:1.2@sha256:…`; `tag` and `digest` (with its `sha256:`) may be absent."""

    name: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> "Image":
        """Parses an image of a pod or of a container's status."""
        rest, _, digest = text.removeprefix("docker-pullable://").partition("@")
        head, colon, tail = rest.rpartition(":")
        # A colon before a slash is that of a registry's port.
        tagged = bool(colon) and "/" not in tail
        valid_digest = digest if digest.startswith("sha256:") and len(digest) == 71 else None
        return cls(head if tagged else rest, tail if tagged else None, valid_digest)

    @property
    def purl(self) -> str | None:
        """The package URL of type `oci` (https://github.com/package-url/purl-spec); None without a digest."""
        if self.digest is None:
            return None
        tag = f"&tag={quote(self.tag, safe='')}" if self.tag else ""
        last = self.name.rpartition("/")[2].lower()
        return f"pkg:oci/{quote(last)}@{quote(self.digest, safe='')}?repository_url={quote(self.name, safe='')}{tag}"
