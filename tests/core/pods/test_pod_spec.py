"""What users write reaches a container as it was written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flywheel.core.pods.pod_spec import literal_env, module_command

SECRET = {"AWS_SECRET_ACCESS_KEY": "hunter2"}


def expanded(value: str) -> str:
    """As the kubelet does it (k8s.io/kubernetes/third_party/forked/golang/expansion: `$$` is `$`, `$(NAME)` is its value)."""
    return re.sub(
        r"\$\$|\$\(([^)]*)\)", lambda found: "$" if found[0] == "$$" else SECRET.get(found[1], found[0]), value
    )


@pytest.mark.parametrize(
    "words", ["plain", "", "$(AWS_SECRET_ACCESS_KEY)", "$$(AWS_SECRET_ACCESS_KEY)", "5$", "$x $$ $("]
)
def test_no_word_of_a_user_is_filled_in(words: str) -> None:
    (variable,) = literal_env({"FLYWHEEL_PARAMS": words})

    assert expanded(variable.get("value", "")) == words


def test_a_command_of_ours_imports_nothing_from_its_folder_its_environment_or_its_home(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    home = tmp_path / f".local/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    home.mkdir(parents=True)
    program = f"open({str(marker)!r}, 'a').write(__name__)"
    for path in (tmp_path / "sitecustomize.py", tmp_path / "json.py", home / "usercustomize.py"):
        path.write_text(program)
    (home / "planted.pth").write_text(f"import os; {program}")
    command = [sys.executable, *module_command("json.tool")[1:], "--help"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": str(tmp_path / "json.py")}

    done = subprocess.run(
        command, cwd=tmp_path, env={**environment, "HOME": str(tmp_path)}, capture_output=True, check=False
    )

    assert done.returncode == 0
    assert not marker.exists()
