"""Predictions of the model server itself: DataFrames, objects and CSV give the same, and a refusal has the server's message."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
import urllib3

from flywheel.client.errors import FlywheelError
from flywheel.client.predictor import CsvRows, Predictor
from flywheel.client.transport.endpoints import UrlEndpoint
from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration
ROWS = pd.DataFrame(
    {"month": np.array([12, 3], np.int64), "wind": [9.5, np.nan], "carrier": ["UA", "DL"]}, index=["first", "second"]
)


@pytest.fixture
def predictor(flight_server: LocalServer) -> Predictor:
    return Predictor(
        UrlEndpoint(f"http://{flight_server.http}", lambda: None, urllib3.PoolManager()), "flight-delay", "v1"
    )


def test_a_dataframe_a_list_and_csv_give_the_same(predictor: Predictor) -> None:
    frame = predictor.predict(ROWS)
    objects = predictor.predict(
        [{"month": 12, "wind": 9.5, "carrier": "UA"}, {"month": 3, "wind": None, "carrier": "DL"}]
    )
    header, *cells = csv.reader(io.StringIO(ROWS.to_csv(index=False)))
    from_csv = predictor.predict_rows(CsvRows(header, cells))

    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == ["label", "probabilities.0", "probabilities.1"]
    assert list(frame.index) == ["first", "second"]
    assert frame["probabilities.1"].tolist() == [each["probabilities"]["1"] for each in from_csv]
    assert objects == from_csv
    assert frame.attrs["model_versions"] == ["v1"]


def test_ten_thousand_rows_and_more_keep_their_order(predictor: Predictor) -> None:
    months = [number % 12 + 1 for number in range(10_400)]
    rows = [{"month": month, "wind": 9.5, "carrier": "UA"} for month in months]

    found = predictor.predict_rows(rows)

    by_month = dict(zip(months, (each["probabilities"]["1"] for each in found), strict=True))
    assert [each["probabilities"]["1"] for each in found] == [by_month[month] for month in months]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param({"month": 12, "wind": 9.5}, "carrier", id="a missing column"),
        pytest.param({"month": "May", "wind": 9.5, "carrier": "UA"}, "month", id="a text for a number"),
    ],
)
def test_a_row_that_the_model_does_not_take_is_refused_by_name(
    predictor: Predictor, row: dict[str, object], message: str
) -> None:
    with pytest.raises(FlywheelError, match=message) as caught:
        predictor.predict([row])

    assert caught.value.status == 400
