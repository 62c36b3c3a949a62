"""The address of the gRPC server."""

import argparse

from flywheel_serving.flag_types import address


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flag of the address."""
    parser.add_argument_group("gRPC").add_argument(
        "--grpc", type=address, metavar="HOST:PORT", help="address of gRPC; gRPC is off without this flag"
    )
