"""Where a bucket is, and the credentials to use."""

from collections.abc import Mapping
from dataclasses import dataclass

from flywheel_runtime.store.aws.endpoint import aws_endpoint


@dataclass(frozen=True)
class Access:
    """Where a bucket is and who asks. Without a key, `anonymous` asks unsigned, else botocore's own chain is used."""

    bucket: str
    endpoint: str | None
    region: str
    key_id: str | None
    secret: str | None
    token: str | None
    anonymous: bool = False

    @classmethod
    def from_env(cls, env: Mapping[str, str], bucket: str, *, foreign: bool = False) -> "Access":
        """From `AWS_*` variables. A `foreign` store without a key is asked anonymously."""

        def value(name: str) -> str | None:
            return env.get(name) or None

        return cls(
            bucket=bucket,
            endpoint=value("AWS_ENDPOINT_URL"),
            region=value("AWS_REGION") or "us-east-1",
            key_id=value("AWS_ACCESS_KEY_ID"),
            secret=value("AWS_SECRET_ACCESS_KEY"),
            token=value("AWS_SESSION_TOKEN"),
            anonymous=foreign and not value("AWS_ACCESS_KEY_ID"),
        )

    @property
    def place(self) -> str:
        """The endpoint: the URL of the store, or of AWS in the region."""
        return self.endpoint or aws_endpoint(self.region)
