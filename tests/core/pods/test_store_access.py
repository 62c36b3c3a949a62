"""Which places the installation's credentials may be used for, before a pod starts; the pods have the same rule."""

import json
from pathlib import Path
from typing import Any

import pytest

from flywheel.core.pods.store_access import is_inside, output_refusal, source_refusal
from flywheel.core.settings import Settings

PLACES = json.loads((Path(__file__).parents[2] / "contracts" / "store" / "places.json").read_text(encoding="utf-8"))
SETTINGS = Settings(store_folders=("shop=s3://flywheel/shop/",), readable=("s3://flywheel/public/",))


@pytest.mark.parametrize("place", PLACES, ids=[each["case"] for each in PLACES])
def test_a_place_is_inside_a_folder_by_whole_parts_of_its_key(place: dict[str, Any]) -> None:
    assert is_inside(place["uri"], place["folder"]) is place["inside"]


def test_a_folder_that_all_may_read_is_no_place_for_outputs() -> None:
    where = "s3://flywheel/public/a/", None, "shop", SETTINGS, "spec.x"

    assert source_refusal(*where) is None
    refusal = output_refusal(*where)
    assert refusal is not None
    assert refusal.reason == "OutputNotAllowed"


@pytest.mark.parametrize("refuse", [source_refusal, output_refusal])
def test_a_place_with_a_secret_of_its_own_is_not_restricted(refuse: Any) -> None:
    assert refuse("s3://elsewhere/a/", None, "shop", SETTINGS, "spec.x") is not None
    assert refuse("s3://elsewhere/a/", "mine", "shop", SETTINGS, "spec.x") is None
