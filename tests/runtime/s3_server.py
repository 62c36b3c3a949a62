"""versitygw, a real S3 server, on loopback."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import golang
from e2e.waiting import wait_until
from flywheel_runtime.store.access import Access
from flywheel_runtime.store.s3 import Bucket

KEY, SECRET = "tester", "secret-of-tester"


@dataclass(frozen=True)
class Server:
    """versitygw with its folder of buckets."""

    port: int
    folder: Path

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def env(self, bucket: str) -> dict[str, str]:
        """The store's Secret."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "FLYWHEEL_BUCKET": bucket,
        }

    def make_bucket(self, name: str) -> None:
        Bucket(Access.from_env(self.env(name), name))._send("PUT", "")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(folder: Path, accounts: Path | None = None) -> Iterator[Server]:
    """versitygw on a free port of loopback, with its buckets below `folder`; `accounts` is a folder with its users.json."""
    port = free_port()
    buckets, log = folder / "buckets", folder / "log"
    buckets.mkdir(exist_ok=True)
    iam = ["--iam-dir", str(accounts), "--iam-cache-ttl", "1"] if accounts else []
    sidecar = ["--sidecar", str(folder / "metadata")] if accounts else []
    command = [
        str(golang.build(golang.VERSITYGW)),
        "--access",
        KEY,
        "--secret",
        SECRET,
        "--port",
        f"127.0.0.1:{port}",
        *iam,
        "posix",
        *sidecar,
        str(buckets),
    ]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            wait_until(lambda: is_listening(port) or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield Server(port, buckets)
        finally:
            process.terminate()
