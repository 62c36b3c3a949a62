"""The open connections by peer, bounded in all and for each peer. Idle ones make room before a new one is refused."""

from collections import defaultdict
from typing import Protocol

MAX_CONNECTIONS = 256
MAX_PEER_CONNECTIONS = 192  # the API server's proxy is one peer for all users of the cluster


class Evictable(Protocol):
    """A connection, as the table sees it."""

    @property
    def peer(self) -> str:
        """The address of the client."""

    @property
    def is_idle(self) -> bool:
        """Whether no request of it is in work."""

    def evict(self) -> None:
        """Closes it."""


class ConnectionTable:
    """At most `max_connections`, of which one peer has at most `max_of_peer`."""

    def __init__(self, max_connections: int = MAX_CONNECTIONS, max_of_peer: int = MAX_PEER_CONNECTIONS) -> None:
        self._max = max_connections
        self._max_of_peer = max_of_peer
        self._by_peer: defaultdict[str, dict[Evictable, None]] = defaultdict(dict)  # oldest first
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, connection: Evictable) -> bool:
        """Adds a new connection; False if there is no room for it, so that it is refused."""
        peer = connection.peer
        if len(self._by_peer[peer]) >= self._max_of_peer:
            has_room = self._evict_idle(peer)
        elif self._count >= self._max:
            has_room = self._evict_idle(max(self._by_peer, key=lambda each: len(self._by_peer[each])))
        else:
            has_room = True
        if has_room:
            self._by_peer[peer][connection] = None
            self._count += 1
        elif not self._by_peer[peer]:
            del self._by_peer[peer]
        return has_room

    def remove(self, connection: Evictable) -> None:
        """Removes a connection; nothing if it was refused or evicted."""
        connections = self._by_peer.get(connection.peer, {})
        if connection in connections:
            del connections[connection]
            self._count -= 1
            if not connections:
                del self._by_peer[connection.peer]

    def _evict_idle(self, peer: str) -> bool:
        """Whether the oldest idle connection of the peer was closed."""
        oldest = next((each for each in self._by_peer[peer] if each.is_idle), None)
        if oldest is None:
            return False
        self.remove(oldest)
        oldest.evict()
        return True
