"""The Python client after a search: trials as a DataFrame, predictions, the model on the laptop, the data; and nothing without rights."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import flywheel as fw
from e2e.cluster import cluster
from e2e.manifests import SMALL_LOOP, read_patients
from e2e.namespace import Namespace
from e2e.reader_access import bind, give_reader_a_key, token_reviews, wait_for_reader
from flywheel.cli import main
from flywheel.client.errors import FlywheelError
from flywheel.client.workspace import Workspace

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return read_patients()


@pytest.fixture(scope="module")
def served(namespace: Namespace, frame: pd.DataFrame) -> Iterator[Namespace]:
    give_reader_a_key()
    bind(namespace, "science", "view", "flywheel-data-reader")
    bind(namespace, "nobody")
    with token_reviews(namespace):
        place = namespace.upload("patients.csv", frame.to_csv(index=False))
        namespace.apply(SMALL_LOOP % (place, "serviceAccount"))
        namespace.wait("fwexp", "malignant", seconds=300)
        namespace.wait("fwmodel", "malignant")
        namespace.wait("fwsvc", "malignant")
        yield namespace


def connect(namespace: Namespace, account: str, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """As a user with a client certificate, who may use the ServiceAccount."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.chosen().kubeconfig))
    return fw.connect(namespace.name, service_account=account)


@pytest.fixture
def workspace(served: Namespace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    found = connect(served, "science", monkeypatch)
    wait_for_reader(found)
    return found


def test_trials_are_a_dataframe(workspace: Workspace) -> None:
    trials = workspace.experiments(name="malignant").to_pandas()

    assert len(trials) == 3
    assert trials["metrics.roc_auc"].notna().all()
    assert set(trials["state"]) == {"Succeeded"}


def test_the_champion_predicts_here_and_there(workspace: Workspace, frame: pd.DataFrame) -> None:
    champion = workspace.model("malignant").champion()
    rows = frame.drop(columns="malignant").head(50)

    found = champion.predict(rows)
    session = champion.load()

    assert isinstance(found, pd.DataFrame)
    assert len(found) == 50
    assert found.attrs["model_versions"] == [champion.name]
    assert {each.name for each in session.get_inputs()} <= set(rows.columns)


def test_the_data_is_a_dataframe(workspace: Workspace, frame: pd.DataFrame) -> None:
    data = workspace.dataset("patients")
    splits = [data.to_pandas(split) for split in ("train", "validation", "test")]

    assert sum(map(len, splits)) == len(frame)
    assert set(splits[0].columns) == set(frame.columns)
    assert len(data.to_pandas(limit=10)) == 10


def test_the_commands_do_the_same(
    workspace: Workspace, frame: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.csv"
    frame.drop(columns="malignant").head(3).to_csv(rows, index=False)
    options = ("--namespace", workspace.namespace, "--service-account", "science")

    assert main(["predict", "malignant", "-f", str(rows), "-o", "csv", *options]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert main(["download", "model", "malignant", "--to", str(tmp_path / "model"), *options]) == 0
    assert (tmp_path / "model/model.onnx").is_file()
    assert main(["trials", *options]) == 0
    assert "malignant/1" in capsys.readouterr().out
    assert main(["compare", "malignant/1", "malignant/2", *options]) == 0
    assert main(["logs", "malignant/1", *options]) == 0


def test_without_rights_nothing_is_read(
    served: Namespace, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = connect(served, "nobody", monkeypatch)

    for read in (
        lambda: stranger.trials(),
        lambda: stranger.trial("malignant/1"),
        lambda: stranger.model("malignant").champion().load(),
        lambda: stranger.dataset("patients").to_pandas(limit=1),
        lambda: stranger.model("malignant").champion().predict([{"mean_radius": 1.0}]),
    ):
        with pytest.raises(FlywheelError) as caught:
            read()
        assert caught.value.status == 403
