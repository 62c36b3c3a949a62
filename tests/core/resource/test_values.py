"""Words that users write: which are taken, what they mean, and what is told to whoever missed the form."""

from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import BaseModel, ValidationError

from flywheel.core.resource.values import (
    Digest,
    Duration,
    Label,
    Latency,
    MetricName,
    Number,
    ObjectName,
    PatternString,
    Percent,
    Sha256,
    parse_quantity,
)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (Duration, "30s"), (Duration, "999999d"), (Latency, "500us"), (Latency, "5ms"), (Percent, "0%"), (Percent, "99.99%"), (Number, "-3"), (Number, "1e-4"),
        (Label, "a"), (Label, "a-1"), (ObjectName, "a.b-c"), (MetricName, "roc_auc"), (Sha256, "0" * 64), (Digest, f"sha256:{'f' * 64}"),
    ],
)  # fmt: skip
def test_is_taken(word: type[PatternString], text: str) -> None:
    assert word.parse(text) == text
    assert type(word.parse(text)) is word


@pytest.mark.parametrize(
    ("word", "text"),
    [
        pytest.param(Duration, "0s", id="a duration of nothing"),
        pytest.param(Duration, "2 weeks", id="a duration in words"),
        pytest.param(Duration, "1h30m", id="a duration of two units"),
        pytest.param(Duration, "9s\n", id="a duration and a new line"),
        pytest.param(Latency, "1s", id="a latency of a second"),
        pytest.param(Latency, "0ms", id="a latency of nothing"),
        pytest.param(Percent, "100%", id="everything"),
        pytest.param(Percent, "0.5", id="a percentage without its sign"),
        pytest.param(Number, "nan", id="not a number"),
        pytest.param(Number, ".5", id="a number without its zero"),
        pytest.param(Label, "-a", id="a label that begins with a dash"),
        pytest.param(Label, "a" * 53, id="a label of 53 characters"),
        pytest.param(Digest, "f" * 64, id="a digest without its algorithm"),
        pytest.param(Sha256, "F" * 64, id="a digest in capitals"),
    ],
)
def test_is_refused_with_its_form(word: type[PatternString], text: str) -> None:
    with pytest.raises(ValueError, match="must be") as refused:
        word.parse(text)

    assert word.description in str(refused.value)


def test_a_word_in_a_schema_is_that_word() -> None:
    class Waiting(BaseModel):
        time: Duration

    assert type(Waiting.model_validate({"time": "10m"}).time) is Duration
    with pytest.raises(ValidationError):
        Waiting.model_validate({"time": "10"})


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("6h", timedelta(hours=6)),
        ("3d", timedelta(days=3)),
    ],
)
def test_a_duration_is_a_length_of_time(text: str, length: timedelta) -> None:
    assert Duration.parse(text).timedelta == length
    assert Duration.parse(text).seconds == length.total_seconds()


def test_numbers_and_digests_mean() -> None:
    assert Percent.parse("12.5%").fraction == 0.125
    assert Number.parse("-1.5e2").value == -150
    assert Digest.parse("sha256:0123456789abcdef" + "0" * 48).short == "01234567"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", "0.5"), ("2", "2"), (2, "2"), ("1Ki", "1024"), ("1.5Gi", "1610612736"), ("1k", "1000"), ("3M", "3000000"),
        ("1e3", "1000"), ("1E", "1000000000000000000"), ("100n", "0.0000001"), (".5", "0.5"), ("-1", "-1"),
    ],
)  # fmt: skip
def test_a_quantity_is_read_as_kubernetes_reads_it(text: str | int, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "Gi", "1 G", "1GB", "1e", "one", "1KI"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity; write 500m, 2, 512Mi or 1Gi"):
        parse_quantity(text)


@pytest.mark.parametrize(("text", "seconds"), [("500us", 0.0005), ("5ms", 0.005)])
def test_a_latency_is_seconds(text: str, seconds: float) -> None:
    assert Latency.parse(text).seconds == seconds
