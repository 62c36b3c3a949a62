"""YAML is read as kubectl reads it, and written so that PyYAML and kubectl read the same."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flywheel.cli.yaml_text import dump_yaml, load_yaml_documents
from tests.yaml_scalars import AS_KUBECTL

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=8)
LIKE_OTHERS = st.text("yYnNoOfFtTrRuUeEaAsSlL~.+-_0123456789xXbB:<=", max_size=6)


def load(text: str) -> Any:
    [found] = load_yaml_documents(text)
    return found


@pytest.mark.parametrize(("text", "value"), AS_KUBECTL)
def test_a_plain_scalar_is_read_as_kubectl_reads_it(text: str, value: Any) -> None:
    found = load(f"value: {text}\n")["value"]

    assert (found, type(found)) == (value, type(value))


def test_a_quoted_scalar_is_a_text() -> None:
    assert load("a: 'y'\nb: \"1e5\"\n") == {"a": "y", "b": "1e5"}


def test_keys_are_texts() -> None:
    assert load("y: 1\n2: b\n~: c\nplain: d\n") == {"true": 1, "2": "b", "null": "c", "plain": "d"}


def test_anchors_and_merges_are_read() -> None:
    assert load("a: &x {n1: 1}\nb:\n  <<: *x\n  n2: 2\n")["b"] == {"n1": 1, "n2": 2}


@given(st.one_of(TEXTS, LIKE_OTHERS), st.one_of(TEXTS, LIKE_OTHERS))
def test_a_text_that_is_written_is_the_same_for_both_readers(key: str, value: str) -> None:
    written = dump_yaml({key: value, "list": [value]})

    assert (
        load(written)
        == yaml.safe_load(written)
        == {key: value, "list": [value]} | ({key: [value]} if key == "list" else {})
    )


@pytest.mark.parametrize(
    "text",
    ["y", "n", "on", "No", "1e5", "0o17", "12:30", "2026-11-29", "1_000", "~", "null", "", ".5", "0x1F", "<<", "="],
)
def test_a_text_that_reads_as_something_else_is_quoted(text: str) -> None:
    assert dump_yaml({"value": text}) in (f"value: '{text}'\n", f'value: "{text}"\n')
