"""What a database server answers instead of rows, and the sentence for each: which object, what was found, what to do next.

A server's own words about a value, such as `invalid input syntax for type integer: "abc"`, quote the data: only the log has them.
"""

import sys

from flywheel_runtime.commands.fetch.databases.session import Session
from flywheel_runtime.contract.errors import Failure

MAX_SERVER_WORDS = 300  # characters of a server's own sentence


def unreachable(session: Session, finding: str) -> Failure:
    cure = "see that it runs and can be reached from the cluster, and that host and port of the source are right"
    return Failure(
        "SourceUnreachable", f"{session.place} did not answer ({_short(session, finding)}); {cure}", retry=True
    )


def login_refused(session: Session) -> Failure:
    words = f"{session.place} refuses the login to database '{session.source.database}'"
    cure = f"correct username and password in Secret '{session.source.secret}', or let the user connect"
    return Failure("CredentialsRefused", f"{words}; {cure}", retry=True)


def login_unknown(session: Session) -> Failure:
    words = f"{session.place} asks the user of Secret '{session.source.secret}' for a login that is not supported"
    return Failure("CredentialsRefused", f"{words}; identify the user by mysql_native_password", retry=True)


def not_permitted(session: Session, finding: str) -> Failure:
    words = f"the user of Secret '{session.source.secret}' may not read {session.source.subject} ({_short(session, finding)})"
    return Failure("CredentialsRefused", f"{words}; grant SELECT to the user", retry=True)


def not_trusted(session: Session, finding: str) -> Failure:
    words = f"the connection to {session.place} is not trusted ({_short(session, finding)})"
    cure = f"put the certificates that sign the server's into ca.crt of Secret '{session.source.secret}', or set tls to Disabled"
    return Failure("TLSRefused", f"{words}; {cure}", retry=True)


def clear_password_refused(session: Session) -> Failure:
    words = f"{session.place} asks for the password in clear, and the connection is not encrypted"
    return Failure("TLSRefused", f"{words}; set tls to Verify, or let the server take SCRAM", retry=True)


def database_missing(session: Session) -> Failure:
    words = f"database '{session.source.database}' does not exist on {session.place}"
    return Failure("SourceMissing", f"{words}; create it or correct the source's database")


def table_missing(session: Session) -> Failure:
    words = f"table '{session.source.table}' does not exist in database '{session.source.database}' on {session.place}"
    return Failure("SourceMissing", f"{words}; create it or correct the source's table")


def too_slow(session: Session) -> Failure:
    words = f"{session.source.subject} was not read within {session.source.timeout_seconds} s, and {session.place} ended the statement"
    return Failure("QueryTimeout", f"{words}; raise the source's timeout or read fewer rows")


def query_refused(session: Session, finding: str, cure: str = "correct the source") -> Failure:
    words = f"{session.place} refuses to read {session.source.subject}: {_short(session, finding)}"
    return Failure("QueryInvalid", f"{words}; {cure}")


def writes_refused(session: Session, finding: str) -> Failure:
    return query_refused(session, finding, "a source only reads: write one SELECT without side effects")


def value_refused(session: Session, finding: str, code: str) -> Failure:
    """A value of the data broke the statement; `code` is what the driver knows of the error."""
    sys.stderr.write(f"the server said: {session.mask(finding)}\n")
    words = f"a value broke {session.source.subject} while {session.place} read it ({code})"
    return Failure("QueryInvalid", f"{words}; correct the query; the log of container fetch has the server's message")


def unsupported_type(session: Session, column: str, kind: str) -> Failure:
    cure = "leave it out with spec.ignore, or read it by a query that casts it or takes a part of it"
    words = f"column '{column}' of {session.source.subject} has the type {kind}, which is none of Integer, Float, String, Boolean, Timestamp"
    return Failure("UnsupportedType", f"{words}; {cure}")


def no_columns(session: Session) -> Failure:
    return Failure(
        "QueryInvalid", f"{session.source.subject} has no column that is not ignored; correct the source or spec.ignore"
    )


def _short(session: Session, finding: str) -> str:
    words = session.mask(finding).rstrip(".")
    return words if len(words) <= MAX_SERVER_WORDS else words[: MAX_SERVER_WORDS - 1] + "…"
