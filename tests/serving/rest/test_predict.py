"""Rows as people have them: JSON by column names, CSV, and MLflow's forms, answered by name."""

import json
from typing import Any

import pytest

from tests.serving.local_server import LocalServer
from tests.serving.rest.rest_client import infer, send_request

pytestmark = pytest.mark.integration  # each starts a model server in its own process

PREDICT = "/v2/models/flight-delay/predict"
ROW = {"month": 12, "wind": 9.5, "carrier": "UA"}
OTHER = {"month": 3, "wind": None, "carrier": "DL"}


def predict(server: LocalServer, body: Any, path: str = PREDICT, **headers: str) -> tuple[int, Any]:
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    status, found, _ = send_request(server, path, content, **headers)
    return status, found


def inferred(server: LocalServer) -> list[dict[str, Any]]:
    """The predictions of ROW and OTHER, as infer has them."""
    status, body = infer(
        server,
        {"name": "month", "datatype": "FP32", "shape": [2], "data": [12, 3]},
        {"name": "wind", "datatype": "FP32", "shape": [2], "data": [9.5, None]},
        {"name": "carrier", "datatype": "BYTES", "shape": [2], "data": ["UA", "DL"]},
    )
    assert status == 200
    label, scores = (output["data"] for output in body["outputs"])
    return [
        {"label": label[row], "probabilities": {"0": scores[2 * row], "1": scores[2 * row + 1]}} for row in range(2)
    ]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"rows": [ROW, OTHER]}, id="rows"),
        pytest.param({"dataframe_records": [ROW, OTHER], "params": {}}, id="dataframe_records"),
        pytest.param(
            {"dataframe_split": {"index": [7, 8], "columns": [*ROW], "data": [[*ROW.values()], [*OTHER.values()]]}},
            id="dataframe_split",
        ),
        pytest.param({"instances": [ROW, OTHER]}, id="instances of objects"),
        pytest.param({"instances": [[*ROW.values()], [*OTHER.values()]]}, id="instances of lists"),
        pytest.param({"inputs": {name: [ROW[name], OTHER[name]] for name in ROW}}, id="inputs by column"),
        pytest.param({"rows": [ROW, dict(reversed(OTHER.items()))]}, id="columns in another order"),
    ],
)
@pytest.mark.parametrize("path", [PREDICT, "/v2/models/flight-delay/versions/v1/predict", "/invocations"])
def test_every_form_has_the_answer_of_infer(flight_server: LocalServer, body: dict[str, Any], path: str) -> None:
    status, found = predict(flight_server, body, path)

    assert (status, found["model_name"], found["model_version"]) == (200, "flight-delay", "v1")
    assert found["predictions"] == inferred(flight_server)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("month,wind,carrier\n12,9.5,UA\n3,,DL\n", id="plain"),
        pytest.param('\ufeffcarrier,month,wind\r\n"UA",12,9.5\r\nDL,3,NA\r\n', id="BOM, CRLF, quotes, another order"),
        pytest.param("month, wind, carrier\n12.0,9.5,UA\n3,NaN,DL", id="blanks in the header, no last line end"),
    ],
)
def test_csv_has_the_answer_of_infer(flight_server: LocalServer, body: str) -> None:
    status, found = predict(flight_server, body, content_type="text/csv; charset=utf-8")

    assert (status, found["predictions"]) == (200, inferred(flight_server))


@pytest.mark.parametrize(
    "content_type",
    [
        pytest.param('text/csv; charset=utf-8; delimiter=";"', id="quoted"),
        pytest.param("text/csv;DELIMITER=|", id="a token"),
        pytest.param('text/csv; delimiter="\\t"', id="a tab"),
        pytest.param("text/tab-separated-values", id="TSV"),
    ],
)
def test_csv_may_have_another_delimiter(flight_server: LocalServer, content_type: str) -> None:
    delimiter = next((each for each in ";|" if f"={each}" in content_type or f'"{each}"' in content_type), "\t")
    lines = ["month,wind,carrier", '12,9.5,"UA"', "3,,DL"]

    status, found = predict(flight_server, "\n".join(lines).replace(",", delimiter), content_type=content_type)

    assert (status, found["predictions"]) == (200, inferred(flight_server))


@pytest.mark.parametrize("delimiter", ['";;"', '""', '"\\""', "\xa7"])
def test_a_delimiter_is_one_character(flight_server: LocalServer, delimiter: str) -> None:
    status, found = predict(flight_server, "month;wind;carrier\n", content_type=f"text/csv; delimiter={delimiter}")

    assert status == 400
    assert "header 'content-type': delimiter: wanted one character" in found["error"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"rows": [{**ROW, "year": 2013}, {**OTHER, "year": 2013}]}, id="rows"),
        pytest.param({"rows": [{**ROW, "year": [1]}, {**OTHER, "year": "x"}]}, id="of any type"),
        pytest.param(
            {"inputs": {"year": [2013, 2013], **{name: [ROW[name], OTHER[name]] for name in ROW}}}, id="columns"
        ),
    ],
)
def test_a_column_that_training_left_out_is_ignored(flight_server: LocalServer, body: dict[str, Any]) -> None:
    status, found = predict(flight_server, body)

    assert (status, found["predictions"]) == (200, inferred(flight_server))


