"""The stores of namespaces are bounded, also where one key opens every namespace."""

from pathlib import Path

from flywheel_reader.fair_slots import FairSlots
from flywheel_reader.namespaces import MAX_STORES, Namespaces
from flywheel_reader.store.credentials import Credentials


def test_made_up_namespaces_leave_a_bounded_number_of_stores(tmp_path: Path) -> None:
    (tmp_path / "_all").mkdir()
    (tmp_path / "_all" / "FLYWHEEL_BUCKET").write_text("models")
    namespaces = Namespaces(Credentials(tmp_path), FairSlots())

    for number in range(2 * MAX_STORES):
        assert namespaces.find(f"made-up-{number}") is not None

    assert len(namespaces._stores) == MAX_STORES


def test_a_namespace_with_many_records_makes_room_for_those_with_few(tmp_path: Path) -> None:
    for namespace in ("large", "small", "new"):
        (tmp_path / namespace).mkdir()
        (tmp_path / namespace / "FLYWHEEL_BUCKET").write_text("models")
    namespaces = Namespaces(Credentials(tmp_path), FairSlots(), max_index_bytes=1000)
    stores = {}
    for namespace, size in (("small", 200), ("large", 700), ("new", 300)):
        found = stores[namespace] = namespaces.find(namespace)
        assert found is not None
        found.log.index.bytes = size

    assert namespaces.find("new") is stores["new"]

    assert namespaces.find("small") is stores["small"]
    assert namespaces.find("large") is not stores["large"]
