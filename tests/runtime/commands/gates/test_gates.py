"""The step `gates`, whole: two trained models on one test split, and every sort of gate."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands.gates import main as gates
from flywheel_runtime.commands.gates import rules
from tests.runtime.commands.flights import FEATURES, flights
from tests.runtime.commands.month_models import onnx_of_month

GOOD, BAD = "sha256:" + "a" * 64, "sha256:" + "b" * 64
RIVAL = {"version": "delay-1", "digest": BAD}
WEAK = {"numeric": ["month"], "categorical": []}
GAIN = {"name": "better", "champion": {"metric": "roc_auc", "minGain": "0.01", "confidence": "95%"}}
pytestmark = pytest.mark.integration


@pytest.fixture
def data(checked: Any) -> Path:
    return Path(checked({"a.csv": flights(3000)}, target="late", keys=["id"], name="tested"))


@pytest.fixture
def trained(run_train: Any, data: Path) -> Any:
    """trained(features) -> the folder of a model."""

    def build(features: Any = FEATURES, where: Path = data, **params: Any) -> Path:
        done = run_train(where, features=features, **params)
        assert done.code == 0, done.failure
        return Path(done.root / "outputs/model")

    return build


class Pod:
    """A gates Job's folders."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.monkeypatch = monkeypatch
        (root / "inputs").mkdir(parents=True)

    def run(self, *gates_: dict[str, Any], rival: Any = RIVAL, objective: str = "roc_auc", **inputs: Path) -> Any:
        """The findings by name. The trainings before it had roots of their own."""
        self.monkeypatch.setenv("FLYWHEEL_ROOT", str(self.root))
        self.monkeypatch.setenv("FLYWHEEL_TERMINATION_LOG", str(self.root / "termination-log"))
        for name, folder in inputs.items():
            (self.root / "inputs" / name.replace("_", "-")).symlink_to(folder)
        params = {"gates": list(gates_), "objective": objective, "digest": GOOD, "champion": rival}
        (self.root / "params.json").write_text(json.dumps(params))
        assert gates.main() == 0, (self.root / "termination-log").read_text()
        facts = (self.root / "outputs/facts.json").read_bytes()
        assert len(facts) <= 2000
        return {each["name"]: each for each in json.loads(facts)["gates"]}

    def read(self, name: str) -> Any:
        return json.loads((self.root / "outputs" / name).read_text())


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    return Pod(tmp_path / "gates", monkeypatch)


def test_a_better_challenger_passes_with_its_interval(pod: Pod, trained: Any, data: Path) -> None:
    found = pod.run(GAIN, model=trained(), champion=trained(WEAK), data=data, champion_data=data)

    assert found["better"]["passed"], found
    assert "of champion 'delay-1' on 450 test rows: gain" in found["better"]["message"]
    assert "95% interval" in found["better"]["message"]
    metrics = pod.read("metrics.json")
    assert metrics["roc_auc"] > metrics["champion_roc_auc"] + 0.01
    assert pod.read("gates/gates.json")["gates"][0]["numbers"]["method"] == "DeLong"


def test_what_is_measured_is_what_the_trial_measured_on_its_test_rows(pod: Pod, trained: Any, data: Path) -> None:
    model = trained()
    known = json.loads((model / "evaluation.json").read_text())["test"]["metrics"]

    pod.run(GAIN, model=model, data=data, rival=None)

    assert pod.read("metrics.json") == {"roc_auc": pytest.approx(known["roc_auc"], abs=1e-6)}


def test_a_worse_challenger_fails_with_both_numbers(pod: Pod, trained: Any, data: Path) -> None:
    found = pod.run(GAIN, model=trained(WEAK), champion=trained(), data=data)

    assert not found["better"]["passed"]
    assert "gain -0." in found["better"]["message"]


def test_the_same_model_is_no_gain_but_no_loss_either(pod: Pod, trained: Any, data: Path) -> None:
    model = trained()
    any_gain = {"name": "any-gain", "champion": {"metric": "accuracy"}}
    no_loss = {"name": "no-loss", "champion": {"metric": "accuracy", "minGain": "-0.01", "confidence": "95%"}}

    found = pod.run(any_gain, no_loss, model=model, champion=model, data=data)

    assert {name: each["passed"] for name, each in found.items()} == {"any-gain": False, "no-loss": True}


def test_the_first_version_has_no_champion_to_beat(pod: Pod, trained: Any, data: Path) -> None:
    found = pod.run(GAIN, model=trained(), data=data, rival=None)

    assert found["better"] == {
        "name": "better",
        "passed": True,
        "message": "there is no champion to compare the first version with",
    }


