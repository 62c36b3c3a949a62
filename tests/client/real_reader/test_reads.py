"""The client and the commands against the reader itself and a real store."""

import csv
import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from arro3.core import Array, DataType
from kubernetes.client import Configuration

from flywheel.cli import main
from flywheel.client.downloads import remote_file, save_files
from flywheel.client.errors import FlywheelError
from flywheel.client.objects import live_service
from flywheel.client.session import Options, open_session
from flywheel.client.workspace import Workspace
from flywheel.cluster.client import Client
from tests.reader.routes import parquet_bytes
from tests.reader.running_reader import TOKEN, RunningReader
from tests.reader.seeds import new_record
from tests.runtime.monitoring.labels.log_files import LoggedRow, write_rows

pytestmark = pytest.mark.integration
LOG = b"epoch 1\nepoch 2\n"
CURVE = b'{"step": 0, "name": "loss", "value": 0.5, "time": "2026-11-01T00:00:00Z"}\n{"step": 1, "name": "loss", "value": NaN}\n'


@pytest.fixture(scope="module", autouse=True)
def seeded(reader_process: RunningReader) -> None:
    seeds = reader_process.seeds
    files = {"metrics.json": b"{}", "main.log.gz": gzip.compress(LOG), "metrics.jsonl": CURVE}
    records = [new_record(number) for number in range(1, 1300)]
    records += [new_record(1300, metrics={}, state="Failed"), seeds.trial(1301, files, name="other")]
    seeds.records(records)


def open_workspace(reader: RunningReader, token: str = TOKEN) -> Workspace:
    settings = Configuration(host=reader.cluster.url)
    settings.api_key = {"authorization": f"Bearer {token}"}
    return Workspace(open_session(Client(settings), "shop", Options(reader_url=f"http://127.0.0.1:{reader.port}")))


def test_all_pages_are_read_with_missing_metrics_last(reader: RunningReader) -> None:
    found = open_workspace(reader).trials(order_by="metrics.roc_auc DESC", experiment="delay")

    values: list[Any] = [row.get("metrics.roc_auc") for row in found]
    assert len(found) == 1300
    assert values[-1] is None
    assert values[:-1] == sorted(values[:-1], reverse=True)


def test_a_filter_a_reference_and_curves(reader: RunningReader) -> None:
    workspace = open_workspace(reader)
    trial = workspace.trial("other/1301")

    assert [row["trial"] for row in workspace.trials("metrics.roc_auc > 0.5 and attributes.trial = 7")] == [7]
    assert workspace.trial("uid-1.trial-7").parameters == {"C": pytest.approx(0.7)}
    assert trial.log() == LOG.decode()
    assert trial.log(tail_bytes=8) == "epoch 2\n"
    assert trial.curves("loss")["step"].tolist() == [0, 1]


def test_the_files_of_a_trial_are_downloaded_and_verified(reader: RunningReader, tmp_path: Path) -> None:
    trial = open_workspace(reader).trial("uid-1.trial-1301")
    files = [remote_file(trial.file_path(str(each["path"])), each) for each in trial.files()]

    save_files(trial.reader, files, tmp_path)

    assert (tmp_path / "metrics.jsonl").read_bytes() == CURVE


def test_an_interrupted_download_goes_on(reader: RunningReader, tmp_path: Path) -> None:
    trial = open_workspace(reader).trial("uid-1.trial-1301")
    (file,) = [
        remote_file(trial.file_path("metrics.jsonl"), each) for each in trial.files() if each["path"] == "metrics.jsonl"
    ]
    (tmp_path / "metrics.jsonl.partial").write_bytes(CURVE[:50])

    save_files(trial.reader, [file], tmp_path)

    assert (tmp_path / "metrics.jsonl").read_bytes() == CURVE


