"""Kinds are discovered; what users call them is written down by hand, and none is forgotten (CONTRIBUTING, "Adding a kind")."""

import flywheel
from flywheel.cli.resource_names import SHORT_NAMES
from flywheel.client.objects import resources
from flywheel.engine import discover
from flywheel_reader.endpoints.tracking.records import RESOURCES

KINDS = discover.kinds()


def test_the_command_knows_every_kind_by_its_short_name() -> None:
    assert {kind.short_name: kind.api for kind in KINDS} == SHORT_NAMES


def test_the_client_has_a_class_for_every_kind() -> None:
    names = {kind.api.kind for kind in KINDS}

    assert names <= set(dir(flywheel))
    for kind in KINDS:
        of_client = getattr(resources, kind.api.kind)
        assert (of_client.api, of_client.spec_type) == (kind.api, kind.spec)
        assert getattr(flywheel, kind.api.kind) is of_client


def test_the_reader_knows_the_resources_of_the_kinds_that_it_shows() -> None:
    plurals = {kind.api.kind: kind.api.plural for kind in KINDS}

    assert RESOURCES.items() <= plurals.items()
