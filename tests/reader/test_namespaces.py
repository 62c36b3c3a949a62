"""The stores of namespaces are bounded, also where one key opens every namespace."""

from pathlib import Path

from flywheel_reader.namespaces import MAX_STORES, Namespaces
from flywheel_reader.store.credentials import Credentials


def test_made_up_namespaces_leave_a_bounded_number_of_stores(tmp_path: Path) -> None:
    (tmp_path / "_all").mkdir()
    (tmp_path / "_all" / "FLYWHEEL_BUCKET").write_text("models")
    namespaces = Namespaces(Credentials(tmp_path))

    for number in range(2 * MAX_STORES):
        assert namespaces.find(f"made-up-{number}") is not None

    assert len(namespaces._stores) == MAX_STORES
