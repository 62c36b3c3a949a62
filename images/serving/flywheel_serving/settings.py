"""The server's settings, from command-line flags. Each feature adds its own flags."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from flywheel_serving.auth import config as auth_config
from flywheel_serving.explanation.sidecar import config as explain_config
from flywheel_serving.flag_types import Address, address, field_values, non_negative_seconds
from flywheel_serving.http import config as http_config
from flywheel_serving.http.config import HttpLimits
from flywheel_serving.infer import config as infer_config
from flywheel_serving.prediction_log import config as log_config
from flywheel_serving.rest import cors
from flywheel_serving.route import route_file

FEATURES = (infer_config, http_config, auth_config, route_file, log_config, explain_config, cors)


@dataclass(frozen=True)
class Settings:
    """`grpc`, `health`, `auth`, `log` and `explain` are None if the feature is off; without `auth` all callers are admitted."""

    model: infer_config.InferConfig
    http: Address
    http_limits: HttpLimits
    health: Address | None
    grpc: Address | None
    auth: auth_config.AuthConfig | None
    route: Path
    log: log_config.LogConfig | None
    explain: explain_config.ExplainConfig | None
    cors_origins: frozenset[str]
    drain_seconds: float
    grace_seconds: float


def parse(arguments: list[str] | None = None) -> Settings:
    """The settings in `arguments`; prints a usage message and exits with 2 if they are invalid."""
    parser = argparse.ArgumentParser(
        prog="flywheel_serving",
        description="Serve one ONNX model by the Open Inference Protocol v2.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for feature in FEATURES:
        feature.add_flags(parser)
    parser.add_argument_group("gRPC").add_argument(
        "--grpc", type=address, metavar="HOST:PORT", help="address of gRPC; gRPC is off without this flag"
    )
    add, seconds = parser.add_argument_group("shutdown").add_argument, non_negative_seconds
    add("--drain-seconds", type=seconds, default=5.0, help="time to keep answering after SIGTERM while not ready")
    add("--grace-seconds", type=seconds, default=20.0, help="time then for requests in flight")
    flags = parser.parse_args(arguments)
    return Settings(
        model=infer_config.InferConfig.from_flags(flags),
        http=flags.http,
        http_limits=HttpLimits(**field_values(HttpLimits, flags)),
        health=flags.health,
        grpc=flags.grpc,
        auth=flags.auth,
        route=flags.route,
        log=flags.record,
        explain=flags.explain,
        cors_origins=frozenset(flags.cors_origin),
        drain_seconds=flags.drain_seconds,
        grace_seconds=flags.grace_seconds,
    )
