"""Which hosts an http source may name, and which addresses it may lead to."""

import ipaddress
import socket
from collections.abc import Iterable

from flywheel_runtime.contract.errors import Failure, HostUnknown

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# Clouds give out credentials here; no allow-list opens them.
BLOCKED_NETWORKS = tuple(
    ipaddress.ip_network(net) for net in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "0.0.0.0/8", "::/128")
)


def check_host(host: str, allowed: Iterable[str]) -> None:
    """Failure HostNotAllowed unless the host is listed by name, or below a `*.domain`."""
    names = [name.lower() for name in allowed]
    if not (_named(host, names) or any(n.startswith("*.") and host.lower().endswith(n[1:]) for n in names)):
        listed = ", ".join(sorted(names)) or "none is"
        cure = "add it to the allowed hosts or use one of them"
        raise Failure("HostNotAllowed", f"host '{host}' is not among the allowed hosts ({listed}); {cure}")


def resolve_address(host: str, port: int, allowed: Iterable[str]) -> str:
    """The address to connect to: looked up once, so that what was checked is what is asked.

    Private and loopback addresses only for hosts that are listed by their whole name; link-local ones never.
    Raises HostUnknown, Failure HostNotAllowed.
    """
    named = _named(host, [name.lower() for name in allowed])
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise HostUnknown("its name is not known") from error
    for *_, where in found:
        address = _unwrapped(str(where[0]))
        if is_blocked(address) or not (named or address.is_global):
            words = "add its whole name to the allowed hosts" if not is_blocked(address) else "no source may use it"
            raise Failure("HostNotAllowed", f"host '{host}' has the address {address}; {words}")
    return str(found[0][4][0])


def check_endpoint(host: str) -> None:
    """Failure HostNotAllowed if a store that a user named is at an address that no source may use."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        return  # the client will say so better
    for *_, where in found:
        if is_blocked(address := _unwrapped(str(where[0]))):
            raise Failure("HostNotAllowed", f"host '{host}' has the address {address}; no source may use it")


def is_blocked(address: Address) -> bool:
    return any(address in net for net in BLOCKED_NETWORKS) or address.is_multicast


def _named(host: str, names: list[str]) -> bool:
    return host.lower() in names


def _unwrapped(text: str) -> Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
