"""How the rows of a champion with other columns are made of the challenger's raw ones, by the lineages of both."""

from typing import Any

import pytest

from flywheel.kinds.modelversion.gates.preparations import OwnPreparation, own_preparation
from flywheel.kinds.modelversion.schema.spec import ModelVersionSpec, preparation_digest

OLD, NEW, HOLIDAYS, RESULT, STEP, MODEL = ("sha256:" + digit * 64 for digit in "1234ab")
QUERY = "SELECT *, distance > $(params.far) AS is_far FROM flights WHERE day < $(run.date)"


def flights(digest: str, dataset: str = "flights") -> dict[str, Any]:
    return {"name": "flights", "dataset": dataset, "version": "v", "digest": digest}


def spec(prepared: dict[str, Any] | None = None, **lineage: Any) -> ModelVersionSpec:
    given = {"datasetDigest": RESULT, "dataset": "flights", **({"prepared": prepared} if prepared else {}), **lineage}
    return ModelVersionSpec.model_validate(
        {"model": "delay", "source": {"artifact": {"digest": MODEL}}, "lineage": given}
    )


def prepared(sql: str, *tables: Any, reads: Any = ("flights",), far: str = "500", **more: Any) -> dict[str, Any]:
    """A preparation as a TrainingRun of this release records it."""
    values = {"params.far": far, "run.date": "2026-11-01"}
    tables_ = list(tables) or [flights(OLD)]
    digest = preparation_digest([{"sql": sql, "reads": list(reads)}, *tables_], values)
    known = {"values": values, "types": {"params.far": "Integer"}, "from": tables_, "digest": digest}
    return {"step": "features", "sql": sql, "reads": list(reads), **known, **more}


def of_earlier_release(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in ("reads", "types", "digest")}


CHALLENGER = spec(prepared("SELECT * FROM flights", flights(NEW)))


def test_the_queries_of_the_champion_take_the_raw_rows_of_the_version() -> None:
    found = own_preparation(CHALLENGER, spec(prepared(QUERY)))

    assert found is not None
    assert (found.tables, found.direct, found.finding) == ({"flights": NEW}, False, None)
    assert [(each.name, each.reads, each.sql) for each in found.queries] == [("features", ("flights",), QUERY)]
    assert (found.parameters, found.date) == ({"far": 500}, "2026-11-01")


def test_steps_behind_a_step_run_first_and_tables_of_the_champion_alone_are_its_own() -> None:
    holidays = {"name": "holidays", "dataset": "holidays", "version": "v", "digest": HOLIDAYS}
    clean = {"name": "clean", "digest": STEP, "sql": "SELECT * FROM flights", "reads": ["flights"]}
    champion = spec(prepared(QUERY, clean, holidays, flights(OLD), reads=("clean", "holidays")))

    found = own_preparation(CHALLENGER, champion)

    assert found is not None
    assert found.tables == {"flights": NEW, "holidays": HOLIDAYS}
    assert [each.name for each in found.queries] == ["clean", "features"]


@pytest.mark.parametrize(
    ("version", "champion"),
    [
        pytest.param(spec(), spec(datasetDigest=OLD), id="both took the rows as they are"),
        pytest.param(spec(prepared(QUERY, flights(NEW))), spec(prepared(QUERY)), id="both ran one query"),
        pytest.param(spec(prepared(QUERY)), spec(of_earlier_release(prepared(QUERY))), id="one is of an earlier release"),
    ],
)  # fmt: skip
def test_versions_that_were_prepared_alike_are_compared_as_before(
    version: ModelVersionSpec, champion: ModelVersionSpec
) -> None:
    assert own_preparation(version, champion) is None


def test_another_value_of_a_parameter_is_another_preparation_and_another_day_is_not() -> None:
    later = prepared(QUERY)
    later["values"] = {**later["values"], "run.date": "2026-11-30"}

    assert own_preparation(spec(later), spec(prepared(QUERY))) is None
    assert own_preparation(spec(prepared(QUERY, far="900")), spec(prepared(QUERY))) is not None


def test_a_champion_of_raw_rows_takes_those_of_the_version_or_its_columns() -> None:
    found = own_preparation(CHALLENGER, spec(datasetDigest=OLD))

    assert found is not None
    assert (found.tables, found.queries, found.direct) == ({"flights": NEW}, (), True)


