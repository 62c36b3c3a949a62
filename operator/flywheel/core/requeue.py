"""When a resource is reconciled again although nothing that the operator watches has changed."""

from datetime import timedelta

# For the next state of a resource whose status has to be written first.
REQUEUE_NOW = timedelta(seconds=1)
# While a pod cannot start: its Kubernetes events are not watched, so their news is looked up.
PENDING_CHECK_INTERVAL = timedelta(seconds=15)

MIN_BACKOFF = timedelta(seconds=10)
MAX_BACKOFF = timedelta(minutes=10)
MAX_RETRY_PAUSE = timedelta(minutes=5)  # of a Job that somebody waits for
MAX_DOUBLINGS = 16  # keeps the product small; every limit is reached before


def backoff(retries: int, initial: timedelta = MIN_BACKOFF, limit: timedelta = MAX_BACKOFF) -> timedelta:
    """Returns the exponential backoff: `initial` after the first failure (0 retries), doubled for each retry, at most `limit`."""
    doubled: timedelta = initial * 2 ** min(retries, MAX_DOUBLINGS)
    return min(doubled, limit)
