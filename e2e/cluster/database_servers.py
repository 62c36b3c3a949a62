"""Database servers of Debian, unpacked into the cache: tests start them on loopback, and nothing is installed on the machine."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import paths
from e2e.cluster.lock import exclusive_lock
from e2e.cluster.progress import Failure, run, step


@dataclass(frozen=True)
class Server:
    """A package of Debian, and its server program below the root of the file system."""

    package: str
    program: str


POSTGRESQL = Server("postgresql-15", "usr/lib/postgresql/15/bin/postgres")
MARIADB = Server("mariadb-server-core", "usr/sbin/mariadbd")
SERVERS = (POSTGRESQL, MARIADB)


def root_of(server: Server) -> Path:
    """The root folder below which the server's programs and files are: `/` if it is installed, else where it was unpacked.

    Raises:
        Failure: this machine has no apt-get, or the package cannot be downloaded.
    """
    if (Path("/") / server.program).exists():
        return Path("/")
    folder = paths.cache() / "debian" / server.package
    root = folder / "root"
    with exclusive_lock(paths.cache() / "debian.lock", "The cache of Debian's packages"):
        if not (folder / "unpacked").exists():
            with step(f"{server.package} from Debian"):
                _unpack(server.package, folder, root)
    return root


def environment(root: Path) -> dict[str, str]:
    """The variables with which programs below a root find their libraries."""
    libraries = [str(folder) for folder in (*root.glob("usr/lib/*-linux-gnu"), *root.glob("lib/*-linux-gnu"))]
    found = {"LD_LIBRARY_PATH": ":".join(libraries)} if root != Path("/") else {}
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", **found}


def _unpack(package: str, folder: Path, root: Path) -> None:
    """Unpack the package and whatever it needs that this machine lacks. apt works in `folder`, so that it needs no rights."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Failure(f"This machine has no {package} and no apt-get; install {package}, whose server the tests start")
    log = paths.cache() / "logs" / f"{package}.log"
    lists, archives = folder / "apt" / "lists", folder / "apt" / "cache" / "archives"
    for each in (lists, archives):
        (each / "partial").mkdir(parents=True, exist_ok=True)
    settings = {
        "Dir::State::Lists": lists,
        "Dir::Cache": archives.parent,
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
    }
    apt = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in settings.items())]
    run([*apt, "update"], log)
    run([*apt, "install", "-y", "--no-install-recommends", "--download-only", package], log)
    for archive in sorted(archives.glob("*.deb")):
        run(["dpkg-deb", "--extract", archive, root], log)
    shutil.rmtree(folder / "apt")
    (folder / "unpacked").touch()
