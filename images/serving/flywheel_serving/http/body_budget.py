"""The bytes that connections make the server hold, bounded in all and for each peer. Greedy peers make room for others.

Held are requests that are being received or answered, and responses that their clients do not read.
"""

from collections import defaultdict

from flywheel_serving.http.connection_table import MAX_PEER_FRACTION, Evictable


class BodyBudget:
    """At most `max_bytes`, of which one peer may have a part."""

    def __init__(self, max_bytes: int) -> None:
        self.total = 0
        self.is_exceeded = False  # in all; read for each request
        self._max = max_bytes
        self._max_of_peer = int(max_bytes * MAX_PEER_FRACTION)
        self._by_peer: defaultdict[str, int] = defaultdict(int)
        # By peer: connections that hold bytes, with how many, in the order in which they began to.
        self._holders: defaultdict[str, dict[Evictable, int]] = defaultdict(dict)

    def set_bytes(self, connection: Evictable, size: int) -> None:
        """Notes that the connection holds `size` bytes from now on."""
        peer = connection.peer
        holders = self._holders[peer]
        difference = size - holders.get(connection, 0)
        if size:
            holders[connection] = size
        else:
            holders.pop(connection, None)
        self.total += difference
        self.is_exceeded = self.total > self._max
        self._by_peer[peer] += difference
        if not holders:
            del self._holders[peer], self._by_peer[peer]

    def has_room(self, connection: Evictable) -> bool:
        """Whether the bytes of the connection are within the bounds, once those of greedier peers made room for them."""
        held = self._by_peer.get(connection.peer, 0)
        if held > self._max_of_peer:
            return False
        while self.is_exceeded:
            if not self._evict_oldest(above=held):
                return False
        return True

    def _evict_oldest(self, above: int) -> bool:
        """Whether a request was ended that waits for its client: the oldest of the greediest peer with more than so many bytes."""
        for peer in sorted(self._by_peer, key=self._by_peer.__getitem__, reverse=True):
            if self._by_peer[peer] <= above:
                return False
            for connection in self._holders[peer]:
                if connection.idleness is not None:
                    connection.evict()
                    return True
        return False
