"""Whatever goes wrong is named, loses nothing, and is found as early as it can be."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.runtime.commands.batch.batch_pods import BatchPods

pytestmark = pytest.mark.integration
HEADER = "id,month,wind,carrier\n"
GOOD = HEADER + "a,1,2.5,UA\nb,2,3.5,DL\nc,3,4.5,\n"


def faults(pods: BatchPods) -> list[dict[str, Any]]:
    """All rows that could not be scored."""
    paths = [each["path"] for each in pods.document()["errorFiles"]]
    return [json.loads(line) for path in paths for line in pods.get(f"out/{path}").splitlines()]


@pytest.mark.parametrize(
    ("files", "changes", "reason", "code", "words"),
    [
        pytest.param({}, {}, "EmptySource", 1, "holds no data", id="nothing there"),
        pytest.param({"_SUCCESS": "1", ".hidden": "1"}, {}, "EmptySource", 1, "holds no data", id="markers alone"),
        pytest.param({"a.csv": HEADER}, {}, "NoRows", 1, "has no rows", id="a header alone"),
        pytest.param({"a.txt": GOOD}, {}, "FormatUnknown", 2, "set spec.input.format", id="an unknown name"),
        pytest.param({"a.csv": GOOD, "b.jsonl": "{}"}, {}, "FormatMixed", 2, "keep one format", id="two formats"),
        pytest.param({"a.csv": "id,month\na,1\n"}, {}, "ColumnsMissing", 2,
                     "no column 'wind', 'carrier'; the model takes 'month', 'wind', 'carrier', and the file has 'id', 'month'", id="columns missing"),
        pytest.param({"a.csv": GOOD, "b.csv": "id\n1\n"}, {}, "ColumnsMissing", 2, "file 'b.csv'", id="columns missing in one file"),
        pytest.param({"a.csv": GOOD}, {"output": {"include": ["ident"]}}, "ColumnsMissing", 2, "'ident', which spec.output.include names", id="nothing to include"),
        pytest.param({"a.csv": GOOD.replace("id", "label", 1)}, {"output": {"include": ["label"]}}, "ColumnsDiffer", 2, "two columns 'label'", id="a name twice"),
        pytest.param({"a.csv": "a,,b"}, {}, "HeaderInvalid", 2, "Column 2 of file", id="no header"),
        pytest.param({"a.parquet": "PAR1 but no Parquet"}, {}, "UnreadableParquet", 2, "is not Parquet", id="no Parquet"),
        pytest.param({"a.parquet": b"PAR1" + b"\0" * 99 + b"\x20\0\0\0PAR1"}, {}, "UnreadableParquet", 2, "a.parquet", id="damaged Parquet"),
        pytest.param({"a.csv.gz": gzip.compress(GOOD.encode())[:-9]}, {}, "BrokenGzip", 2, "a.csv.gz", id="broken gzip"),
    ],
)  # fmt: skip
def test_the_plan_refuses(
    pods: BatchPods, files: dict[str, Any], changes: dict[str, Any], reason: str, code: int, words: str
) -> None:
    for name, content in files.items():
        pods.put(f"in/{name}", content)

    ended, told = pods.step("plan", **changes)

    assert (ended, told["reason"], told["retry"]) == (code, reason, code == 1)
    assert words in told["message"]
    assert pods.written() == []


def test_features_of_a_model_with_several_inputs_are_a_warning(pods: BatchPods) -> None:
    pods.put("in/a.csv", GOOD)

    warning = pods.plan(input={"features": ["month", "wind"]})["facts"]["warning"]

    assert warning.startswith("spec.input.features has no effect: the model has 3 inputs")


def test_one_object_that_is_not_there_is_waited_for(pods: BatchPods) -> None:
    uri = pods.params["input"]["s3"]["uri"] + "rows.csv"

    code, told = pods.step("plan", input={"s3": {"uri": uri}})

    assert (code, told["reason"]) == (1, "SourceMissing")
    assert uri in told["message"]


def test_an_output_inside_its_input_is_refused(pods: BatchPods, bucket: str) -> None:
    pods.put("in/a.csv", GOOD)

    code, told = pods.step("plan", output={"s3": {"uri": f"s3://{bucket}/shop/in/scored/"}})

    assert (code, told["reason"]) == (2, "OutputNotAllowed")
    assert "lies inside the input" in told["message"]


def test_a_plan_of_another_image_is_made_anew(pods: BatchPods, monkeypatch: pytest.MonkeyPatch) -> None:
    pods.put("in/a.csv", GOOD)
    pods.plan()
    monkeypatch.setattr("flywheel_runtime.commands.batch.scoring_plan.VERSION", 99)

    code, told = pods.step("score")

    assert (code, told["reason"]) == (2, "PlanOutdated")


@pytest.mark.parametrize(
    "below",
    ["", "other/", "shop/", "shop/blobs/", "shop/results/x/", "shop/audit/", "shop/predictions/x/", "shop/../other/"],
)
def test_what_is_others_is_not_written(pods: BatchPods, bucket: str, below: str) -> None:
    pods.put("in/a.csv", GOOD)

    code, told = pods.step("plan", output={"s3": {"uri": f"s3://{bucket}/{below}"}})

    assert (code, told["reason"]) == (2, "OutputNotAllowed")
    assert f"s3://{bucket}/shop/" in told["message"]


def test_another_bucket_is_not_written_without_a_secret(pods: BatchPods) -> None:
    pods.put("in/a.csv", GOOD)

    code, told = pods.step("plan", output={"s3": {"uri": "s3://another-bucket/shop/out/"}})

    assert (code, told["reason"]) == (2, "OutputNotAllowed")


def test_the_input_of_another_namespace_is_not_read(pods: BatchPods, bucket: str) -> None:
    code, told = pods.step("plan", input={"s3": {"uri": f"s3://{bucket}/bakery/in/"}})

    assert (code, told["reason"]) == (2, "SourceNotAllowed")


def test_an_output_that_cannot_be_written_is_told_before_the_work(pods: BatchPods, bucket: str) -> None:
    pods.put("in/a.csv", GOOD)
    place = {"uri": f"s3://{bucket}/out/", "foreign": True, "endpoint": None, "secret": "partner"}
    pods.env |= {"OUTPUT_AWS_ENDPOINT_URL": pods.env["AWS_ENDPOINT_URL"], "OUTPUT_AWS_ACCESS_KEY_ID": "nobody",
                  "OUTPUT_AWS_SECRET_ACCESS_KEY": "wrong"}  # fmt: skip

    code, told = pods.step("plan", output={"s3": place})

    assert (code, told["retry"]) == (1, True)
    assert "partner" in told["message"]


def test_bad_rows_fail_alone_and_are_kept_with_their_numbers(pods: BatchPods) -> None:
    pods.put("in/a.csv", HEADER + "a,1,2,UA\nb,many,2,UA\nc,3\nd,4,1e39,DL\ne,5,6,\n")
    pods.put("in/b.csv", HEADER + "f,1,2,UA\ng,?,2,UA\n")

    told = pods.whole(output={"include": ["id"]})

    assert told["metrics"] == {"rows": 3.0, "errors": 4.0}
    assert [(each["file"], each["row"], each["reason"]) for each in faults(pods)] == [
        ("a.csv", 2, "BadValue"),
        ("a.csv", 3, "RaggedRow"),
        ("a.csv", 4, "BadValue"),
        ("b.csv", 2, "BadValue"),
    ]
    assert "column 'month': 'many' is no number" in faults(pods)[0]["message"]
    (part,) = pods.document()["files"]
    assert [json.loads(line)["id"] for line in pods.get("out/" + part["path"]).splitlines()] == ["a", "e", "f"]


@pytest.mark.parametrize(("most", "ends"), [(2, "TooManyRowErrors"), (3, None)])
def test_row_errors_are_bounded_over_all_shards(pods: BatchPods, most: int, ends: str | None) -> None:
    bad = "".join(f"{name},?,2,UA\n" for name in "xyz")
    pods.put("in/a.csv", GOOD + bad)
    pods.plan(shards=6, maxRowErrors=most)
    pods.score_all(maxRowErrors=most)

    code, told = pods.step("finish", maxRowErrors=most)

    assert (code, told.get("reason")) == (2 if ends else 0, ends)
    assert ("_manifest.json" in pods.written()) is (ends is None)


def test_a_shard_with_too_many_row_errors_ends_at_once_and_leaves_them(pods: BatchPods) -> None:
    pods.put("in/a.csv", HEADER + "x,?,2,UA\n" * 50)
    pods.plan(maxRowErrors=10)

    code, told = pods.step("score", maxRowErrors=10)

    assert (code, told["reason"]) == (2, "TooManyRowErrors")
    assert "row 50 of file 'a.csv' (BadValue)" in told["message"]
    assert "?" not in told["message"], "whoever may read the status may not be allowed to read the rows"
    (path,) = pods.written()
    assert path.startswith("_errors/")
    assert "'?' is no number" in pods.get(f"out/{path}").decode()
    assert json.loads(pods.get(f"out/{path}").splitlines()[0])["row"] == 1


def test_an_output_without_any_row_is_none(pods: BatchPods) -> None:
    pods.put("in/a.csv", HEADER + "x,?,2,UA\n")
    pods.plan()
    pods.score_all()

    code, told = pods.step("finish")

    assert (code, told["reason"]) == (2, "NoRowScored")


def test_a_shard_that_is_done_is_not_done_again(pods: BatchPods) -> None:
    pods.put("in/a.csv", GOOD)
    pods.plan()
    (first,) = pods.score_all()
    before = {key: pods.bucket.head(f"shop/out/{key}") for key in pods.written()}
    pods.env["FLYWHEEL_SERVER"] = "127.0.0.1:1"

    code, again = pods.step("score")

    assert (code, first["repeated"], again["repeated"]) == (0, False, True)
    assert again["metrics"]["rows"] == first["metrics"]["rows"]
    assert {key: pods.bucket.head(f"shop/out/{key}") for key in pods.written()} == before


def test_a_part_that_somebody_removed_is_made_again_with_the_same_bytes(pods: BatchPods) -> None:
    pods.put("in/a.csv", GOOD)
    pods.plan(output={"format": "Parquet"})
    pods.score_all()
    (key,) = pods.written()
    before = pods.get(f"out/{key}")
    pods.bucket.delete(f"shop/out/{key}")

    (again,) = pods.score_all()

    assert (again["repeated"], pods.get(f"out/{key}")) == (False, before)


def test_an_input_that_changed_after_the_plan_is_not_mixed(pods: BatchPods) -> None:
    pods.put("in/a.csv", GOOD)
    pods.plan()
    pods.put("in/a.csv", GOOD.replace("2.5", "9.5"))

    code, told = pods.step("score")

    assert (code, told["reason"]) == (2, "InputChanged")


def test_without_all_shards_there_is_no_output(pods: BatchPods) -> None:
    pods.put("in/a.csv", GOOD)
    pods.plan(shards=3)
    pods.step("score", 0)

    code, told = pods.step("finish")

    assert (code, told["reason"]) == (1, "ShardMissing")
    assert "_manifest.json" not in pods.written()


def test_an_output_of_the_same_work_is_done(pods: BatchPods) -> None:
    pods.put("in/a.csv", GOOD)
    pods.whole()

    told = pods.plan()

    assert told["repeated"] is True
    assert (told["metrics"]["rows"], told["facts"]["manifest"]) == (
        3.0,
        pods.params["output"]["s3"]["uri"] + "_manifest.json",
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda pods: pods.put("in/a.csv", GOOD.replace("2.5", "9.5")), id="other rows"),
        pytest.param(lambda pods: pods.params["model"].update(digest="sha256:" + "6" * 64), id="another model"),
    ],
)
def test_an_output_of_other_work_is_refused_unless_it_may_be_overwritten(
    pods: BatchPods, change: Callable[[BatchPods], None]
) -> None:
    pods.put("in/a.csv", GOOD)
    pods.whole()
    before, old = pods.written(), pods.document()
    change(pods)

    code, told = pods.step("plan")
    assert (code, told["reason"]) == (2, "OutputExists")
    assert (pods.written(), pods.document()) == (before, old)

    pods.whole(output={"overwrite": True})
    assert pods.document()["plan"] != old["plan"]
    assert len(pods.written()) == len(before)
    assert not {each["path"] for each in old["files"]} & set(pods.written())


def test_who_finishes_second_into_one_output_is_told(pods: BatchPods) -> None:
    pods.put("in/a.csv", GOOD)
    pods.plan()
    pods.score_all()
    first = pods.planned
    pods.put("in/a.csv", GOOD.replace("2.5", "9.5"))
    pods.whole()
    pods.planned = first

    code, told = pods.step("finish")

    assert (code, told["reason"]) == (2, "OutputExists")
    assert pods.document()["plan"] != first["facts"]["id"]


def test_a_server_that_is_gone_is_told(pods: BatchPods, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flywheel_runtime.commands.batch.inference.client.Client.__init__.__defaults__", (0.5,))
    pods.put("in/a.csv", GOOD)
    pods.server = "127.0.0.1:1"

    code, told = pods.step("plan")

    assert (code, told["reason"]) == (1, "ServerLost")
    assert "container 'server'" in told["message"]


def test_the_output_is_an_input_again(pods: BatchPods) -> None:
    pods.put("in/a.csv", HEADER + "a,1,2,UA\nb,?,2,UA\n")
    include = {"include": ["id", "month", "wind", "carrier"]}
    pods.whole(output=include)
    uri = pods.params["output"]["s3"]["uri"]

    told = pods.whole(
        input={"s3": {"uri": uri}}, output={"s3": {"uri": uri.replace("/out/", "/again/")}, "include": ["id"]}
    )

    assert told["metrics"] == {"rows": 1.0, "errors": 0.0}
