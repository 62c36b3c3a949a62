"""Columns of text: terms for sentences, mean targets for many categories, and the same answers in ONNX."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from flywheel_runtime.commands.train.pipeline import build_pipeline
from flywheel_runtime.commands.train.validation import fit_pipeline
from flywheel_runtime.datasets.features import UNKNOWN, Data, open_data
from flywheel_runtime.datasets.texts import lower_text, split_terms, text_content
from flywheel_runtime.models.estimators import ESTIMATORS, build_estimator, find_estimator
from flywheel_runtime.models.onnx_export import ExportedModel, export_pipeline
from flywheel_serving.model.graph import read_graph
from flywheel_serving.model.row_independence.proof import graph_row_mixing

pytestmark = pytest.mark.integration  # trains models

OF_EACH_SORT = ("LogisticRegression", "DecisionTreeClassifier", "HistGradientBoostingRegressor", "VotingRegressor")
GOOD = {
    "de": ["Pünktlich, sauber und GÜNSTIG", "sehr schöner Flug, gern wieder", "der Ärger war schnell behoben"],
    "ru": ["Поезд пришёл вовремя, спасибо", "очень ХОРОШИЙ рейс и экипаж", "всё понравилось, летим ещё"],
    "ja": ["電車は時間どおりに来ました。", "とても良い便でした、また乗ります", "係員が親切で快適だった"],
}
BAD = {
    "de": ["große Verspätung und KEINE Auskunft", "Koffer verloren, niemand half", "der Ärger nimmt kein Ende"],
    "ru": ["Поезд ОПОЗДАЛ на час, ужасно", "рейс отменили и деньги не вернули", "никто не помог, всё плохо"],
    "ja": ["電車が二時間遅れました。", "荷物が届かない、もう乗りません", "説明がなく不快だった"],
}
UNSEEN = [
    "",
    "   ",
    "never seen words",
    "ein ganz neuer Satz über Züge",
    "совершенно новое",
    "全く新しい文です",
    "İ ẞ ΣΟΦΟΣ 😀",
]


def remarks(language: str, rows: int = 400) -> str:
    chance = random.Random(language)
    lines = ["remark,minutes,late"]
    for i in range(rows):
        late = i % 2
        text = " ".join(chance.sample((BAD if late else GOOD)[language], 2)) + f" {chance.randrange(1000)}"
        lines.append(f'"{text if i % 17 else ""}",{chance.gauss(0, 1):.3f},{late}')
    return "\n".join(lines) + "\n"


def answers(result: Any, inputs: dict[str, list[Any]]) -> Any:
    session = onnxruntime.InferenceSession(result.root / "outputs" / "model" / "model.onnx")
    kinds = {i.name: object if i.type == "tensor(string)" else np.float64 for i in session.get_inputs()}
    tensors = {name: np.array(values, dtype=kinds[name]).reshape(-1, 1) for name, values in inputs.items()}
    return session.run(["probabilities"], tensors)[0]


@pytest.mark.parametrize("estimator", ["LogisticRegression", "DecisionTreeClassifier"])
@pytest.mark.parametrize("language", ["de", "ru", "ja"])
def test_sentences_become_terms_that_tell(run_train: Any, checked: Any, language: str, estimator: str) -> None:
    data: Path = checked({"a.csv": remarks(language)}, target="late")

    result = run_train(data, estimator=estimator)

    assert json.loads((data / "profile.json").read_text())["columns"]["remark"]["content"] == "FreeText"
    assert result.code == 0
    assert result.output("metrics.json")["roc_auc"] > 0.9
    assert result.output("model/run.json")["parity"]["maxDifference"] < 1e-5
    probabilities = answers(result, {"remark": UNSEEN, "minutes": [0.0] * len(UNSEEN)})
    assert np.isfinite(probabilities).all()
    assert probabilities[0] == pytest.approx(probabilities[1])


def fit_and_export(folder: Path, name: str) -> tuple[Data, Any, ExportedModel]:
    """The data, the pipeline that is fitted to its train split, and the exported model."""
    data = open_data(folder, None)
    task = data.schema["task"]
    estimator = find_estimator(name, task)
    model = build_estimator(name, estimator, {}, 0, 1, classes=len(data.classes))
    rows = data.read("train")
    fitted = fit_pipeline(build_pipeline(data, estimator, model, 0), rows, np.arange(len(rows)))
    return data, fitted, export_pipeline(fitted, data)


@pytest.mark.parametrize(
    "estimator", ["LogisticRegression", "DecisionTreeClassifier", "HistGradientBoostingClassifier"]
)
@pytest.mark.parametrize("language", ["de", "ru", "ja"])
def test_unseen_texts_get_the_answers_of_the_pipeline(checked: Any, language: str, estimator: str) -> None:
    data, fitted, exported = fit_and_export(checked({"a.csv": remarks(language)}, target="late"), estimator)
    known = GOOD[language][0] + " " + BAD[language][1]
    texts = [
        *UNSEEN,
        known.upper(),
        f"neu {known} новое 新",
        known[3:],
        "\u00a0" + known.replace(" ", "\t"),
        "a" * 5000,
    ]
    minutes = np.linspace(-2, 2, len(texts))

    outputs = exported.run({"remark": np.array(texts, dtype=object).reshape(-1, 1), "minutes": minutes.reshape(-1, 1)})

    assert [feature.name for feature in data.features] == ["remark", "minutes"]
    expected = fitted.predict_proba(np.column_stack([data.texts.add(texts), minutes]).astype(np.float32))
    assert outputs["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert len(np.unique(expected.round(6), axis=0)) > 1, "texts with known words have answers of their own"


def test_unseen_categories_get_the_answers_of_the_pipeline(checked: Any) -> None:
    lines = [f"{['red', 'green', 'blue', ''][n % 4]},{n % 7},{n % 4 // 2}\n" for n in range(400)]
    data, fitted, exported = fit_and_export(
        checked({"a.csv": "colour,x,late\n" + "".join(lines)}, target="late"), "DecisionTreeClassifier"
    )
    unseen = np.array([["mauve"], [""], ["RED"], ["red "]], dtype=object)

    outputs = exported.run({"colour": unseen, "x": np.zeros((4, 1))})

    assert [feature.name for feature in data.features] == ["colour", "x"]
    rows = np.tile(np.array([UNKNOWN, 0], np.float32), (4, 1))
    assert outputs["probabilities"] == pytest.approx(fitted.predict_proba(rows), abs=1e-5)


def test_the_rows_of_a_text_model_are_proven_independent(run_train: Any, checked: Any) -> None:
    result = run_train(checked({"a.csv": remarks("de")}, target="late"))

    graph, _ = read_graph(result.root / "outputs" / "model" / "model.onnx")
    assert graph_row_mixing(graph) == ""


def test_a_batch_of_empty_texts_is_answered(run_train: Any, checked: Any) -> None:
    result = run_train(checked({"a.csv": remarks("de")}, target="late"))

    assert np.isfinite(answers(result, {"remark": ["", ""], "minutes": [0.0, np.nan]})).all()


def test_several_columns_of_every_kind_give_the_same_answers(run_train: Any, checked: Any) -> None:
    chance = random.Random(4)
    lines = ["remark,shop,note,size,late,kind"]
    for i in range(1500):
        shop, late = chance.randrange(500), i % 2
        texts = [" ".join(chance.sample(BAD["ru"] if late else GOOD["ru"], 2)), " ".join(chance.sample(GOOD["de"], 2))]
        lines.append(f'"{texts[0]} {i}",shop-{shop},"{texts[1]} {i}",{shop % 7 + late},{late},{"abc"[i % 3]}')
    data = checked({"a.csv": "\n".join(lines) + "\n"}, target="kind")

    for estimator in ("LogisticRegression", "DecisionTreeClassifier"):
        result = run_train(data, estimator=estimator, objective={"metric": "log_loss"})

        assert result.code == 0, result.failure
        assert result.output("model/run.json")["parity"]["maxDifference"] < 1e-4


@pytest.mark.parametrize(
    ("task", "name"),
    [
        pytest.param(task, name, marks=() if name in OF_EACH_SORT else pytest.mark.long_run)
        for task, names in ESTIMATORS.items()
        for name in names
    ],
)
def test_every_estimator_learns_from_text_and_many_categories(
    run_train: Any, checked: Any, task: str, name: str
) -> None:
    chance = random.Random(6)
    lines = ["remark,shop,minutes,kind,late,delay"]
    for i in range(1200):
        late, shop = i % 2, chance.randrange(400)
        text = " ".join(chance.sample((BAD if late else GOOD)["ru"], 2))
        lines.append(
            f'"{text} {i}",shop-{shop},{chance.gauss(late, 1):.3f},{"abc"[i % 3]},{late},{late + shop / 400:.4f}'
        )
    target, metric = ("late", "roc_auc") if task == "Classification" else ("delay", "rmse")
    data = checked({"a.csv": "\n".join(lines) + "\n"}, target=target)
    features = {"numeric": ["minutes"], "categorical": ["shop", "kind"], "text": ["remark"]}

    small = {"max_iter": 20} if name.startswith(("Hist", "MLP")) else {}
    result = run_train(data, estimator=name, features=features, objective={"metric": metric}, parameters=small)

    assert result.code == 0, result.failure
    assert result.output("model/run.json")["parity"]["maxDifference"] < 1e-4
    metrics = result.output("metrics.json")
    assert (
        (metrics[metric] > 0.9)
        if task == "Classification"
        else (metrics["r2"] > 0.5 or name == "ElasticNet" or name == "Lasso")
    )


def shops(rows: int = 4000, name: str = "shop {}", count: int = 600) -> str:
    chance = random.Random(2)
    effect = {shop: chance.gauss(0, 1) for shop in range(count)}
    lines = ["shop,noise,late,delay"]
    for _ in range(rows):
        shop = chance.randrange(count)
        value = effect[shop] + chance.gauss(0, 0.3)
        lines.append(f"{name.format(shop) if shop else ''},{chance.random():.3f},{int(value > 0)},{value:.4f}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("target", "estimator", "metric"),
    [("late", "LogisticRegression", "roc_auc"), ("delay", "Ridge", "r2"), ("delay", "DecisionTreeRegressor", "r2")],
)
@pytest.mark.parametrize("name", ["shop {}", "{}", "{}.25"], ids=["texts", "whole numbers", "fractions"])
def test_many_categories_are_known_by_their_mean_target(
    run_train: Any, checked: Any, target: str, estimator: str, metric: str, name: str
) -> None:
    features = {"numeric": ["noise"], "categorical": ["shop"]}
    result = run_train(
        checked({"a.csv": shops(name=name)}, target=target),
        estimator=estimator,
        objective={"metric": metric},
        features=features,
        parameters={"max_depth": 6} if "Tree" in estimator else {},
    )

    assert result.code == 0, result.failure
    assert result.output("metrics.json")[metric] > 0.6
    assert result.output("model/run.json")["parity"]["maxDifference"] < 1e-5


def test_categories_beyond_those_that_are_known_are_reported(
    run_train: Any, checked: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flywheel_runtime.datasets.features.MAX_ENCODED_CATEGORIES", 500)

    result = run_train(checked({"a.csv": shops()}, target="delay"), estimator="Ridge", objective={"metric": "r2"})

    assert result.code == 0, result.failure
    assert "column 'shop' has more than 500 categories in the train split; the rarer ones count as unknown" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("sample", "distinct", "rows", "content"),
    [
        (["a late train again"] * 3, 900, 1000, "FreeText"),
        (["とても良い便でした"] * 3, 900, 1000, "FreeText"),
        (["Less than high school"] * 3, 7, 1000, "Category"),
        (["A-17", "B-18"], 1000, 1000, "Identifier"),
        (["shop 1"], 600, 4000, "Category"),
    ],
)
def test_what_a_column_of_text_holds(sample: list[str], distinct: int, rows: int, content: str) -> None:
    assert text_content(sample, distinct, rows) == content


def test_terms_are_tokens_and_pairs_without_case_or_punctuation() -> None:
    assert split_terms("Über-Ärger, ОПОЗДАЛ!") == ["über", "ärger", "опоздал", "über ärger", "ärger опоздал"]
    assert split_terms("遅れた") == ["遅", "れ", "た", "遅 れ", "れ た"]
    assert split_terms(" \n") == []
    assert lower_text("İSTANBUL ẞ") == "istanbul ß"