@pytest.mark.parametrize(
    ("gate", "passed", "words"),
    [
        ({"slice": {"by": "carrier", "metric": "roc_auc", "min": "0.6", "minRows": 30}}, True, "worst carrier (named in gates.json): roc_auc 0."),
        ({"slice": {"by": "carrier", "metric": "roc_auc", "min": "0.999", "minRows": 30}}, False, "at least 0.999 is required"),
        ({"slice": {"by": "carrier", "metric": "log_loss", "max": "0.001", "minRows": 30}}, False, "at most 0.001"),
        ({"slice": {"by": "carrier", "metric": "accuracy", "min": "0.5", "minRows": 9999}}, False, "no carrier has 9999 test rows"),
        ({"slice": {"by": "sex", "metric": "accuracy", "min": "0.5", "minRows": 1}}, False, "the data has no column 'sex'; it has id"),
        ({"slice": {"by": "carrier", "metric": "rmse", "max": "1", "minRows": 1}}, False, "rmse is no metric of Classification"),
        ({"fairness": {"by": "express", "measure": "DemographicParity", "maxGap": "99%", "minRows": 9}}, True, "at most 99% is allowed"),
        ({"fairness": {"by": "carrier", "measure": "EqualOpportunity", "maxGap": "1%", "minRows": 9}}, False, "of the lowest (named in gates.json) are apart by"),
        ({"fairness": {"by": "carrier", "measure": "EqualOpportunity", "maxGap": "1%", "minRows": 9, "positive": "maybe"}}, False, "one of the classes 0, 1"),
        ({"calibration": {"maxError": "50%"}}, True, "expected calibration error"),
        ({"calibration": {"maxError": "0.1%"}}, False, "at most 0.1% is allowed"),
        ({"data": {}}, True, "found no anomaly"),
    ],
)  # fmt: skip
def test_a_gate(pod: Pod, trained: Any, data: Path, gate: dict[str, Any], passed: bool, words: str) -> None:
    found = pod.run({"name": "g", **gate}, model=trained(), data=data, rival=None)["g"]

    assert (found["passed"], words in found["message"]) == (passed, True), found


SLICE = {"name": "slice", "slice": {"by": "carrier", "metric": "accuracy", "min": "0.5", "minRows": 9}}
FAIR = {"name": "fair", "fairness": {"by": "carrier", "measure": "DemographicParity", "maxGap": "99%", "minRows": 9}}
CARRIERS = ("'UA'", "'AA'", "'DL'", "'HA'", "'(missing)'", "é")


def test_values_of_groups_stay_out_of_the_status(pod: Pod, trained: Any, data: Path) -> None:
    found = pod.run(SLICE, FAIR, model=trained(), data=data, rival=None)

    assert not [name for name in CARRIERS if name in str([each["message"] for each in found.values()])]
    numbers = {each["name"]: each["numbers"] for each in pod.read("gates/gates.json")["gates"]}
    assert numbers["slice"]["worst"] == numbers["slice"]["groups"][0]["group"]
    assert {numbers["fair"]["lowest"], numbers["fair"]["highest"]} <= {
        each["group"] for each in numbers["fair"]["groups"]
    }


def test_a_dataset_that_shows_values_lets_gates_name_the_groups(pod: Pod, trained: Any, checked: Any) -> None:
    data = Path(checked({"a.csv": flights(3000)}, target="late", keys=["id"], name="shown", showValues=True))

    found = pod.run(SLICE, FAIR, model=trained(where=data), data=data, rival=None)

    worst = pod.read("gates/gates.json")["gates"][0]["numbers"]["worst"]
    assert f"worst carrier is '{worst}': accuracy" in found["slice"]["message"]
    assert "named in gates.json" not in found["fair"]["message"]


