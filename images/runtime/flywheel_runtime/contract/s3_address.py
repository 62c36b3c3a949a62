"""Bucket and key of an S3 URI."""


class S3Address:
    """Adds `bucket` and `key` to a configuration whose `uri` is `s3://bucket/key`."""

    uri: str

    @property
    def bucket(self) -> str:
        """The first part of the URI."""
        return self.uri.removeprefix("s3://").partition("/")[0]

    @property
    def key(self) -> str:
        """All that follows the bucket; empty for a whole bucket."""
        return self.uri.removeprefix("s3://").partition("/")[2]
