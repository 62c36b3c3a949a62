"""A source in a database server."""

from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import ColumnName, Schema, exactly_one_of, model_rules
from flywheel.core.resource.values import Duration, ObjectName


class Incremental(Schema):
    """A column that grows with every change of a row, so that a check reads what changed since the last one."""

    column: ColumnName = Field(
        description="Column of whole numbers or times that is set anew whenever a row is written, such as updated_at."
    )
    overlap: Duration | None = Field(
        None,
        description="How much before the greatest time of the last check rows are read again, for transactions that were longer than that. Of whole numbers, that many seconds are so many numbers. Defaults to 10m.",
    )
    full_every: Duration | None = Field(
        None,
        description="After how long all rows are read again, which finds rows that were deleted or that the query no longer gives. Defaults to 7d.",
    )


class SqlSource(Schema):
    """The rows of a table or of a query, read in one read-only transaction."""

    model_config = model_rules(exactly_one_of("table", "query"))

    engine: Literal["PostgreSQL", "MariaDB"] = Field(description="The database server's software.")
    host: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]*$",
        max_length=253,
        description="Host of the server. The chart's value allowedHttpHosts must list it, by its whole name if its address is private.",
    )
    port: int | None = Field(
        None, ge=1, le=65535, description="Port of the server. Defaults to 5432 of PostgreSQL and 3306 of MariaDB."
    )
    database: str = Field(pattern=r"^[^\x00-\x1f]+$", max_length=64, description="Name of the database.")
    secret_name: ObjectName = Field(
        description="Secret with the keys username and password, and optionally ca.crt, the certificates that sign the server's. Only the container that reads the rows mounts it."
    )
    table: str | None = Field(
        None,
        pattern=r"^[^.]+([.][^.]+)?$",
        max_length=129,
        description="Table or view, with its schema if that is not in the user's search path, such as shop.orders; of MariaDB with its database.",
    )
    query: str | None = Field(
        None,
        min_length=1,
        max_length=16384,
        description="One SELECT in the SQL of the server. The rows need no order; spec.keys gives them one.",
    )
    tls: Literal["Verify", "Disabled"] | None = Field(
        None,
        description="Verify, the default, demands TLS with a certificate of this host that ca.crt of the Secret, or else a public authority, has signed. Disabled connects in clear, and sends no password in clear.",
    )
    timeout: Duration | None = Field(
        None, description="Time after which the server ends the statement that reads. Defaults to 10m."
    )
    max_rows: int | None = Field(
        None,
        ge=1,
        le=10**12,
        description="Number of rows above which the source is refused. Without it, only the pod's limit for inputs bounds the rows.",
    )
    incremental: Incremental | None = Field(
        None,
        description="Reads only rows that changed since the last check that passed. Rows that were deleted, or that the query no longer gives, stay until all rows are read again: see fullEvery.",
    )
