"""`flywheel label`: rows are drawn once, labels stay in the file, and are posted with the probabilities of their draw."""

import csv
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flywheel.cli import main
from flywheel.client.labels import logged_frame
from tests.client.local_cluster import LocalCluster, Reply, reader_error, status

LOGGED = "/v1/namespaces/shop/inferenceservices/delay/predictions"
FEEDBACK = "delay/v2/models/delay/feedback"
ROWS = 3_000
YESTERDAY = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=10)
DRAWS = random.Random(3)
ERRORS = [DRAWS.betavariate(0.3, 3) / 2 for _ in range(ROWS)]
WRONG = [DRAWS.random() < error for error in ERRORS]
SPEC: dict[str, Any] = {
    "inferenceService": "delay",
    "groundTruth": {"delay": {"max": "3d"}},
    "performance": {"metric": "accuracy"},
}


def logged_row(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "id": f"r-{number}",
        "row": number % 3,
        "time": (YESTERDAY + timedelta(seconds=number)).isoformat(),
        "version": "delay-1",
        "digest": "sha256:1",
        "key": f"UA-{number}",
        "features": {"origin": "JFK" if number % 100 else "=cmd()", "month": 3},
        "outputs": {"label": 0, "probabilities": [1 - ERRORS[number], ERRORS[number]]},
        **changed,
    }


@pytest.fixture
def logged(cluster: LocalCluster) -> LocalCluster:
    add_monitor(cluster, SPEC)
    service = {"spec": {"logging": {"sample": "100%"}, "auth": {"none": {}}}, "status": {"version": "delay-1"}}
    cluster.add("inferenceservices", {"metadata": {"name": "delay", "namespace": "shop"}, **service})
    cluster.reader[LOGGED] = Reply({"items": [logged_row(number) for number in range(ROWS)], "next": None})
    cluster.servers[FEEDBACK] = Reply({"accepted": 1}, 202)
    return cluster


def add_monitor(cluster: LocalCluster, spec: dict[str, Any]) -> None:
    cluster.add("modelmonitors", {"metadata": {"name": "watch", "namespace": "shop", "uid": "uid-7"}, "spec": spec})


def cells_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def fill_in(path: Path, labels: dict[str, str]) -> None:
    rows = cells_of(path)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "label": labels.get(row["id"], row["label"])} for row in rows)


