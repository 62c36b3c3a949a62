"""The fuzz targets on the committed corpus, on mutations of it, and in a short run of atheris."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.serving.fuzz.__main__ import CORPUS, NAMES
from tests.serving.fuzz.targets import TARGETS

SEEDS = {name: [path.read_bytes() for path in sorted((CORPUS / name).iterdir())] for name in NAMES}
PLACES = st.integers(0, 2**16)


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with up to six bytes, slices or tails changed."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 6))):
        start, size = draw(PLACES) % (len(data) + 1), draw(st.integers(0, 8))
        other = draw(st.sampled_from(seeds))
        data = draw(
            st.sampled_from(
                [
                    data[:start] + draw(st.binary(max_size=8)) + data[start + size :],
                    data[:start] + data[start : start + size] * 3 + data[start + size :],
                    data[:start] + other[start:],
                    data[:start],
                ]
            )
        )
    return data


def test_there_is_a_target_for_each_name_and_a_corpus_for_each() -> None:
    assert tuple(TARGETS) == NAMES == tuple(name for name in NAMES if SEEDS[name])


@pytest.mark.parametrize("name", NAMES)
def test_every_input_of_the_corpus_passes(name: str) -> None:
    for data in SEEDS[name]:
        TARGETS[name](data)


@pytest.mark.parametrize("name", NAMES)
def test_mutated_inputs_pass(name: str) -> None:
    @given(data=mutated(SEEDS[name]))
    @settings(max_examples=examples(150, ci=70), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def check_no_harm(data: bytes) -> None:
        TARGETS[name](data)

    check_no_harm()


@pytest.mark.integration
@pytest.mark.parametrize("name", NAMES)
def test_atheris_finds_nothing_in_a_short_run(name: str, tmp_path: Path) -> None:
    """A short run of `make fuzz`; atheris has wheels for Linux on x86-64 alone."""
    if find_spec("atheris") is None:
        return
    done = subprocess.run(
        [sys.executable, "-m", "tests.serving.fuzz", "--seconds=20", "--runs=1500", name],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
