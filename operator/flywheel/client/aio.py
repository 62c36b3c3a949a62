"""The client for asyncio: `from flywheel.client import aio`, with the same names, each of which is awaited.

Requests run in threads of the event loop's executor, so the loop is never blocked.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from flywheel.client import shortcuts
from flywheel.client.display import DisplayTable
from flywheel.client.downloads import RemoteFile
from flywheel.client.objects.live_dataset import LiveDataset, Split
from flywheel.client.objects.live_model import LiveModel, LiveModelVersion
from flywheel.client.objects.live_objects import POLL_SECONDS, LiveObject, Run
from flywheel.client.objects.live_service import DEFAULT_ROWS, LiveService
from flywheel.client.predictor import Rows
from flywheel.client.trial_list import Trial, Trials
from flywheel.client.workspace import Workspace
from flywheel.core.resource.api import Manifest

if TYPE_CHECKING:
    import onnxruntime
    import pandas as pd

    from flywheel.client.objects.resources import TypedObject
    from flywheel.client.receipts.document import Receipt
    from flywheel.client.training.experiment_manifest import TrainingOptions
    from flywheel.client.training.function_training import Training


@dataclass(frozen=True)
class AsyncModelVersion:
    """A ModelVersion. `sync` is the same with methods that block."""

    sync: LiveModelVersion

    async def predict(
        self, rows: "Rows | pd.DataFrame", *, service: str | None = None
    ) -> "list[Mapping[str, Any]] | pd.DataFrame":
        """Returns one prediction for each row by the service that serves this version."""
        return await asyncio.to_thread(self.sync.predict, rows, service=service)

    async def feature_importance(self) -> DisplayTable:
        """Returns the columns with their permutation importance on test rows, the most important first."""
        return await asyncio.to_thread(self.sync.feature_importance)

    async def partial_dependence(self, column: str) -> DisplayTable:
        """Returns the mean prediction of test rows at each of some values of a column."""
        return await asyncio.to_thread(self.sync.partial_dependence, column)

    async def load(self, **options: Any) -> "onnxruntime.InferenceSession":
        """Returns an ONNX Runtime session on the model's verified bytes."""
        return await asyncio.to_thread(self.sync.load, **options)

    async def files(self) -> list[RemoteFile]:
        """Returns the artifact's files."""
        return await asyncio.to_thread(self.sync.files)

    async def download(self, folder: str | Path, *, force: bool = False) -> list[Path]:
        """Writes the artifact's files below a folder, verified, and returns their paths."""
        return await asyncio.to_thread(self.sync.download, folder, force=force)


@dataclass(frozen=True)
class AsyncModel:
    """A Model. `sync` is the same with methods that block."""

    sync: LiveModel

    async def champion(self) -> AsyncModelVersion:
        """Returns the version that is champion now."""
        return AsyncModelVersion(await asyncio.to_thread(self.sync.champion))

    async def version(self, version: str) -> AsyncModelVersion:
        """Returns a version by its name, or by the name's end."""
        return AsyncModelVersion(await asyncio.to_thread(self.sync.version, version))

    async def versions(self) -> DisplayTable:
        """Returns the versions, newest first."""
        return await asyncio.to_thread(self.sync.versions)

    async def predict(
        self, rows: "Rows | pd.DataFrame", *, service: str | None = None
    ) -> "list[Mapping[str, Any]] | pd.DataFrame":
        """Returns the predictions of the service that serves the champion."""
        return await asyncio.to_thread(self.sync.predict, rows, service=service)


@dataclass(frozen=True)
class AsyncDataset:
    """A Dataset. `sync` is the same with methods that block."""

    sync: LiveDataset

    async def versions(self) -> DisplayTable:
        """Returns the versions, the current one first."""
        return await asyncio.to_thread(self.sync.versions)

    async def to_pandas(self, split: Split = "train", **options: Any) -> "pd.DataFrame":
        """Returns the rows of a split; `options` are those of Dataset.to_pandas."""
        return await asyncio.to_thread(self.sync.to_pandas, split, **options)

    async def profile(self, version: str | None = None) -> Mapping[str, Any]:
        """Returns the statistics of each column."""
        return await asyncio.to_thread(self.sync.profile, version)

    async def files(self, version: str | None = None) -> list[RemoteFile]:
        """Returns the files of a version's artifact."""
        return await asyncio.to_thread(self.sync.files, version)


