"""Keeping main's checkpoints while it works, and the last one when it was stopped in the middle.

A checkpoint that cannot be uploaded is logged and tried again at the next interval; the work itself goes on.
"""

import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from flywheel_runtime.commands.collect.outputs import read_output
from flywheel_runtime.contract import checkpoint
from flywheel_runtime.contract.checkpoint import Pointer
from flywheel_runtime.contract.errors import Failure, FileChanged, ManifestInvalid, StoreError, UnsafeFile
from flywheel_runtime.contract.paths import Attempt
from flywheel_runtime.store.artifacts import Store


@dataclass
class Checkpoints:
    """Of one attempt. `last` may be called once `start` was; both look at the same folder, one after the other."""

    folder: Path
    store: Store
    attempt: Attempt
    _uploaded: str | None = None
    _one: threading.Lock = field(default_factory=threading.Lock)

    def start(self, every: float) -> None:
        """Look every so many seconds, in a thread that ends with the process."""

        def look() -> None:
            while True:
                time.sleep(every)
                self.upload(self.store)

        threading.Thread(target=look, daemon=True).start()

    def last(self, deadline: float) -> None:
        """One more look, within the time that a pod has to end (time.monotonic)."""
        thread = threading.Thread(target=self.upload, args=(self.store.with_deadline(deadline),), daemon=True)
        thread.start()
        thread.join(max(0.0, deadline - time.monotonic()))

    def upload(self, store: Store) -> None:
        """Upload the newest checkpoint if it is not there yet, then let the pointer name it."""
        with self._one:
            found = checkpoint.newest_checkpoint(self.folder)
            if found is None or found.name == self._uploaded:
                return
            try:
                if self._write(store, found):
                    sys.stderr.write(f"checkpoint '{found.name}' is uploaded\n")
                self._uploaded = found.name
            except Failure as failure:
                sys.stderr.write(f"checkpoint '{found.name}' was not uploaded: {failure.message}\n")
            except (OSError, UnsafeFile, FileChanged, ManifestInvalid, StoreError) as error:
                # Main removes old ones while it works, so this is no surprise; the next look finds a newer one.
                sys.stderr.write(f"checkpoint '{found.name}' was not uploaded: {type(error).__name__}: {error}\n")

    def _write(self, store: Store, folder: Path) -> bool:
        """False where a later attempt has left one already: ours is of the past then."""
        held = store.result(self.attempt.checkpoint_key)
        known = Pointer.parse(held) if held else None
        if known is not None and known.attempt > int(self.attempt.attempt):
            return False
        manifest = store.put(read_output("checkpoint", folder, required=True))
        store.replace(
            self.attempt.checkpoint_key, Pointer(manifest.digest, folder.name, int(self.attempt.attempt)).encode()
        )
        return True
