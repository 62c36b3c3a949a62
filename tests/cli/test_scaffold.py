"""`flywheel init`: what it sees in a table, and the manifests that it writes."""

import gzip
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from flywheel.cli import main
from flywheel.cli.errors import CommandError
from flywheel.cli.scaffold import draft_manifests, object_name
from flywheel.cli.scaffold.csv_columns import read_table
from flywheel.cli.scaffold.manifests import describe_column, write_manifests
from flywheel.engine import discover

KINDS = {kind.api.kind: kind for kind in discover.kinds()}
ROWS = "".join(
    f"{number},{'abc'[number % 3]},{number / 7:.3f},2024-01-01T{number % 24:02}:00:00Z,{number % 2}\n"
    for number in range(60)
)
TABLE = f"order_id,shop,amount,bought,late\n{ROWS}"


def written(tmp_path: Path, content: str, **options: Any) -> list[dict[str, Any]]:
    """The manifests of that table."""
    file = tmp_path / "table.csv"
    file.write_text(content)
    return list(
        yaml.safe_load_all(write_manifests(draft_manifests(file, "table", "s3://flywheel/shop/table/", **options)))
    )


def test_keys_times_and_the_target_are_found(tmp_path: Path) -> None:
    dataset, *_others = written(tmp_path, TABLE)

    assert dataset["spec"] == {
        "source": {"s3": {"uri": "s3://flywheel/shop/table/"}},
        "target": "late",
        "keys": ["order_id"],
        "eventTime": "bought",
    }


def test_the_manifests_go_from_data_to_a_service_and_fit_their_kinds(tmp_path: Path) -> None:
    manifests = written(tmp_path, TABLE)

    assert [each["kind"] for each in manifests] == ["Dataset", "Experiment", "Model", "InferenceService"]
    for each in manifests:
        KINDS[each["kind"]].spec.model_validate(each["spec"])
    assert manifests[2]["spec"]["objective"] == {"metric": "roc_auc"}


def test_numbers_are_predicted_by_regression(tmp_path: Path) -> None:
    assert written(tmp_path, TABLE, target="amount")[2]["spec"]["objective"] == {"metric": "rmse"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    (tmp_path / "t.csv").write_text(TABLE.replace(",", delimiter))

    assert len(read_table(tmp_path / "t.csv").columns) == 5


def test_a_compressed_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(TABLE.encode("utf-8-sig")))

    assert read_table(tmp_path / "t.csv.gz").columns[0].name == "order_id"


@pytest.mark.parametrize(
    ("column", "description"),
    [
        ("shop", "String, 3 values (a, b, c)"),
        ("amount", "Float, 0 to 8.429"),
        ("bought", "Timestamp"),
        ("late", "Integer, 2 values (0, 1)"),
    ],
)
def test_a_column_is_described(tmp_path: Path, column: str, description: str) -> None:
    (tmp_path / "t.csv").write_text(TABLE)

    assert describe_column(read_table(tmp_path / "t.csv").column(column)) == description


