"""The virtual environment and the lock files; standard library alone, since it runs before there is anything else.

python3 -m e2e.setup           make .venv hold what requirements/dev.txt says
python3 -m e2e.setup programs  build what the tests on an API server need, so that no test waits for a build
python3 -m e2e.setup store     build the S3 server that the tests of the runtime talk to
python3 -m e2e.setup databases unpack the database servers that tests start on loopback
python3 -m e2e.setup clients   build the clients that the tests of the model server use: h2spec and grpcurl
python3 -m e2e.setup mutants   make .venv/mutants hold what requirements/mutants.txt says
python3 -m e2e.setup mlflow    make .venv/mlflow hold what requirements/mlflow.txt says
python3 -m e2e.setup notebooks make .venv/notebooks hold what requirements/notebooks.txt says
python3 -m e2e.setup docs      make .venv/docs hold what requirements/docs.txt says
python3 -m e2e.setup tables    make .venv/tables hold what requirements/tables.txt says
python3 -m e2e.setup peers     make .venv/flaml and .venv/autogluon hold what their requirements/*.txt say
python3 -m e2e.setup evidently make .venv/evidently hold what requirements/evidently.txt says
python3 -m e2e.setup onnxruntime make .venv/onnxruntime hold what requirements/onnxruntime.txt says
python3 -m e2e.setup lock      write requirements/*.txt from pyproject.toml
"""

import hashlib
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from e2e.cluster import database_servers, golang
from e2e.cluster.files import write_if_changed
from e2e.cluster.paths import CHECKOUT
from e2e.cluster.progress import Failure, exit_code, step

UV = "uv==0.13.8"
PYTHON = Path(sys.executable).resolve()  # not the link in .venv, which may be active and is made anew
OLDEST_PYTHON = (3, 11)
ENVIRONMENT = CHECKOUT / ".venv"
REQUIREMENTS = CHECKOUT / "requirements"
PROJECT = ("pyproject.toml", "--no-emit-package", "flywheel-operator")
# What each lock file pins: the dependencies of the project with an extra or all of them, a group beside them, or a group alone.
LOCKED = {
    "operator": (*PROJECT, "--extra", "operator"),
    # The extra `mlflow` is not among them: it is tested in an environment of its own.
    "dev": (*PROJECT, "--extra", "client", "--extra", "operator", "--group", "dev"),
    **{
        name: ("--group", name)
        for name in (
            "reader",
            "runtime",
            "serving",
            "mutants",
            "mlflow",
            "docs",
            "flaml",
            "autogluon",
            "evidently",
            "shap",
        )
    },
    "notebooks": (*PROJECT, "--extra", "client", "--group", "notebooks"),
    **{name: ("--group", name, "--no-deps") for name in ("tables", "onnxruntime")},
}

COMMAND = """\
#!{python}
import sys

sys.path[:0] = {folders}
from flywheel.cli import main

sys.exit(main())
"""


def setup() -> None:
    """Make .venv from requirements/dev.txt."""
    check_commit_messages()
    install(ENVIRONMENT, "dev", "Python packages")
    write_command(ENVIRONMENT / "bin" / "flywheel", ENVIRONMENT / "bin" / "python")


def write_command(path: Path, python: Path) -> None:
    """Write the command `flywheel` of this checkout, which the demo names; what it runs is the checkout's code."""
    folders = [str(CHECKOUT / folder) for folder in ("operator", "images/runtime", "images/serving")]
    write_if_changed(path, COMMAND.format(python=python, folders=folders), mode=0o755)


def mutants() -> None:
    """Make .venv/mutants from requirements/mutants.txt."""
    install(ENVIRONMENT / "mutants", "mutants", "cosmic-ray")


def mlflow() -> None:
    """Make .venv/mlflow from requirements/mlflow.txt: the MLflow that the plugin is tested with."""
    install(ENVIRONMENT / "mlflow", "mlflow", "MLflow")


def notebooks() -> None:
    """Make .venv/notebooks from requirements/notebooks.txt: the Python client, and what executes notebooks."""
    install(ENVIRONMENT / "notebooks", "notebooks", "notebooks")


def docs() -> None:
    """Make .venv/docs from requirements/docs.txt: what builds the pages of docs/."""
    install(ENVIRONMENT / "docs", "docs", "Zensical")