@dataclass(frozen=True)
class AsyncService:
    """An InferenceService. `sync` is the same with methods that block."""

    sync: LiveService

    async def predict(self, rows: "Rows | pd.DataFrame") -> "list[Mapping[str, Any]] | pd.DataFrame":
        """Returns one prediction for each row, by whichever version the service serves."""
        return await asyncio.to_thread(self.sync.predict, rows)

    async def predictions(
        self,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        *,
        limit: int | None = DEFAULT_ROWS,
    ) -> DisplayTable:
        """Returns the rows that spec.logging has stored, oldest first."""
        return await asyncio.to_thread(self.sync.predictions, start, end, limit=limit)


@dataclass(frozen=True)
class AsyncObject:
    """An object that was applied, or a run. `sync` is the same with methods that block."""

    sync: LiveObject

    async def wait(self, timeout: float | None = None) -> "AsyncObject":
        """Waits as LiveObject.wait does; it can be cancelled, and the object continues."""
        ends = None if timeout is None else time.monotonic() + timeout
        while not await asyncio.to_thread(self.sync.has_ended):
            if ends is not None and time.monotonic() >= ends:
                raise await asyncio.to_thread(self.sync.timeout_error)
            await asyncio.sleep(POLL_SECONDS)
        return self

    async def cancel(self) -> None:
        """Stops a run."""
        if isinstance(self.sync, Run):
            await asyncio.to_thread(self.sync.cancel)


@dataclass(frozen=True)
class AsyncWorkspace:
    """One namespace. `sync` is the same with methods that block."""

    sync: Workspace

    async def experiments(self, *, name: str | None = None, limit: int | None = None) -> Trials:
        """Returns the trials of all Experiments of the namespace, or of one, newest first."""
        return await asyncio.to_thread(self.sync.experiments, name=name, limit=limit)

    async def trials(
        self, filter: str | None = None, order_by: str | Sequence[str] | None = None, **options: Any
    ) -> Trials:
        """Returns the trials that a filter matches; `options` are those of Workspace.trials."""
        return await asyncio.to_thread(self.sync.trials, filter, order_by, **options)

    async def trial(self, reference: str) -> Trial:
        """Returns a trial by its id, or by EXPERIMENT/NUMBER."""
        return await asyncio.to_thread(self.sync.trial, reference)

    def model(self, name: str) -> AsyncModel:
        """Returns a Model; its methods read it."""
        return AsyncModel(self.sync.model(name))

    def dataset(self, name: str) -> AsyncDataset:
        """Returns a Dataset; its methods read it."""
        return AsyncDataset(self.sync.dataset(name))

    def service(self, name: str) -> AsyncService:
        """Returns an InferenceService; its methods read it."""
        return AsyncService(self.sync.service(name))

    async def why(self, id: str, **options: Any) -> "Receipt":
        """Returns the receipt of a logged prediction; `options` are those of Workspace.why."""
        return await asyncio.to_thread(lambda: self.sync.why(id, **options))

    async def run(self, pipeline: str, /, **parameters: Any) -> AsyncObject:
        """Starts a TrainingPipeline now, and returns the run."""
        return AsyncObject(await asyncio.to_thread(self.sync.run, pipeline, **parameters))

    async def train(
        self,
        function: Callable[..., Any],
        *,
        wait: bool = True,
        timeout: float | None = None,
        **options: "Unpack[TrainingOptions]",
    ) -> "Training":
        """Trains a function on the cluster; `flywheel.train` has the same arguments and documents them."""
        return await asyncio.to_thread(lambda: self.sync.train(function, wait=wait, timeout=timeout, **options))

    async def apply(self, given: "TypedObject[Any] | Manifest", *, force: bool = False) -> AsyncObject:
        """Applies a typed object or a manifest, and returns the live object."""
        return AsyncObject(await asyncio.to_thread(self.sync.apply, given, force=force))


async def connect(namespace: str | None = None, **options: Any) -> AsyncWorkspace:
    """Connects as `flywheel.connect` does."""
    return AsyncWorkspace(await asyncio.to_thread(lambda: shortcuts.connect(namespace, **options)))