def test_an_input_that_training_left_out_is_ignored(flight_server: LocalServer) -> None:
    month, wind, carrier = (
        {"name": name, "datatype": datatype, "shape": [1], "data": [ROW[name]]}
        for name, datatype in (("month", "FP32"), ("wind", "FP32"), ("carrier", "BYTES"))
    )
    year = {"name": "year", "datatype": "INT64", "shape": [1], "data": [2013]}

    with_it, without = infer(flight_server, month, wind, carrier, year), infer(flight_server, month, wind, carrier)

    assert with_it == without
    assert with_it[0] == 200
    status, refusal = infer(flight_server, month, wind, carrier, {**year, "name": "yaer"})
    assert (status, refusal["error"]) == (400, "inputs: unknown 'yaer'; the model has 'carrier', 'month', 'wind'")


def test_the_id_is_returned(flight_server: LocalServer) -> None:
    assert predict(flight_server, {"rows": [ROW], "id": "a-1"})[1]["id"] == "a-1"


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        pytest.param(
            {"rows": [{"month": 12, "wnd": 9.5, "carrier": "UA"}]},
            "columns: missing 'wind'; unknown 'wnd'; the model takes 'month', 'wind', 'carrier'",
            id="a slip in a name",
        ),
        pytest.param({"rows": [{**ROW, "id": 7}]}, "columns: unknown 'id'; the model takes", id="an extra column"),
        pytest.param({"rows": [ROW, {**ROW, "x": 1}]}, "rows: row 1 and row 0 differ in 'x'", id="rows that differ"),
        pytest.param({"rows": [ROW, [1, 2, "UA"]]}, "rows: wanted objects", id="objects and lists"),
        pytest.param({"rows": [[1, 2]]}, "rows: wanted 3 cells in each row", id="a short list"),
        pytest.param({"rows": []}, "rows: wanted a list of rows, one at least", id="no rows"),
        pytest.param({"rows": [{**ROW, "month": "May"}]}, "column 'month': wanted numbers, found text", id="text"),
        pytest.param({"rows": [{**ROW, "carrier": 7}]}, "column 'carrier': wanted text, found a number", id="number"),
        pytest.param({"rows": [{**ROW, "month": 1e300}]}, "column 'month': ", id="a number too large"),
        pytest.param({"rows": [ROW], "inputs": [1]}, "body: wanted one of rows, dataframe_records", id="two forms"),
        pytest.param({"rows": [ROW], "sort": 1}, "body: unknown 'sort'", id="another field"),
        pytest.param({"data": [ROW]}, "body: wanted one of rows", id="no known form"),
        pytest.param([ROW], "body: wanted a JSON object with one of rows", id="a list"),
        pytest.param(
            {"inputs": {"month": [1, 2], "wind": [1], "carrier": ["UA"]}},
            "inputs: column 'wind' has 1 cells, but 'month' has 2",
            id="columns of unequal length",
        ),
        pytest.param(
            {"dataframe_split": {"columns": ["month", "month"], "data": [[1, 2]]}},
            "column 'month' is given twice",
            id="a column twice",
        ),
        pytest.param("month,wind\n1,2\n", "body: not valid JSON", id="CSV without its media type"),
    ],
)
def test_what_is_wrong_is_named(flight_server: LocalServer, body: Any, finding: str) -> None:
    status, found = predict(flight_server, body)

    assert status == 400
    assert finding in found["error"]


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        pytest.param("month,wind,carrier\n", "CSV needs a header", id="no row"),
        pytest.param("month,wind,carrier\n1,2\n", "row 0 has 2 cells for 3 columns", id="a short row"),
        pytest.param("month,wind,carrier\nMay,2,UA\n", "column 'month': wanted a number, found 'May' in row 0", id="text"),
        pytest.param("month,wind,carrier\n1_000,2,UA\n", "found '1_000' in row 0", id="an underscore"),
        pytest.param('month,wind,carrier\n1,2,"UA\n', "body: not valid CSV", id="an open quote"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_csv_is_named(flight_server: LocalServer, body: str, finding: str) -> None:
    status, found = predict(flight_server, body, content_type="text/csv")

    assert status == 400
    assert finding in found["error"]


def test_other_media_types_are_refused(flight_server: LocalServer) -> None:
    assert predict(flight_server, "<rows/>", content_type="application/xml")[0] == 415


def test_rows_have_the_limits_of_infer(lookup_server: LocalServer) -> None:
    path = "/v2/models/lookup/predict"
    assert predict(lookup_server, {"rows": [{"index": 1}]}, path)[1]["predictions"] == [{"value": 2.0}]
    assert predict(lookup_server, {"instances": [0, 2]}, path)[1]["predictions"] == [{"value": 1.0}, {"value": 3.0}]
    assert predict(lookup_server, {"instances": [0, 1, 2, 0]}, path)[0] == 413
    assert predict(lookup_server, {"instances": [9]}, path)[0] == 500
    assert predict(lookup_server, "index\n2\n", path, content_type="text/csv")[1]["predictions"] == [{"value": 3.0}]
