"""What the sink remembers of the messages it read."""

from flywheel_serving.prediction_log.sink.message_queue import RecentNumbers


def test_a_message_that_is_sent_again_is_known() -> None:
    numbers = RecentNumbers()

    assert [numbers.add(number) for number in (0, 1, 0, 2, 1)] == [True, True, False, True, False]


def test_a_long_connection_remembers_a_bounded_number_of_messages() -> None:
    numbers = RecentNumbers(limit=3)
    for number in range(10):
        assert numbers.add(number)

    assert [numbers.add(number) for number in (9, 8, 7)] == [False] * 3, "the newest"
    assert numbers.add(0), "an older one is no longer known"
