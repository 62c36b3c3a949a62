"""Which connections make room for a new one, and which are refused."""

from dataclasses import dataclass

from flywheel_serving.http.connection_table import IN_HEAD, WAITING_FOR_CLIENT, ConnectionTable


@dataclass(eq=False)
class Open:
    peer: str
    idleness: tuple[int, float] | None = None
    is_evicted: bool = False

    def evict(self) -> None:
        self.is_evicted = True


def fill(table: ConnectionTable[Open], *connections: Open) -> list[bool]:
    return [table.add(each) for each in connections]


def test_a_peer_has_three_quarters_of_all_connections() -> None:
    table: ConnectionTable[Open] = ConnectionTable(8)

    assert fill(table, *(Open("a") for _ in range(7))) == [True] * 6 + [False]
    table.remove(table.all()[0])
    assert fill(table, Open("b"), Open("b")) == [True, True]


def test_the_idlest_connection_of_the_largest_peer_makes_room() -> None:
    table: ConnectionTable[Open] = ConnectionTable(8)
    silent, waiting, other = Open("a", (0, 9.0)), Open("a", (1, 2.0)), Open("b", (0, 1.0))
    fill(table, silent, waiting, *(Open("a") for _ in range(3)), other, Open("b"), Open("c"))

    assert fill(table, Open("d")) == [True]
    assert (silent.is_evicted, waiting.is_evicted, other.is_evicted) == (True, False, False)
    assert len(table) == 8


def test_a_full_table_of_busy_connections_refuses() -> None:
    table: ConnectionTable[Open] = ConnectionTable(2)
    fill(table, Open("a"), Open("b"))

    assert fill(table, Open("c")) == [False]


def test_an_idle_connection_behind_many_busy_ones_is_found() -> None:
    table: ConnectionTable[Open] = ConnectionTable(200)
    idle = Open("a", (1, 1.0))
    fill(table, *(Open("a") for _ in range(100)), idle, *(Open("a") for _ in range(49)))

    assert fill(table, Open("a")) == [True]
    assert idle.is_evicted


def test_a_request_that_waits_for_its_client_makes_room_for_another_peer_alone() -> None:
    table: ConnectionTable[Open] = ConnectionTable(8)
    slow = [Open("a", (WAITING_FOR_CLIENT, float(9 - number))) for number in range(6)]
    fill(table, *slow, Open("b"), Open("b"))

    assert fill(table, Open("a")) == [False]
    table.remove(table.all()[-1])
    assert fill(table, Open("b")) == [True]
    assert [each.is_evicted for each in slow] == [False] * 5 + [True]


def test_idle_connections_make_room_before_requests_that_wait_for_their_client() -> None:
    table: ConnectionTable[Open] = ConnectionTable(200)
    slow = [Open("a", (WAITING_FOR_CLIENT, 1.0)) for _ in range(100)]
    idle = Open("a", (IN_HEAD, 5.0))
    fill(table, *slow, idle, *(Open("b") for _ in range(99)))

    assert fill(table, Open("c")) == [True]
    assert idle.is_evicted
    assert not any(each.is_evicted for each in slow)


def test_an_evicted_connection_is_removed_once() -> None:
    table: ConnectionTable[Open] = ConnectionTable(4)
    idle = Open("a", (0, 1.0))
    fill(table, idle, Open("a"), Open("a"), Open("a"))
    assert idle.is_evicted

    table.remove(idle)

    assert len(table) == 3
