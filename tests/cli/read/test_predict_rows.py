"""`flywheel predict`: rows of a file, by the service of a model."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from flywheel.cli import main
from tests.client.local_cluster import Call, LocalCluster, Reply

JSON_FORMS = ('[{"month": 1}, {"month": 2}]', '{"rows": [{"month": 1}, {"month": 2}]}', '{"month": 1}\n{"month": 2}\n')


def service(name: str = "delay", **auth: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"model": "delay", "auth": auth or {"none": {}}}}


def predictions(call: Call) -> Reply:
    return Reply({"model_version": "delay-1", "predictions": [{"label": each["month"]} for each in call.body["rows"]]})


@pytest.fixture
def serving(cluster: LocalCluster) -> LocalCluster:
    cluster.add("inferenceservices", service())
    cluster.servers["delay/v2/models/delay/predict"] = predictions
    return cluster


@pytest.mark.parametrize("text", JSON_FORMS)
def test_json_rows(serving: LocalCluster, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.json").write_text(text)

    assert main(["predict", "delay", "-f", str(tmp_path / "rows.json"), "-o", "json"]) == 0

    assert json.loads(capsys.readouterr().out) == {"predictions": [{"label": 1}, {"label": 2}]}
    assert serving.calls[-1].path == "/api/v1/namespaces/shop/services/http:delay:8080/proxy/v2/models/delay/predict"


def test_csv_goes_to_the_server_as_it_is(
    serving: LocalCluster, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text('\ufeffmonth,name\r\n1,"a, ""b""\nc"\r\n\r\n2,\r\n', newline="")
    serving.servers["delay/v2/models/delay/predict"] = Reply(
        {"model_version": "1", "predictions": [{"label": 1}, {"label": 2}]}
    )

    assert main(["predict", "delay", "-f", str(tmp_path / "rows.csv"), "-o", "csv"]) == 0

    assert capsys.readouterr().out == "label\n1\n2\n"
    assert serving.calls[-1].headers["Content-Type"] == "text/csv"
    assert serving.calls[-1].body == b'month,name\n1,"a, ""b""\nc"\n2,\n'


def test_standard_input(
    serving: LocalCluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'[{"month": 3}]')))

    assert main(["predict", "delay", "-f", "-"]) == 0
    assert capsys.readouterr().out.split() == ["label", "3"]


def test_a_service_by_its_name(serving: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[]")

    assert main(["predict", "delay", "--service", "missing", "-f", str(tmp_path / "rows.json")]) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("rows.json", b"[1, 2]", "must hold a list of objects", id="no objects"),
        pytest.param("rows.json", b"{", "is no JSON", id="no JSON"),
        pytest.param("rows.json", b"[\xff]", "is not UTF-8 (byte 1)", id="another encoding"),
        pytest.param("rows.csv", b"", "is empty; its first line must name the columns", id="no header"),
        pytest.param("rows.csv", b"a,b\n1\n", "row 1 has 1 cells, the header 2", id="a cell less"),
        pytest.param("missing.json", None, "cannot be read: No such file", id="no file"),
    ],
)
def test_a_file_that_holds_no_rows(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    assert main(["predict", "delay", "-f", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err


def test_a_token_of_an_identity_provider(serving: LocalCluster, tmp_path: Path) -> None:
    serving.add("inferenceservices", service(jwt={"issuer": "https://login.example"}))
    (tmp_path / "rows.json").write_text('[{"month": 3}]')
    (tmp_path / "token").write_text("from-the-provider")

    words = ["predict", "delay", "-f", str(tmp_path / "rows.json")]
    assert main(words) == 1
    assert main([*words, "--token-file", str(tmp_path / "token")]) == 0
    assert serving.calls[-1].headers["X-Flywheel-Authorization"] == "Bearer from-the-provider"