def tables() -> None:
    """Make .venv/tables from requirements/tables.txt, which lists no dependencies: only data files are read."""
    install(ENVIRONMENT / "tables", "tables", "public tables", "--no-deps")


def peers() -> None:
    """Make .venv/flaml and .venv/autogluon, the peers of `make bench-preset`."""
    for name, title in (("flaml", "FLAML"), ("autogluon", "AutoGluon")):
        install(ENVIRONMENT / name, name, title)


def evidently() -> None:
    """Make .venv/evidently, the peer of `make bench-monitoring`."""
    install(ENVIRONMENT / "evidently", "evidently", "Evidently")


def shap() -> None:
    """Make .venv/shap, the peer of `make bench-explanation`."""
    install(ENVIRONMENT / "shap", "shap", "shap")


def onnxruntime() -> None:
    """Make .venv/onnxruntime from requirements/onnxruntime.txt: the newest one alone, which comes before that of .venv on a path."""
    install(ENVIRONMENT / "onnxruntime", "onnxruntime", "the newest onnxruntime", "--no-deps")


def install(environment: Path, requirements: str, title: str, *options: str) -> None:
    """Make a virtual environment; nothing, if it was made from exactly these requirements by this Python."""
    pinned = REQUIREMENTS / f"{requirements}.txt"
    stamp = environment / "made-from"
    wanted = content(environment, pinned)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    refuse_unfit_python()
    with step(title):
        shutil.rmtree(environment, ignore_errors=True)
        call(PYTHON, "-m", "venv", environment)
        call(environment / "bin/pip", "install", "--quiet", UV)
        call(
            environment / "bin/uv", "pip", "install", "--quiet", "--python", environment / "bin/python",
            "--require-hashes", *options, "-r", pinned,
        )  # fmt: skip
    stamp.write_text(wanted)


def check_commit_messages() -> None:
    """Point git to .githooks, where `commit-msg` holds CONTRIBUTING's form; a copy without git has no commits to check."""
    if (CHECKOUT / ".git").exists() and shutil.which("git"):
        call("git", "config", "core.hooksPath", ".githooks")


def lock() -> None:
    """One file for each image and environment: what an image installs is no more than it needs."""
    for name, words in LOCKED.items():
        call(
            ENVIRONMENT / "bin/uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-annotate", "--no-header",
            "--python-version", "3.11", *words, "-o", f"requirements/{name}.txt",
        )  # fmt: skip


def programs() -> None:
    """etcd, kube-apiserver and kubectl, and helm."""
    golang.build_all((golang.KUBE, golang.HELM))


def store() -> None:
    """versitygw."""
    golang.build(golang.VERSITYGW)


def databases() -> None:
    """The database servers."""
    for server in database_servers.SERVERS:
        database_servers.root_of(server)


def clients() -> None:
    """h2spec and grpcurl."""
    golang.build_all((golang.H2SPEC, golang.GRPCURL))


def content(environment: Path, pinned: Path) -> str:
    """What decides an environment."""
    digest = hashlib.sha256(pinned.read_bytes())
    digest.update(f"{UV} {sys.version} {environment}".encode())
    return digest.hexdigest()


def refuse_unfit_python() -> None:
    """Raises Failure with what to install."""
    if sys.version_info < OLDEST_PYTHON:
        raise Failure(f"python3 is {sys.version.split()[0]}, and Flywheel needs 3.11; put a newer one first in PATH")
    if find_spec("ensurepip") is None:
        raise Failure("python3 cannot make virtual environments here; install it with 'apt-get install python3-venv'")


def call(*words: str | Path) -> None:
    """Run in the checkout; the program's own words are its error."""
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        program = Path(words[0]).name
        raise Failure(
            f"{done.stdout}{done.stderr}\n'{program} {words[1]}' failed while making {ENVIRONMENT.name}; see its words above"
        )


VERBS = {
    "": setup,
    "lock": lock,
    "mutants": mutants,
    "mlflow": mlflow,
    "notebooks": notebooks,
    "docs": docs,
    "tables": tables,
    "peers": peers,
    "evidently": evidently,
    "shap": shap,
    "onnxruntime": onnxruntime,
    "programs": programs,
    "store": store,
    "databases": databases,
    "clients": clients,
}


def main() -> int:
    return exit_code(VERBS[" ".join(sys.argv[1:])])


if __name__ == "__main__":
    sys.exit(main())
