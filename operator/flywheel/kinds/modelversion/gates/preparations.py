"""How the champion's own rows are made where its training prepared them in another way than the challenger's did.

champion: flights ──▶ clean ──▶ features ──▶ its columns ─┐
             ▲ the same raw rows                          ├─▶ scored on the rows that both have
version:  flights ──▶ features ──▶ its columns ───────────┘
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flywheel.kinds.modelversion.schema.spec import (
    RUN_DATE,
    Lineage,
    ModelVersionSpec,
    PreparedData,
    Table,
    preparation_digest,
)

Value = bool | int | float | str
MAX_VALUE_CHARACTERS = 256  # of a value in the lineage
MAX_QUERY_CHARACTERS = 4096  # of a query in the lineage of earlier releases
AGAIN = "train it again with this release, or pin the version by spec.champion once"
BROUGHT = (
    "it was brought without a preparation: bring a graph that takes the columns of the Dataset, "
    "or name its data and its preparation in spec.lineage"
)

JOINED = (
    "its features of FeatureSets are not added again to rows of another preparation: keep the columns that it takes "
    "in the step 'prepare', or train its pipeline again with the present one"
)


class _Unknown(Exception):
    """Why a preparation is not known, as the end of a sentence about the champion."""


@dataclass(frozen=True)
class Query:
    """A step `prepare`: its tables, and its SELECT; None: all rows of its only table."""

    name: str
    reads: tuple[str, ...]
    sql: str | None


@dataclass(frozen=True)
class OwnPreparation:
    """Raw tables by their names, with the digests of their artifacts, and the queries in the order in which they run.

    Without tables `finding` says why nothing is known. `direct`: the champion may be given the challenger's rows as they are instead.
    """

    tables: Mapping[str, str] = field(default_factory=dict)
    queries: tuple[Query, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)
    date: str | None = None
    direct: bool = False
    finding: str | None = None

    @property
    def key(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        queries = [[each.name, list(each.reads), each.sql] for each in self.queries]
        return {**vars(self), "tables": dict(self.tables), "parameters": dict(self.parameters), "queries": queries}


def own_preparation(version: ModelVersionSpec, champion: ModelVersionSpec) -> OwnPreparation | None:
    """How the champion's rows are made of the version's raw ones; None where both were prepared alike."""
    lineage, other = version.lineage or Lineage(), champion.lineage
    if other is None or other.dataset_digest is None:
        raw = _raw_tables(lineage)[:1] if lineage.prepared is not None else []
        return OwnPreparation({each.name: str(each.digest) for each in raw}, direct=True, finding=BROUGHT)
    if (lacking := _lacking_features(lineage, other)) is not None:
        return OwnPreparation(finding=lacking)
    if _identity(lineage) == _identity(other):
        return None
    if other.feature_sets:
        return OwnPreparation(direct=True, finding=JOINED)
    is_earlier = any(each is not None and each.digest is None for each in (lineage.prepared, other.prepared))
    direct = is_earlier or other.prepared is None
    try:
        return OwnPreparation(
            _tables(lineage, other),
            tuple(_queries(other.prepared)),
            _parameters(other.prepared),
            _date(lineage.prepared) or _date(other.prepared),
            direct,
        )
    except _Unknown as error:
        return OwnPreparation(direct=direct, finding=str(error))


def _lacking_features(version: Lineage, champion: Lineage) -> str | None:
    """Why the version's rows have not the champion's features of FeatureSets, or have others under their names; None where they have them."""
    known = {each.name: each.digest for each in version.feature_sets}
    for pin in champion.feature_sets:
        found = known.get(pin.name)
        if found != pin.digest:
            other = (
                f"and the version with definition {found.short}" if found is not None else "and the version without it"
            )
            return f"it was trained with definition {pin.digest.short} of FeatureSet '{pin.name}', {other}; train the champion's pipeline again with the same definition, or pin the version by spec.champion once"
    return None


def _identity(lineage: Lineage) -> Any:
    """What is equal for data that was prepared alike; None for raw rows."""
    prepared = lineage.prepared
    if prepared is None:
        return None
    values = {name: value for name, value in prepared.values.items() if name != RUN_DATE}
    tables = [(each.name, each.sql, each.dataset) for each in prepared.from_]
    return (prepared.sql, values, tables, prepared.step if prepared.run else None)


def _is_raw(table: Table) -> bool:
    """Whether a table is none of the version's own run."""
    return table.dataset is not None or table.run is not None


def _raw_tables(lineage: Lineage) -> list[Table]:
    """The tables that no query of the version's own run made."""
    prepared, digest = lineage.prepared, lineage.dataset_digest
    if prepared is not None and prepared.from_:
        return [each for each in prepared.from_ if _is_raw(each)]
    if digest is None:
        return []
    name = prepared.step if prepared is not None else str(lineage.dataset or "data")
    dataset = None if prepared is not None else lineage.dataset
    return [Table(name=name, digest=digest, dataset=dataset, run=prepared.run if prepared is not None else None)]


