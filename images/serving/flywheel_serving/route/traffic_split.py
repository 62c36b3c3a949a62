"""Which requests go to the challenger: an exact share of all, or always those of the same users."""

import hashlib
from collections.abc import Mapping

from flywheel_serving.route.route_file import Route

ALL_HUNDREDTHS = 10_000  # of a percent
# A stride that visits every number below 10,000 once in 10,000 steps, in golden-ratio order: the share is exact, at any
# moment within three requests, and a client that repeats a cycle of 20 requests does not always send the same one to
# the challenger.
STRIDE = 6_181


class TrafficSplit:
    """The split of one route: a sticky header's value decides by its hash, requests without one take turns."""

    def __init__(self, route: Route) -> None:
        self._share_hundredths = route.share_hundredths
        self._sticky_header = route.sticky_header
        # With another challenger other users come first, so that the same few do not meet every rollout first.
        self._salt = route.challenger.version.encode() + b"\0"
        self._turn = 0

    def selects(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether the request with these headers (names in lower case) goes to the challenger."""
        if self._sticky_header is not None and (value := headers.get(self._sticky_header)):
            return self._position(value) < self._share_hundredths
        self._turn = (self._turn + STRIDE) % ALL_HUNDREDTHS
        return self._turn < self._share_hundredths

    def _position(self, value: bytes) -> int:
        """From 0 to 9,999, the same in every pod; a larger share holds all positions of a smaller one."""
        digest = hashlib.blake2b(self._salt + value, digest_size=8).digest()
        return int.from_bytes(digest, "big") % ALL_HUNDREDTHS
