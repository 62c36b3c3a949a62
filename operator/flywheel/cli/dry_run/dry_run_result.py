"""What `flywheel test` prints of one object."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DryRunResult:
    """What the server said of one object. `note` is for the user although nothing was refused; `tested` is 0 without a dry run."""

    subject: str
    refusal: str | None = None
    note: str | None = None
    tested: int = 1

    def line(self) -> str:
        """Returns the line for the terminal."""
        if self.refusal is not None:
            return f"refused   {self.subject}: {self.refusal}"
        return f"{'accepted' if self.tested else '-       '}  {self.subject}{f': {self.note}' if self.note else ''}"
