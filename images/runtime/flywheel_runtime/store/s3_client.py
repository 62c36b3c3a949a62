"""S3 clients of botocore, one for each access: what every step pod starts twice, and so the cheapest way to one.

botocore is what boto3 stands on. It reads its description of S3 from store/s3_model, which has what a bucket's operations
need (generate_s3_model.py); the whole one costs 55 ms and 14 MiB more (measured).
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import botocore
import botocore.loaders
import botocore.session
from botocore.config import Config

from flywheel_runtime.store.access import Access

MAX_CONNECTIONS = 8
MODEL = Path(__file__).parent / "s3_model"
# The pruned rules have no endpoints for these, which only the environment of a pod can ask for.
SPECIAL_ENDPOINTS = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")


class _Loader(botocore.loaders.Loader):  # type: ignore[misc]  # botocore has no types
    """The data of botocore, of which S3's comes from store/s3_model. Other services are read when credentials need them (STS)."""

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        special = any(os.environ.get(name) for name in SPECIAL_ENDPOINTS)
        if service_name == "s3" and not special and (MODEL / f"{type_name}.json").is_file():
            return _read(type_name)
        return super().load_service_model(service_name, type_name, api_version)

    def load_data_with_path(self, name: str) -> Any:
        if name == "endpoints":
            return _read(name), str(MODEL)
        return super().load_data_with_path(name)

    def is_builtin_path(self, path: str) -> bool:
        return path == str(MODEL) or bool(super().is_builtin_path(path))


@cache
def client(access: Access, connect_timeout: float, read_timeout: float) -> Any:
    """The client for this access, made once."""
    options: dict[str, Any] = {
        "connect_timeout": connect_timeout,
        "read_timeout": read_timeout,
        "max_pool_connections": MAX_CONNECTIONS,
        "retries": {"total_max_attempts": 1},
        "s3": {"addressing_style": "path"},
        # Many servers do not know the checksums that botocore adds by default; SHA-256 is ours to check.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    if access.anonymous:
        options["signature_version"] = botocore.UNSIGNED
    return _session().create_client(
        "s3",
        region_name=access.region,
        endpoint_url=access.endpoint,
        aws_access_key_id=access.key_id,
        aws_secret_access_key=access.secret,
        aws_session_token=access.token,
        config=Config(**options),
    )


@cache
def _session() -> Any:
    session = botocore.session.Session()
    session.register_component("data_loader", _Loader())
    return session


def _read(name: str) -> Any:
    return json.loads((MODEL / f"{name}.json").read_bytes())
