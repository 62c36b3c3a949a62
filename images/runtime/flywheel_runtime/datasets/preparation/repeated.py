"""The preparation of an earlier training, on other rows: its queries run again, from the raw tables to the data that a model takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import write_json
from flywheel_runtime.datasets import profile, sql, version
from flywheel_runtime.datasets.preparation import inherited_schema, query, split_rows
from flywheel_runtime.datasets.preparation.bound_query import bind_parameters
from flywheel_runtime.datasets.preparation.query import Table
from flywheel_runtime.datasets.split import assign_splits
from flywheel_runtime.params import Params


class Query(Params):
    """A step `prepare`: its name, the tables that it reads, and its SELECT; None: all rows of its only table."""

    name: str
    from_: tuple[str, ...] = Field(alias="from", min_length=1)
    sql: str | None = None


class Preparation(Params):
    """Raw tables by their names, with the inputs of the pod that hold them, and the queries in the order in which they run.

    Without a query the only table is the data itself.
    """

    tables: dict[str, str] = Field(min_length=1)
    queries: tuple[Query, ...] = ()
    parameters: dict[str, Any] = Field(default_factory=dict)
    run: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Repeated:
    """The data that came out, and the raw table that its rows come from: the first of the first query's, and so on."""

    data: Table
    raw: Table


def repeat_preparation(work: Path, folders: Mapping[str, Path], preparation: Preparation) -> Repeated:
    """Run every query, each in a folder of its own in `work`; `folders` has those of the raw tables.

    Raises:
        Failure: InputInvalid, SqlInvalid and the others of prepare, whose message names the step.
    """
    known = {name: query.read_table(name, folder) for name, folder in folders.items()}
    raw = dict(known)
    last = next(iter(known))
    for number, each in enumerate(preparation.queries):
        folder = work / str(number)
        folder.mkdir()
        last = each.name
        try:
            known[last] = _run(folder, [known[name] for name in each.from_], each, preparation)
        except Failure as error:
            # The cure comes first, since the end of a long finding is cut off.
            cure = "bring back what it reads, or pin the version by spec.champion once"
            message = f"step '{each.name}' no longer runs on the raw rows; {cure}: {error.message.rstrip('.')}"
            raise Failure(error.reason, message, retry=error.retry) from error
        raw[last] = raw[each.from_[0]]
    return Repeated(known[last], raw[last])


def _run(folder: Path, inputs: list[Table], wanted: Query, preparation: Preparation) -> Table:
    """The result as a data set in `folder`, in the form of a check's without its profile."""
    text = wanted.sql if wanted.sql is not None else f"SELECT * FROM {sql.quote_identifier(wanted.from_[0])}"
    bound = bind_parameters(text, preparation.parameters, preparation.run)
    query.run_query(folder, inputs, bound, seed=0)
    with sql.connect(folder) as connection:
        schema, carries, _ = inherited_schema.inherit_schema(connection, inputs[0])
        inherited_schema.fill_data(connection, schema, carries)
        if carries:
            rows = split_rows.carry_splits(connection, schema, inputs[0])
        else:
            rows = assign_splits(connection, schema).rows
        profile.join_splits(connection)
        version.write_splits(connection, schema, folder)
    task = inputs[0].schema["task"] if schema.target else None
    write_json(folder / "schema.json", schema.as_json(task=task, classes=[], rows=rows))
    return query.read_table(wanted.name, folder)
