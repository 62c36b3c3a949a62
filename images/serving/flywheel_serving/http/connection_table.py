"""The open connections by peer, bounded in all and for each peer. Idle ones make room before a new one is refused.

Those that wait for their client in the midst of a request, such as slow bodies, make room for peers with fewer connections.
"""

import resource
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Protocol, TypeVar

MAX_PEER_FRACTION = 0.75  # of all connections may be one peer's
SCANNED_CONNECTIONS, MAX_SCANS = 32, 8  # for an idle one: a search among all would make others wait
# The stages of idleness. Connections of the first four make room for any other one.
LINGERING, SILENT, USED, IN_HEAD, WAITING_FOR_CLIENT = range(-1, 4)
Idleness = tuple[int, float]  # a stage, and a time
RESERVED_FILES = 256  # for everything but connections


class Evictable(Protocol):
    """A connection, as the table sees it."""

    peer: str

    @property
    def idleness(self) -> Idleness | None:
        """The smaller, the sooner it is evicted; None while a request is answered."""

    def evict(self) -> None: ...


def waits_for_client(idleness: Idleness | None) -> bool:
    """Whether it is amid a request, and its client is to send or to read more."""
    return idleness is not None and idleness[0] >= WAITING_FOR_CLIENT


C = TypeVar("C", bound=Evictable)


@dataclass(frozen=True, slots=True)
class _Idle(Generic[C]):
    idleness: Idleness
    connection: C


class ConnectionTable(Generic[C]):
    """At most `max_connections`, and fewer if the process may not have so many files open."""

    def __init__(self, max_connections: int) -> None:
        self._max = max(1, min(max_connections, _file_limit() - RESERVED_FILES))
        self._max_of_peer = max(1, int(self._max * MAX_PEER_FRACTION))
        self._by_peer: defaultdict[str, dict[C, None]] = defaultdict(
            dict
        )  # in the order of their age, or of the last scan
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def all(self) -> list[C]:
        """Every connection."""
        return [connection for connections in self._by_peer.values() for connection in connections]

    def add(self, connection: C) -> bool:
        """Adds a new connection; False if there is no room for it, so that it must be refused."""
        self._by_peer[connection.peer][connection] = None
        self._count += 1
        if len(self._by_peer[connection.peer]) > self._max_of_peer:
            return self._evict_idle(connection.peer, connection)
        if self._count > self._max:
            return self._evict_idle(max(self._by_peer, key=self._connections_of), connection)
        return True

    def remove(self, connection: C) -> None:
        """Removes a connection; nothing if it was evicted before."""
        connections = self._by_peer.get(connection.peer, {})
        if connection in connections:
            del connections[connection]
            self._count -= 1
            if not connections:
                del self._by_peer[connection.peer]

    def _connections_of(self, peer: str) -> int:
        return len(self._by_peer[peer])

    def _evict_idle(self, peer: str, newest: C) -> bool:
        """Whether a connection of the peer was closed: the idlest of those that were scanned longest ago."""
        connections = self._by_peer[peer]
        waiting: _Idle[C] | None = None
        for _ in range(MAX_SCANS):
            scanned, idlest = self._scan(connections, newest)
            if idlest is None or idlest.idleness >= (USED,):  # the next scan is among others
                for connection in scanned:
                    connections[connection] = connections.pop(connection)
            if idlest is None:
                continue
            if not waits_for_client(idlest.idleness):
                self._evict(idlest.connection)
                return True
            if waiting is None or idlest.idleness < waiting.idleness:
                waiting = idlest
        if waiting is None or peer == newest.peer:
            return False
        self._evict(waiting.connection)
        return True

    def _evict(self, connection: C) -> None:
        self.remove(connection)
        connection.evict()

    def _scan(self, connections: dict[C, None], newest: C) -> tuple[list[C], "_Idle[C] | None"]:
        """Some connections, and the idlest of them; the search ends at one that never sent a request."""
        scanned: list[C] = []
        idlest: _Idle[C] | None = None
        for connection in islice(connections, SCANNED_CONNECTIONS):
            idleness = connection.idleness
            if connection is newest:
                continue
            scanned.append(connection)
            if idleness is not None and (idlest is None or idleness < idlest.idleness):
                idlest = _Idle(idleness, connection)
                if idleness < (USED,):
                    break
        return scanned, idlest


def _file_limit() -> int:
    """The number of files that this process may have open, which is raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 2**31