def test_the_fault_of_a_gate_quotes_no_value(
    pod: Pod, trained: Any, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("s3cret")

    monkeypatch.setitem(rules.GATES, "slice", fail)

    found = pod.run(SLICE, model=trained(), data=data, rival=None)["slice"]

    assert found["message"].startswith("cannot be measured: a fault of the gate (KeyError at test_gates.py:")
    assert "s3cret" not in found["message"]


def test_a_champion_that_needs_what_the_data_lacks_cannot_be_beaten(
    pod: Pod, trained: Any, checked: Any, data: Path
) -> None:
    smaller = "\n".join(
        ",".join(line.split(",")[:3] + line.split(",")[-4:])
        for line in flights(600).strip().split("\n")
        if '"é' not in line
    )
    lacking = Path(checked({"b.csv": smaller}, target="late", keys=["id"], name="lacking"))
    challenger = trained(WEAK, lacking)

    found = pod.run(
        GAIN, {"name": "honest", "calibration": {"maxError": "99%"}}, model=challenger, champion=trained(), data=lacking
    )

    assert not found["better"]["passed"]
    assert "champion 'delay-1' cannot be scored" in found["better"]["message"]
    assert "is no column of the data" in found["better"]["message"]
    assert found["honest"]["passed"]


BEATS = {"name": "beats-a-constant", "baseline": {"minGain": "0"}, "optional": True}


def noise(rows: int) -> str:
    """Rows whose target follows from nothing."""
    draw = random.Random(3)
    lines = (f"{number},{draw.random():.4f},{draw.choice('01')}" for number in range(rows))
    return "\n".join(("id,x,late", *lines)) + "\n"


def test_a_trained_model_is_better_than_a_constant(pod: Pod, trained: Any, data: Path) -> None:
    found = pod.run(BEATS, model=trained(), data=data, rival=None)["beats-a-constant"]

    assert found["passed"], found
    assert "against 0.5 of the prior of the train rows, on 450 test rows: gain 0." in found["message"]
    assert found["message"].endswith("(DeLong); more than 0 is required")


def test_a_model_of_noise_is_no_better_than_a_constant(pod: Pod, trained: Any, checked: Any) -> None:
    data = Path(checked({"a.csv": noise(1500)}, target="late", keys=["id"], name="noise"))
    said = {"estimator": "RandomForestClassifier", "parameters": {"n_estimators": 20}}

    found = pod.run(BEATS, model=trained({"numeric": ["x"], "categorical": []}, data, **said), data=data, rival=None)

    assert not found["beats-a-constant"]["passed"]
    assert found["beats-a-constant"]["message"].startswith("the model is no better than a constant: roc_auc 0.")


@pytest.mark.parametrize(
    ("gate", "passed", "words"),
    [
        ({"minGain": "0.9"}, False, "the model is hardly better than a constant: roc_auc"),
        ({"metric": "log_loss", "minGain": "0"}, True, "of the prior of the train rows"),
        ({"metric": "accuracy", "minGain": "0", "confidence": "80%"}, None, ", 80% interval "),
        ({"metric": "rmse", "minGain": "0"}, False, "cannot be measured: rmse is no metric of Classification"),
    ],
)
def test_a_baseline_of_the_users_own(
    pod: Pod, trained: Any, data: Path, gate: dict[str, Any], passed: bool | None, words: str
) -> None:
    found = pod.run({"name": "g", "baseline": gate}, model=trained(), data=data, rival=None)["g"]

    assert found["passed"] == passed or passed is None, found
    assert words in found["message"]


def test_the_operators_own_gate_passes_where_it_cannot_be_measured_and_lets_the_others_speak(
    pod: Pod, data: Path, tmp_path: Path
) -> None:
    from e2e.onnx_models import linear

    (tmp_path / "linear").mkdir()
    (tmp_path / "linear/model.onnx").write_bytes(linear([1.0]))

    found = pod.run(BEATS, {"name": "clean", "data": {}}, model=tmp_path / "linear", data=data, rival=None)

    assert (found["beats-a-constant"]["passed"], found["beats-a-constant"]["measured"]) == (True, False)
    assert found["beats-a-constant"]["message"].startswith("cannot be measured: its input 'x' is no column of the data")
    assert found["clean"]["passed"]


def test_rows_without_a_finite_answer_are_counted_and_the_other_gates_are_measured_on_the_rest(
    pod: Pod, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some/model.onnx").write_bytes(onnx_of_month(finite_from=4))

    found = pod.run(
        BEATS, {"name": "honest", "calibration": {"maxError": "99%"}}, model=tmp_path / "some", data=data, rival=None
    )

    assert not found["answers"]["passed"]
    assert "gives no finite answer to" in found["answers"]["message"]
    assert "of 450 test rows; the other gates are measured on the rest" in found["answers"]["message"]
    assert found["honest"]["passed"], found["honest"]
    assert "measured" not in found["beats-a-constant"]


def test_a_champion_that_fails_on_as_many_rows_is_compared_on_the_rest(pod: Pod, data: Path, tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some/model.onnx").write_bytes(onnx_of_month(finite_from=4))

    found = pod.run(GAIN, model=tmp_path / "some", champion=tmp_path / "some", data=data)

    assert "answers" not in found
    assert "gain 0, " in found["better"]["message"]


def test_a_model_with_other_inputs_cannot_be_measured(pod: Pod, data: Path, tmp_path: Path) -> None:
    from e2e.onnx_models import linear

    (tmp_path / "linear").mkdir()
    (tmp_path / "linear/model.onnx").write_bytes(linear([1.0]))

    found = pod.run(GAIN, model=tmp_path / "linear", champion=tmp_path / "linear", data=data)

    assert (
        found["better"]["message"]
        == "cannot be measured: its input 'x' is no column of the data; see the inputs and outputs of a model in images/README.md"
    )


def test_values_have_a_bootstrap_interval(pod: Pod, trained: Any, checked: Any) -> None:
    data = Path(checked({"a.csv": flights(1000)}, target="delay", keys=["id"], name="delays"))
    said = {"estimator": "Ridge", "objective": {"metric": "rmse"}}
    gate = {"name": "g", "champion": {"metric": "rmse", "minGain": "0.1", "confidence": "90%"}}

    found = pod.run(
        gate,
        {"name": "fair", "fairness": {"by": "carrier", "measure": "DemographicParity", "maxGap": "9%", "minRows": 9}},
        objective="rmse",
        model=trained(FEATURES, data, **said),
        champion=trained(WEAK, data, **said),
        data=data,
    )

    assert found["g"]["passed"], found
    assert "(bootstrap)" in found["g"]["message"]
    assert "no positive class" in found["fair"]["message"]
    metrics = pod.read("metrics.json")
    assert metrics["rmse"] < metrics["champion_rmse"]


def test_a_challenger_that_was_trained_on_the_champions_test_rows_is_refused_with_the_count(
    pod: Pod, trained: Any, checked: Any, data: Path
) -> None:
    # The same rows, divided by another seed: most of the old test rows are trained on.
    again = Path(
        checked(
            {"a.csv": flights(3000)},
            target="late",
            keys=["id"],
            name="again",
            split={"by": "Random", "validation": "15%", "test": "15%", "seed": 9},
        )
    )

    found = pod.run(GAIN, model=trained(FEATURES, again), champion=trained(WEAK), data=again, champion_data=data)

    assert not found["test-rows"]["passed"]
    assert "TestRowsLeaked:" in found["test-rows"]["message"]
    assert "of 450 rows of the champion's test split are in the training split" in found["test-rows"]["message"]


def test_where_time_divides_yesterdays_test_may_be_trained_on(pod: Pod, trained: Any, checked: Any) -> None:
    lines = flights(3000).strip().split("\n")
    split = {"by": "Time", "validation": "15%", "test": "15%"}
    early, late = (
        Path(
            checked(
                {"a.csv": "\n".join(lines[:count]) + "\n"},
                target="late",
                keys=["id"],
                eventTime="id",
                split=split,
                name=name,
            )
        )
        for count, name in ((2001, "early"), (3001, "late"))
    )

    found = pod.run(GAIN, model=trained(FEATURES, late), champion=trained(WEAK, early), data=late, champion_data=early)

    assert set(found) == {"better"}


def test_rows_that_test_and_train_at_once_are_always_refused(
    pod: Pod, trained: Any, data: Path, tmp_path: Path
) -> None:
    import duckdb

    spoiled = tmp_path / "spoiled"
    shutil.copytree(data, spoiled)
    (spoiled / "train.parquet").unlink()
    duckdb.sql(
        f"COPY (SELECT * FROM read_parquet('{data}/train.parquet') UNION ALL (SELECT * FROM read_parquet('{data}/test.parquet') LIMIT 7)) "
        f"TO '{spoiled}/train.parquet' (FORMAT parquet)"
    )

    found = pod.run(GAIN, model=trained(), champion=trained(WEAK), data=spoiled)

    assert "TestRowsLeaked: 7 of 450 rows of its own test split" in found["test-rows"]["message"]


def test_an_anomaly_of_the_data_is_named_unless_it_is_to_be_ignored(pod: Pod, trained: Any, checked: Any) -> None:
    chance = random.Random(3)
    rows = "".join(f"{i},{chance.random()},1,{i % 2}\n" for i in range(400))
    data = Path(checked({"a.csv": "id,x,same,y\n" + rows}, target="y", keys=["id"], name="odd"))

    found = pod.run(
        {"name": "clean", "data": {}},
        {"name": "clean-enough", "data": {"ignore": ["Constant"]}},
        model=trained({"numeric": ["x"], "categorical": []}, data),
        data=data,
        rival=None,
    )

    assert not found["clean"]["passed"]
    assert "found Constant in column 'same', see report.json" in found["clean"]["message"]
    assert found["clean-enough"]["passed"]


def test_data_without_test_rows_fails_every_gate_with_a_sentence(pod: Pod, trained: Any, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()

    found = pod.run(GAIN, {"name": "clean", "data": {}}, model=trained(), data=tmp_path / "nothing")

    assert [each["passed"] for each in found.values()] == [False, False]
    assert "no artifact of a Dataset" in found["better"]["message"]


def test_sixteen_gates_with_long_messages_still_fit(pod: Pod, trained: Any, data: Path) -> None:
    gates_ = [
        {
            "name": f"{'long' * 10}-{number}",
            "slice": {"by": "carrier", "metric": "roc_auc", "min": "0.99", "minRows": 5},
        }
        for number in range(16)
    ]

    found = pod.run(*gates_, model=trained(), data=data, rival=None)

    assert len(found) == 16
    assert not any(each["passed"] for each in found.values())