def test_a_brought_champion_says_what_it_lacks() -> None:
    brought = ModelVersionSpec.model_validate({"model": "delay", "source": {"artifact": {"digest": MODEL}}})

    found = own_preparation(CHALLENGER, brought)

    assert found == OwnPreparation({"flights": NEW}, direct=True, finding=found.finding if found else None)
    assert "it was brought without a preparation: bring a graph that takes the columns" in str(found.finding)


CUT = prepared(QUERY, *(flights(OLD) | {"name": f"t{number}"} for number in range(9)))
LOOP = [{"name": name, "digest": STEP, "sql": "SELECT 1", "reads": [other]} for name, other in (("a", "b"), ("b", "a"))]
LONG = "SELECT " + "1, " * 1400 + "* FROM flights"


@pytest.mark.parametrize(
    ("champion", "direct", "words"),
    [
        pytest.param(prepared(QUERY, flights(OLD, "trains")), False, "it was trained on Dataset 'trains' and the version on Dataset 'flights'", id="another Dataset"),
        pytest.param({**CUT, "from": CUT["from"][:8]}, False, "its lineage has not the whole preparation (it has at most 8 tables)", id="more tables than a lineage has"),
        pytest.param(prepared(QUERY, flights(OLD), *LOOP), False, "need one another", id="steps in a circle"),
        pytest.param(prepared(QUERY, far="far"), False, "the value 'far' for a parameter of type Integer", id="a value of another type"),
        pytest.param(of_earlier_release(prepared(QUERY)), True, "an earlier release did not record the type of params.far", id="values of an earlier release"),
        pytest.param(of_earlier_release(prepared(QUERY, flights(OLD), LOOP[0])), True, "an earlier release recorded only a part", id="steps of an earlier release"),
        pytest.param(of_earlier_release(prepared(LONG)), True, "an earlier release recorded only a part", id="a long query of an earlier release"),
    ],
)  # fmt: skip
def test_a_preparation_that_is_not_known_says_so_and_earlier_versions_stay_comparable(
    champion: dict[str, Any], direct: bool, words: str
) -> None:
    found = own_preparation(CHALLENGER, spec(champion))

    assert found is not None
    assert (found.tables, found.direct) == ({}, direct)
    assert words in str(found.finding)


def pinned(digest: str = STEP, name: str = "context") -> list[dict[str, str]]:
    return [{"name": name, "digest": digest}]


@pytest.mark.parametrize(
    ("version", "champion"),
    [
        pytest.param(pinned(), pinned(), id="the same definition"),
        pytest.param(pinned(), [], id="a champion without feature sets reads the columns that it knows"),
        pytest.param([*pinned(), *pinned(MODEL, "other")], pinned(), id="a version with more of them"),
    ],
)
def test_rows_that_have_the_champions_features_are_taken_as_they_are(version: Any, champion: Any) -> None:
    assert own_preparation(spec(featureSets=version), spec(featureSets=champion)) is None


@pytest.mark.parametrize(
    ("version", "part"),
    [
        pytest.param([], "and the version without it", id="a version without them"),
        pytest.param(
            pinned(MODEL), "and the version with definition bbbbbbbb", id="another definition of the same names"
        ),
    ],
)
def test_a_champion_whose_features_the_rows_lack_is_not_compared(version: Any, part: str) -> None:
    found = own_preparation(spec(featureSets=version), spec(featureSets=pinned()))

    assert found is not None
    assert (found.tables, found.direct) == ({}, False)
    assert found.finding is not None
    assert found.finding.startswith("it was trained with definition aaaaaaaa of FeatureSet 'context', ")
    assert part in found.finding


def test_a_champion_with_features_of_another_preparation_takes_the_rows_of_the_version_or_says_why_not() -> None:
    version, champion = (
        spec(prepared(QUERY), featureSets=pinned()),
        spec(prepared(QUERY, far="900"), featureSets=pinned()),
    )

    found = own_preparation(version, champion)

    assert found is not None
    assert (found.tables, found.direct) == ({}, True)
    assert str(found.finding).startswith("its features of FeatureSets are not added again")