def _root(lineage: Lineage) -> Table:
    """The table that the rows come from: the first of the query, and the first of the query behind it. Raises _Unknown."""
    tables = _raw_tables(lineage)
    if not tables:
        raise _Unknown("its lineage names no raw table; " + AGAIN)
    prepared = lineage.prepared
    named = {each.name: each for each in prepared.from_} if prepared is not None else {}
    name = prepared.reads[0] if prepared is not None and prepared.reads else tables[0].name
    for _ in range(len(named)):
        found = named.get(name)
        if found is None or _is_raw(found) or not found.reads:
            break
        name = found.reads[0]
    return named.get(name, tables[0])


def _tables(version: Lineage, champion: Lineage) -> dict[str, str]:
    """The champion's raw tables: the version's own artifacts where it has the same, so that both have the same rows."""
    root, other = _root(version), _root(champion)
    if not (root.digest == other.digest or _is_same(root, other)):
        raise _Unknown(f"it was trained on {_describe(other)} and the version on {_describe(root)}; train both on one")
    found = {other.name: str(root.digest)}
    for table in _raw_tables(champion):
        same = next((each for each in _raw_tables(version) if _is_same(each, table)), table)
        found.setdefault(table.name, str(same.digest))
    return found


def _is_same(one: Table, other: Table) -> bool:
    """Whether two tables are versions of one Dataset, or what runs left under one name."""
    if one.dataset is not None or other.dataset is not None:
        return one.dataset == other.dataset
    return one.run is not None and other.run is not None and one.name == other.name


def _describe(table: Table) -> str:
    if table.dataset is not None:
        return f"Dataset '{table.dataset}'"
    return f"what run '{table.run}' left" if table.run is not None else f"data {table.digest[:15]}"


def _queries(prepared: PreparedData | None) -> Iterator[Query]:
    """The queries, each after those whose tables it reads. Raises _Unknown where the lineage has not all of them."""
    if prepared is None or not prepared.from_:
        return
    steps = [each for each in prepared.from_ if not _is_raw(each)]
    reads = prepared.reads or tuple(each.name for each in prepared.from_)
    if prepared.digest is None and (steps or len(prepared.sql or "") >= MAX_QUERY_CHARACTERS):
        raise _Unknown(f"an earlier release recorded only a part of its preparation; {AGAIN}")
    if prepared.digest is not None and prepared.digest != _digest(prepared):
        message = f"its lineage has not the whole preparation (it has at most {len(prepared.from_)} tables)"
        raise _Unknown(f"{message}; prepare from fewer tables, and {AGAIN}")
    done: dict[str, Query] = {}
    waiting = {each.name: Query(each.name, tuple(each.reads), each.sql) for each in steps}
    while waiting:
        ready = [each for each in waiting.values() if not set(each.reads) & waiting.keys()]
        if not ready:
            raise _Unknown(f"the steps of its preparation need one another; {AGAIN}")
        done |= {each.name: waiting.pop(each.name) for each in ready}
    yield from done.values()
    yield Query(prepared.step, tuple(reads), prepared.sql)


def _digest(prepared: PreparedData) -> str:
    document = prepared.model_dump(mode="json", by_alias=True)
    return preparation_digest([{key: document[key] for key in ("sql", "reads")}, *document["from"]], prepared.values)


def _parameters(prepared: PreparedData | None) -> dict[str, Value]:
    """The typed values of `$(params.x)`. Raises _Unknown where the lineage has not their types, or not all of a value."""
    found: dict[str, Value] = {}
    for name, text in (prepared.values if prepared is not None else {}).items():
        kind = prepared.types.get(name) if prepared is not None else None
        if name == RUN_DATE:
            continue
        if kind is None:
            raise _Unknown(f"an earlier release did not record the type of {name}; {AGAIN}")
        if len(text) >= MAX_VALUE_CHARACTERS:
            raise _Unknown(f"its lineage has only the first {MAX_VALUE_CHARACTERS} characters of {name}; {AGAIN}")
        found[name.removeprefix("params.")] = _typed(text, kind)
    return found


def _typed(text: str, kind: str) -> Value:
    if kind == "Boolean":
        return text == "true"
    try:
        return int(text) if kind == "Integer" else float(text) if kind == "Float" else text
    except ValueError as error:
        raise _Unknown(f"its lineage has the value {text[:40]!r} for a parameter of type {kind}; {AGAIN}") from error


def _date(prepared: PreparedData | None) -> str | None:
    return prepared.values.get(RUN_DATE) if prepared is not None else None
