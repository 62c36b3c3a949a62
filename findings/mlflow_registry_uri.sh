#!/bin/sh
# download_artifacts(models:/…) with tracking_uri and registry_uri looks the version up in the default registry, which it creates if there is none.
set -eu
echo "mlflow 3.17.2: download_artifacts('models:/NAME/1', tracking_uri=A, registry_uri=A) asks the default registry for the version, finds none and leaves a new mlflow.db in the working folder; after set_registry_uri(A) it finds it"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet mlflow==3.17.2
mkdir "$folder/work"
cd "$folder/work"
MLFLOW_DISABLE_TELEMETRY=true "$folder/venv/bin/python" -W ignore - "sqlite:///$folder/registry.db" <<'PYTHON'
import logging
import sys
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

logging.getLogger("mlflow").setLevel(logging.ERROR)
registry = sys.argv[1]
files = Path("files").absolute()
files.mkdir()
(files / "model.txt").write_text("weights")
client = MlflowClient(tracking_uri=registry, registry_uri=registry)
client.create_registered_model("delay")
client.create_model_version("delay", source=files.as_uri())


def outcome() -> str:
    try:
        return Path(download_artifacts("models:/delay/1/model.txt", tracking_uri=registry, registry_uri=registry)).read_text()
    except mlflow.MlflowException as error:
        return str(error)


named = outcome()
created = Path("mlflow.db").exists()
mlflow.set_registry_uri(registry)
default = outcome()
print(f"named in the call: {named}; mlflow.db was created: {created}")
print(f"set as the default: {default}")
assert "not found" in named, named
assert created
assert default == "weights", default
PYTHON
