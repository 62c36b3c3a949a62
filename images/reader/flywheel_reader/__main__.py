"""Starts the reader: `python3 -m flywheel_reader --stores FOLDER`."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from flywheel_reader.access.api_server import CREDENTIALS, ApiServer, api_server_url
from flywheel_reader.access.callers import Authenticator
from flywheel_reader.access.objects import Objects
from flywheel_reader.access.rights import Rights
from flywheel_reader.app import build_app
from flywheel_reader.call import Services
from flywheel_reader.fair_slots import FairSlots
from flywheel_reader.namespaces import Namespaces
from flywheel_reader.server.probes import ProbeServer
from flywheel_reader.server.protocol import BoundedProtocol
from flywheel_reader.store.credentials import Credentials

STORES = Path("/etc/flywheel/stores")
MAX_HEADER_BYTES = 32 << 10
KEEP_ALIVE_SECONDS = 30
DRAIN_SECONDS = 20


def build_services(api_server: str, credentials: Path, stores: Path) -> Services:
    """What one process has."""
    api = ApiServer(api_server, credentials)
    heavy = FairSlots()
    return Services(Authenticator(api), Rights(api), Objects(api), Namespaces(Credentials(stores), heavy), heavy)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="flywheel_reader", description=__doc__)
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on")
    parser.add_argument("--health-port", type=int, default=8081, help="port for probes alone")
    parser.add_argument("--stores", type=Path, default=STORES, help="folder with the store's Secret of each namespace")
    parser.add_argument("--api-server", default="", help="URL of the API server; in a pod it is known")
    parser.add_argument(
        "--credentials", type=Path, default=CREDENTIALS, help="folder with token and ca.crt for the API server"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        url = options.api_server or api_server_url()
    except ValueError as error:
        parser.error(str(error))
    server = uvicorn.Server(
        uvicorn.Config(
            build_app(build_services(url, options.credentials, options.stores)),
            host=options.host,
            port=options.port,
            http=BoundedProtocol,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            ws="none",
            lifespan="off",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            log_config=None,
            log_level="warning",
        )
    )
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again when it has ended in good order
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(_serve(server, options.host, options.health_port))
    return 0 if server.started else 1


async def _serve(server: uvicorn.Server, host: str, health_port: int) -> None:
    probes = ProbeServer()
    await probes.start(host, health_port)
    try:
        await server.serve()
    finally:
        probes.close()


if __name__ == "__main__":
    sys.exit(main())
