"""`flywheel init`: what it sees in a table, and the manifests that it writes."""

import gzip
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
    assert main(["init", "table.csv"]) == 1
    assert "overwrite it with --force" in capsys.readouterr().err


def test_an_http_source_has_the_digest_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    source = draft_manifests(tmp_path / "t.csv", "t", "https://data.example.org/t.csv").source

    assert len(source["http"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("file", "name"), [("Sales 2024.csv.gz", "sales-2024"), ("___.csv", "table"), ("penguins.csv", "penguins")]
)
def test_a_name_is_that_of_the_file(file: str, name: str) -> None:
    assert object_name(Path(file)) == name