HOSTILE_NAMES = [
    "a\x1b[31m",
    "y",
    "on",
    "1",
    "null",
    "naïve: {x}",
    'qu"ote',
    "# comment",
    "- item",
    "\u202eevil",
    "a b",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_stays_a_name(tmp_path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    dataset, *_others = written(tmp_path, f"x,{quoted}\n" + "".join(f"{n},{n % 2}\n" for n in range(40)))

    assert dataset["spec"]["target"] == name


def test_no_comment_of_a_hostile_name_becomes_yaml(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n},{n % 2}\n" for n in range(40))
    dataset, *_others = written(tmp_path, f'x,"a\nspec: {{evil: true}}",late\n{rows}')

    assert dataset["spec"] == {"source": {"s3": {"uri": "s3://flywheel/shop/table/"}}, "target": "late"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(b"", "is empty", id="an empty file"),
        pytest.param(b"a,b\n", "and no row", id="a header alone"),
        pytest.param(b"a,a\n1,2\n", "two columns 'a'", id="two columns of one name"),
        pytest.param(b"a,\n1,2\n", "a column without a name", id="a column without a name"),
        pytest.param(b"a,b\n\xff\xfe,2\n", "is not UTF-8 text", id="another encoding"),
        pytest.param(b"PAR1\x00\x01,x\n", "is no text", id="Parquet"),
        pytest.param(b"a,b\n1,1\n1,1\n", "name one with --target", id="nothing to predict"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(content)

    with pytest.raises(CommandError, match=sentence):
        draft_manifests(file, "t", "s3://flywheel/shop/t/")


def test_a_file_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("table.csv").write_text(TABLE)

    assert main(["init", "table.csv", "--namespace", "shop"]) == 0
    assert "kubectl apply -f table.yaml -n shop" in capsys.readouterr().out
    assert main(["init", "table.csv", "-n", "shop"]) == 1
    assert "overwrite it with --force" in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table, and a kubeconfig that is not there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    for name in ("KUBERNETES_SERVICE_HOST", "FLYWHEEL_RELEASE_NAMESPACE", "FLYWHEEL_NAMESPACE_OF_RELEASE"):
        monkeypatch.delenv(name, raising=False)
    Path("Sales 2024.csv").write_text(TABLE)
    return tmp_path


def test_without_a_namespace_it_is_that_of_the_kubeconfig(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "bakery"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [cluster],
        "contexts": [context],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump({**config, "users": [{"name": "u", "user": {"token": "t"}}]}))

    assert main(["init", "Sales 2024.csv", "--to", "-"]) == 0

    dataset, *_others = yaml.safe_load_all(capsys.readouterr().out)
    assert dataset["spec"]["source"] == {"s3": {"uri": "s3://flywheel/bakery/sales-2024/"}}


def test_without_any_namespace_nothing_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "Sales 2024.csv"]) == 2
    assert "name the namespace with -n" in capsys.readouterr().err
    assert not (folder / "sales-2024.yaml").exists()

    assert main(["init", "Sales 2024.csv", "--uri", "https://data.example.org/s.csv"]) == 0
    assert "kubectl apply -f sales-2024.yaml\n" in capsys.readouterr().out


def test_the_next_commands_reach_the_embedded_store_and_end_with_a_prediction(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "Sales 2024.csv", "-n", "shop", "--to", "my sales.yaml"]) == 0

    _head, *lines = capsys.readouterr().out.splitlines()
    assert [shlex.split(line.replace("$(", "").replace(")", ""), comments=True)[:3] for line in lines] == [
        ["export", "AWS_ACCESS_KEY_ID=kubectl -n shop get secret flywheel-store -o jsonpath='{.data.AWS_ACCESS_KEY_ID}' | base64 -d"],
        ["export", "AWS_SECRET_ACCESS_KEY=kubectl -n shop get secret flywheel-store -o jsonpath='{.data.AWS_SECRET_ACCESS_KEY}' | base64 -d"],
        ["kubectl", "-n", "flywheel-system"],
        ["aws", "--endpoint-url", "http://127.0.0.1:7070"],
        ["flywheel", "test", "-f"],
        ["kubectl", "apply", "-f"],
        ["flywheel", "status", "-n"],
        ["flywheel", "predict", "sales-2024"],
    ]  # fmt: skip
    assert shlex.split(lines[3])[-2:] == ["Sales 2024.csv", "s3://flywheel/shop/sales-2024/Sales 2024.csv"]
    assert "-f 'my sales.yaml' -n shop" in lines[5]


def test_an_http_source_has_the_digest_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    source = draft_manifests(tmp_path / "t.csv", "t", "https://data.example.org/t.csv").source

    assert len(source["http"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("file", "name"), [("Sales 2024.csv.gz", "sales-2024"), ("___.csv", "table"), ("penguins.csv", "penguins")]
)
def test_a_name_is_that_of_the_file(file: str, name: str) -> None:
    assert object_name(Path(file)) == name
