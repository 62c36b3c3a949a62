"""Which requests belong to the challenger: an exact share of all, or always the same users."""

import hashlib
from collections.abc import Mapping

from flywheel_serving.route.file import Route

WHOLE = 10_000  # hundredths of a percent
# Visits every number below 10,000 once in 10,000 steps, so a share is exact; and in golden-ratio order, so that it is within three requests
# at any moment, and a client that repeats itself every 20 requests does not send always the same one to the challenger.
STEP = 6_181


class Share:
    """The share of one route. A sticky value decides by its hash, the rest take turns."""

    def __init__(self, route: Route) -> None:
        self._hundredths = route.hundredths
        self._sticky = route.sticky
        # Another challenger meets other users: the same few are not every rollout's first.
        self._salt = route.challenger.version.encode() + b"\0"
        self._turn = 0

    def takes(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether the request with these headers (names in lower case) goes to the challenger."""
        if self._sticky is not None and (value := headers.get(self._sticky)):
            return self._place(value) < self._hundredths
        self._turn = (self._turn + STEP) % WHOLE
        return self._turn < self._hundredths

    def _place(self, value: bytes) -> int:
        """From 0 to 9,999, the same in every pod; a larger share has all places of a smaller one."""
        digest = hashlib.blake2b(self._salt + value, digest_size=8).digest()
        return int.from_bytes(digest, "big") % WHOLE
