"""The logs of the services that serve the Model: their files, and what their rules for the log keep from a gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from flywheel_runtime.commands.gates.config import LabelSource, LoggedService, Traffic
from flywheel_runtime.commands.gates.traffic.request_log import RequestLog
from flywheel_runtime.contract.errors import Unmeasurable

ROWS_PREFIX = "rows-"  # of the input with the rows of a service
AGAIN = "then set annotation flywheel.ml/verify-requested of the version to any new value"
ACTIONS = {"Drop": "dropped", "Hmac": "hashed", "Bucket": "bucketed"}


@dataclass(frozen=True)
class ServiceLogs:
    """The services, and the folder of the inputs. `shows_values`: whether a status may quote values of the data."""

    connection: duckdb.DuckDBPyConnection
    inputs: Path
    traffic: Traffic
    shows_values: bool

    @property
    def until(self) -> float:
        """The end of each window, in seconds since 1970."""
        return self.traffic.until.timestamp()

    @property
    def names(self) -> str:
        """The services as a message names them, with their samples."""
        listed = ", ".join(f"'{each.name}' ({each.sample} logged)" for each in self._logging)
        return f"InferenceService{'s' if len(self._logging) > 1 else ''} {listed}"

    @property
    def _logging(self) -> list[LoggedService]:
        return [each for each in self.traffic.services if each.sample is not None]

    def start(self, seconds: int) -> float:
        """The start of a window of so many seconds."""
        return self.until - seconds

    def open(self, seconds: int, only: str | None = None) -> RequestLog:
        """The rows of all services, or of one, in the last so many seconds. Raises Unmeasurable where none logs rows."""
        if not self.traffic.services:
            raise Unmeasurable(
                "no InferenceService serves the Model, so no request is logged; create one with spec.model and spec.logging"
            )
        if not self._logging:
            names = ", ".join(f"'{each.name}'" for each in self.traffic.services)
            raise Unmeasurable(
                f"InferenceService {names} logs no rows; set spec.logging.sample above 0%, and {AGAIN} when there was traffic"
            )
        chosen = [each for each in self._logging if only in (None, each.name)]
        files = {file: tuple(each.protected) for each in chosen for file in self.files(each.name)}
        return RequestLog(self.connection, files, self.start(seconds), self.until)

    def files(self, service: str) -> list[Path]:
        """The files of a service's rows."""
        return sorted((self.inputs / f"{ROWS_PREFIX}{service}").rglob("*.parquet"))

    def label_source(self, gate: str) -> LabelSource:
        """Where the labels of a gate come from. Raises Unmeasurable where the operator found no monitor with labels."""
        source = next((each for each in self.traffic.labels if each.gate == gate), None)
        if source is None or source.problem is not None:
            raise Unmeasurable(
                source.problem if source and source.problem else "nothing says where its labels come from"
            )
        return source

    def check_rules(self, columns: Sequence[str], only: str | None = None) -> None:
        """Raises Unmeasurable where the log of a service, or of one, does not have a column as the service was sent it."""
        for service in self._logging:
            if only not in (None, service.name):
                continue
            changed = [
                f"'{name}' is {ACTIONS[service.protected[name]]}" for name in columns if name in service.protected
            ]
            if changed:
                raise Unmeasurable(
                    f"the log of InferenceService '{service.name}' does not have all columns as callers sent them "
                    f"(spec.logging.columns): {', '.join(changed)[:300]}; log them as they are, or remove the gate"
                )

    def rules_of(self, service: str) -> Mapping[str, str]:
        """The actions of the columns that a service does not log as they are."""
        return next((each.protected for each in self._logging if each.name == service), {})

    def describe_no_rows(self, window: str) -> str:
        """The sentence for a window without rows."""
        return f"{self.names} logged no request in the last {window}; send requests, lengthen window or raise spec.logging.sample, {AGAIN}"

    def describe(self) -> list[dict[str, Any]]:
        """The services as JSON."""
        return [{"name": each.name, "sample": each.sample} for each in self._logging]
