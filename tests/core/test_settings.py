"""What the environment of the operator says, and how it is refused."""

import pytest

from flywheel.core.settings import Settings


def test_the_folder_of_a_namespace_is_the_one_that_the_chart_gave() -> None:
    settings = Settings.from_environment(
        {"FLYWHEEL_STORE_FOLDERS": "shop=s3://flywheel/shop/ bank=s3://flywheel/bank/"}
    )

    assert settings.store_folder("bank") == "s3://flywheel/bank/"
    assert settings.store_folder("other") is None


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("FLYWHEEL_STORE_FOLDERS", "shop=s3://flywheel/shop"),
        ("FLYWHEEL_STORE_FOLDERS", "shop=s3://flywheel/../bank/"),
        ("FLYWHEEL_READABLE", "s3://public/./data/"),
    ],
)
def test_what_is_no_folder_is_refused_by_the_name_of_its_variable(variable: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"{variable} has '{text.partition('=')[2] or text}'"):
        Settings.from_environment({variable: text})
