"""The client at the other end of a connection, as far as the server can tell one from another: its address.

All clients behind one gateway are one peer. An IPv6 client has a whole /64 network, so its addresses are one peer too.
"""

import ipaddress
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

UNKNOWN_PEER = ""


def peer_of_socket(name: Any) -> str:
    """The peer of a transport's `peername`: (host, port), or (host, port, flow, scope)."""
    return _peer(name[0]) if isinstance(name, tuple) and name else UNKNOWN_PEER


def peer_of_rpc(name: str) -> str:
    """The peer of gRPC's form: `ipv4:10.0.0.1:5000` or `ipv6:[fd00::1]:5000`, percent-encoded."""
    scheme, _, rest = name.partition(":")
    return _peer(unquote(rest).rpartition(":")[0].strip("[]")) if scheme in ("ipv4", "ipv6") else UNKNOWN_PEER


@lru_cache(4096)
def _peer(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return UNKNOWN_PEER
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
