"""The cache of verdicts is bounded, and its entries expire."""

from flywheel_reader.access.expiring_cache import ExpiringCache


def test_an_entry_expires() -> None:
    now = 0.0
    cache: ExpiringCache[str, bool] = ExpiringCache(10, lambda: now)
    cache.put("a", value=True, ttl_seconds=5)

    now = 4.9
    assert cache.get("a") is True
    now = 5.0
    assert cache.get("a") is None
    assert len(cache) == 0


def test_the_oldest_entries_make_room() -> None:
    cache: ExpiringCache[int, int] = ExpiringCache(3)
    for number in range(100):
        cache.put(number, number, 60)

    assert len(cache) == 3
    assert [cache.get(number) for number in (96, 97, 98, 99)] == [None, 97, 98, 99]