def test_logged_predictions_are_read_page_by_page(reader: RunningReader, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        rows = parquet_bytes({"row": Array([number, number + 10], DataType.int64())})
        reader.seeds.put(f"predictions/logged/rows/dt=2026-11-01/hour=11/pod=a/a-0-{number}.parquet", rows)
    monkeypatch.setattr(live_service, "MAX_PAGE_ROWS", 4)
    period = (datetime(2026, 11, 1, 10, tzinfo=UTC), "2026-11-01T12:00:00Z")

    found = open_workspace(reader).service("logged").predictions(*period, limit=None)
    some = open_workspace(reader).service("logged").predictions(*period, limit=5)

    assert [row["row"] for row in found] == [0, 10, 1, 11, 2, 12]
    assert [row["row"] for row in some] == [0, 10, 1, 11, 2]


def test_a_filter_that_cannot_be_read_says_where(reader: RunningReader) -> None:
    with pytest.raises(FlywheelError) as caught:
        open_workspace(reader).trials("metrics.roc_auc >")

    assert (caught.value.status, caught.value.reason) == (400, "BadFilter")


def test_without_a_right_nothing_is_named(reader: RunningReader) -> None:
    reader.cluster.tokens["token-of-bob"] = ("bob", "flywheel-reader")

    for reference in ("delay/7", "uid-1.trial-7", "missing/7", "uid-9.trial-7"):
        with pytest.raises(FlywheelError) as caught:
            open_workspace(reader, "token-of-bob").trial(reference)
        assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
        assert "LogisticRegression" not in str(caught.value)


def test_a_token_that_is_not_accepted_is_said_so(reader: RunningReader) -> None:
    with pytest.raises(FlywheelError) as caught:
        open_workspace(reader, "another").trials()

    assert (caught.value.status, caught.value.reason) == (401, "Unauthorized")


@pytest.fixture
def kubeconfig(reader: RunningReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands reach the reader and the API server's double."""
    config = tmp_path / "kubeconfig"
    cluster = {"name": "local", "cluster": {"server": reader.cluster.url}}
    context = {"name": "main", "context": {"cluster": "local", "user": "alice", "namespace": "shop"}}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "clusters": [cluster],
        "contexts": [context],
    }
    config.write_text(json.dumps({**document, "users": [{"name": "alice", "user": {"token": TOKEN}}]}))
    monkeypatch.setenv("KUBECONFIG", str(config))
    monkeypatch.setenv("FLYWHEEL_READER_URL", f"http://127.0.0.1:{reader.port}")


@pytest.mark.usefixtures("kubeconfig")
def test_the_commands_read_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trials", "--experiment", "delay", "--order-by", "metrics.roc_auc DESC", "--limit", "2"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["TRIAL", "delay/1299", "delay/1298"]
    assert main(["compare", "delay/7", "delay/9", "--differences", "-o", "json"]) == 0
    assert [each["field"] for each in json.loads(capsys.readouterr().out)["fields"]] == ["C", "roc_auc"]


@pytest.mark.usefixtures("kubeconfig")
def test_rows_to_label_are_drawn_from_the_files_of_the_log(reader: RunningReader, tmp_path: Path) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    rows = [LoggedRow(f"r-{at}", int(hour.timestamp()) + at, probability=(at + 0.5) / 2_000) for at in range(2_000)]
    content = write_rows(tmp_path / "rows.parquet", rows).read_bytes()
    reader.seeds.put(f"predictions/labelled/rows/{hour:dt=%Y-%m-%d/hour=%H}/pod=a/a-0-1.parquet", content)
    service = {"spec": {"logging": {"sample": "100%"}}, "status": {"version": "v1"}}
    monitor = {"spec": {"inferenceService": "labelled"}}
    for resource, name, manifest in (("inferenceservices", "labelled", service), ("modelmonitors", "watch", monitor)):
        metadata = {"name": name, "namespace": "shop", "uid": "uid-9"}
        reader.cluster.objects[resource, "shop", name] = {**manifest, "metadata": metadata}
    queue = tmp_path / "queue.csv"

    assert main(["label", "watch", "--rows", "200", "--output", str(queue)]) == 0

    with queue.open(newline="") as file:
        drawn = [*csv.DictReader(file)]
    doubtful = [each for each in drawn if 0.25 < json.loads(each["outputs.probabilities"])[1] < 0.75]
    assert 150 < len(drawn) < 250
    assert {each["features.region"] for each in drawn} == {"north"}
    assert len(doubtful) > 0.55 * len(drawn)