def test_rows_are_written_with_what_a_person_needs_to_label_them(
    logged: LocalCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = tmp_path / "queue.csv"

    assert main(["label", "watch", "--rows", "200", "--output", str(queue)]) == 0

    rows = cells_of(queue)
    assert 160 < len(rows) < 240
    assert [*rows[0]] == ["label", "id", "row", "key", "probability", "time", "version", "features.origin", "features.month", "outputs.label", "outputs.probabilities"]  # fmt: skip
    assert all(row["label"] == "" for row in rows)
    printed = capsys.readouterr()
    assert f"Label these {len(rows)} rows to know the error rate of version delay-1 on 3,000 logged rows to ±" in printed.out  # fmt: skip
    assert printed.out.splitlines()[-1].endswith(f"then: flywheel label watch --submit {queue}")
    assert "count until" in printed.err
    assert "a window alone is tested with 300 labels or more" in printed.err


def test_the_weights_of_the_file_make_the_answer_right(logged: LocalCluster, tmp_path: Path) -> None:
    estimates = []
    for number in range(20):
        add_monitor(logged, SPEC)
        logged.objects["modelmonitors", "watch"]["metadata"]["uid"] = f"uid-{number}"
        queue = tmp_path / f"{number}.csv"
        main(["label", "watch", "--rows", "400", "--output", str(queue)])
        rows = cells_of(queue)
        weights = [1 / float(row["probability"]) for row in rows]
        wrong = [WRONG[int(row["id"].removeprefix("r-"))] for row in rows]
        estimates.append(sum(w * bad for w, bad in zip(weights, wrong, strict=True)) / sum(weights))

    truth = sum(WRONG) / ROWS
    assert sum(estimates) / len(estimates) == pytest.approx(truth, abs=0.006)


def test_the_same_draw_gives_the_same_rows_and_a_larger_one_contains_them(logged: LocalCluster, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("first.csv", "again.csv", "more.csv")]
    for path, rows in zip(paths, ("150", "150", "300"), strict=True):
        main(["label", "watch", "--rows", rows, "--output", str(path)])

    first, again, more = ({row["id"] for row in cells_of(path)} for path in paths)
    assert first == again
    assert first < more


def test_a_file_that_is_there_is_extended_and_its_labels_stay(logged: LocalCluster, tmp_path: Path) -> None:
    queue = tmp_path / "queue.csv"
    main(["label", "watch", "--rows", "50", "--output", str(queue)])
    before = cells_of(queue)
    fill_in(queue, {before[0]["id"]: "1"})

    main(["label", "watch", "--rows", "200", "--output", str(queue)])

    after = {row["id"]: row for row in cells_of(queue)}
    assert after[before[0]["id"]]["label"] == "1"
    assert float(after[before[0]["id"]]["probability"]) > float(before[0]["probability"])
    assert len(after) == len(cells_of(queue)) > len(before)


def test_a_precision_takes_as_many_rows_as_it_needs(logged: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["label", "watch", "--to-within", "0.01"]) == 0

    assert "to ±1 %; --output FILE writes them." in capsys.readouterr().out


def test_labels_are_posted_with_the_probabilities_of_their_draw(
    logged: LocalCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = tmp_path / "queue.csv"
    main(["label", "watch", "--rows", "100", "--output", str(queue)])
    rows = cells_of(queue)
    fill_in(queue, {row["id"]: "0" for row in rows[:60]})
    capsys.readouterr()

    assert main(["label", "watch", "--submit", str(queue)]) == 0

    [posted] = [call for call in logged.calls if call.method == "POST"]
    assert len(posted.body["labels"]) == 60
    assert posted.body["labels"][0] == {"id": rows[0]["id"], "row": int(rows[0]["row"]), "label": "0", "probability": float(rows[0]["probability"])}  # fmt: skip
    printed = capsys.readouterr()
    assert printed.out == "60 labels are posted; the next run of ModelMonitor 'watch' joins them.\n"
    assert f"{len(rows) - 60} rows have no label" in printed.err


@pytest.mark.parametrize("is_refused", [False, True], ids=["no response", "no right to the proxy"])
def test_requests_are_printed_where_no_route_leads_to_the_service(
    logged: LocalCluster, is_refused: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = tmp_path / "queue.csv"
    main(["label", "watch", "--rows", "100", "--output", str(queue)])
    fill_in(queue, {row["id"]: "1" for row in cells_of(queue)})
    capsys.readouterr()
    if is_refused:
        logged.servers[FEEDBACK] = status(403, "Forbidden", "jane cannot create services/proxy")
    else:
        logged.drops.append(FEEDBACK.removeprefix("delay"))

    assert main(["label", "watch", "--submit", str(queue)]) == 1
    assert "--print' to http://delay.shop.svc:8080/v2/models/delay/feedback" in capsys.readouterr().err
    assert main(["label", "watch", "--submit", str(queue), "--print"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert {each["label"] for each in json.loads(line)["labels"]} == {"1"}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        pytest.param(
            Reply({"error": "jane may not label"}, 403),
            "posting labels needs the verb 'label' (ClusterRole flywheel-labeler)",
            id="a missing right",
        ),
        pytest.param(
            Reply({"error": "labels[0]: unknown 'probability'; wanted id, row, key and label"}, 400),
            "its servers are of an earlier release, which an upgrade does not replace",
            id="a server of the build before",
        ),
        pytest.param(Reply({"error": "logs no predictions"}, 404), "logs no predictions", id="another refusal"),
    ],
)
def test_a_refusal_of_labels_names_the_next_step(
    logged: LocalCluster, reply: Reply, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = tmp_path / "queue.csv"
    main(["label", "watch", "--output", str(queue)])
    fill_in(queue, {row["id"]: "1" for row in cells_of(queue)})
    logged.servers[FEEDBACK] = reply

    assert main(["label", "watch", "--submit", str(queue)]) == 1
    assert words in capsys.readouterr().err


def test_a_text_that_a_spreadsheet_would_compute_is_a_text(logged: LocalCluster, tmp_path: Path) -> None:
    queue = tmp_path / "queue.csv"
    main(["label", "watch", "--rows", "3000", "--output", str(queue)])

    assert {row["features.origin"] for row in cells_of(queue)} == {"JFK", "'=cmd()"}


def test_each_value_of_a_column_has_labels(logged: LocalCluster, tmp_path: Path) -> None:
    add_monitor(logged, {**SPEC, "fairness": {"by": ["origin"]}})
    alone, by_group = tmp_path / "alone.csv", tmp_path / "groups.csv"
    main(["label", "watch", "--rows", "60", "--output", str(by_group)])
    add_monitor(logged, SPEC)
    main(["label", "watch", "--rows", "60", "--output", str(alone)])

    few = [sum(row["features.origin"] != "JFK" for row in cells_of(path)) for path in (alone, by_group)]
    assert few[0] < few[1]


def test_of_more_rows_than_memory_should_hold_some_stand_for_all(
    logged: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logged_frame, "MAX_ROWS", 1_000)
    queue = tmp_path / "queue.csv"

    main(["label", "watch", "--rows", "200", "--output", str(queue)])

    rows = cells_of(queue)
    total = sum(1 / float(row["probability"]) for row in rows)
    assert 140 < len(rows) < 260
    assert total == pytest.approx(ROWS, rel=0.25)
    logged_count = capsys.readouterr().out.rpartition(" logged rows")[0].rpartition(" ")[2]
    assert int(logged_count.replace(",", "")) == pytest.approx(ROWS, rel=0.15)


def regression_row(number: int) -> dict[str, Any]:
    return logged_row(number, outputs={"prediction": float(number)})


@pytest.mark.parametrize(
    ("metrics", "code", "words"),
    [
        pytest.param({"mae": "8", "rmse": "10"}, 0, "to know the mean absolute error of version delay-1", id="known"),
        pytest.param({}, 1, "has no mae and rmse on test rows, so that nothing says how many", id="not known"),
    ],
)
def test_the_width_for_predicted_values_is_by_the_test_rows(
    logged: LocalCluster, metrics: dict[str, str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logged.reader[LOGGED] = Reply({"items": [regression_row(number) for number in range(ROWS)], "next": None})
    version = {"metadata": {"name": "delay-1", "namespace": "shop"}, "spec": {}, "status": {"metrics": metrics}}
    logged.add("modelversions", version)

    assert main(["label", "watch", "--to-within", "1"]) == code

    printed = capsys.readouterr()
    assert words in printed.out + printed.err


def test_without_a_known_loss_rows_are_drawn_and_no_width_is_promised(
    logged: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    logged.reader[LOGGED] = Reply({"items": [regression_row(number) for number in range(ROWS)], "next": None})

    assert main(["label", "watch", "--rows", "50"]) == 0
    assert "to estimate the mean absolute error of version delay-1 on 3,000 logged rows;" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spec", "items", "options", "words"),
    [
        pytest.param({**SPEC, "batchInference": "nightly"}, [], [], "has logged no row of version delay-1 with an output", id="no rows"),
        pytest.param({"batchInference": "nightly"}, [], [], "ModelMonitor 'watch' monitors no InferenceService", id="a batch"),
        pytest.param(SPEC, [logged_row(1, version="delay-0")], [], "there are rows of delay-0 (1): name one with --version", id="another version"),
        pytest.param(SPEC, [logged_row(1, outputs={"label": None})], [], "with an output", id="no output"),
        pytest.param(SPEC, [logged_row(1), logged_row(1)], [], "has logged no row", id="one id of several rows"),
        pytest.param(SPEC, [logged_row(1)], ["--by", "carrier"], "have no column 'carrier'; they have month, origin", id="a column that is not logged"),
        pytest.param(SPEC, [], ["--since", "1s"], "no window of 1:00:00 ends between", id="no window"),
        pytest.param(SPEC, [], ["--print"], "--print shows what --submit posts", id="nothing to print"),
        pytest.param(SPEC, [], ["--submit", "x.csv", "--output", "y.csv"], "give one of them", id="both"),
        pytest.param(SPEC, [], ["--submit", "missing.csv"], "missing.csv cannot be read", id="no file"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(
    logged: LocalCluster, spec: dict[str, Any], items: list[Any], options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    add_monitor(logged, spec)
    logged.reader[LOGGED] = Reply({"items": items, "next": None})

    assert main(["label", "watch", *options]) != 0
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("label,id,row\n1,a,0\n", "has no column 'probability', so it is no file of", id="no probability"),
        pytest.param(
            "label,id,row,probability\n1,a,0,2\n", "row 1 needs an id, the index of the row and", id="above 1"
        ),
        pytest.param("label,id,row,probability\n1,a,x,0.5\n", "row 1 needs an id", id="no index"),
        pytest.param("label,id,row,probability\n,a,0,0.5\n", "has no label in its 1 rows", id="no label"),
        pytest.param('label,id,row,probability\n1,"a', "is no CSV with commas", id="an open quote"),
    ],
)
def test_a_file_of_another_form_is_refused(
    logged: LocalCluster, text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.csv").write_text(text)

    assert main(["label", "watch", "--submit", str(tmp_path / "other.csv")]) == 1
    assert words in capsys.readouterr().err
    assert not [call for call in logged.calls if call.method == "POST"]


def test_labels_of_a_dataset_are_not_posted(
    logged: LocalCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = {"dataset": "arrivals", "key": "key", "column": "label"}
    add_monitor(logged, {**SPEC, "groundTruth": truth})
    queue = tmp_path / "queue.csv"
    main(["label", "watch", "--output", str(queue)])
    fill_in(queue, {row["id"]: "1" for row in cells_of(queue)})

    assert "then add the file's rows to Dataset 'arrivals'." in capsys.readouterr().out
    assert main(["label", "watch", "--submit", str(queue)]) == 1
    assert "set spec.groundTruth.probability to the column 'probability'" in capsys.readouterr().err


def test_a_missing_right_to_read_is_the_readers_message(
    logged: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    logged.reader[LOGGED] = reader_error(403, "Forbidden", "you may not read this, or it does not exist")

    assert main(["label", "watch"]) == 1
    assert "you may not read this" in capsys.readouterr().err
