"""What led to what, and what it led to."""

from collections.abc import Mapping
from typing import Any

import pytest

from flywheel.cli.errors import CommandError
from flywheel.cli.lineage import edges, tree
from flywheel.cli.lineage.graph import EDGES_BY_KIND, Graph
from flywheel.core.resource.api import MODEL_VERSION, TRAINING_RUN
from tests.cli import sample_namespace
from tests.simulation.resources import custom


def graph(*, later: bool = False, without: tuple[str, ...] = ()) -> Graph:
    """The world's; `later` with a run of a pipeline."""
    found = Graph()
    there = {**sample_namespace.EVERYTHING, **({MODEL_VERSION: (sample_namespace.LATER,)} if later else {})}
    for api, manifests in there.items():
        for manifest in manifests:
            if manifest["metadata"]["name"] not in without:
                found.add(EDGES_BY_KIND[api](manifest))
    found.merge_prepared_data()
    return found


def test_a_version_is_followed_to_its_data_and_to_its_services() -> None:
    known = graph()

    assert tree.render_tree(known, known.find(sample_namespace.CHAMPION)).splitlines() == [
        f"ModelVersion {sample_namespace.CHAMPION}, {sample_namespace.SERVED}, ONNX",
        "comes from",
        "└─ Experiment delay-search, best roc_auc 0.639 (trial 7), trial 7",
        f"   └─ DatasetVersion flights-aaaaaaaa, {sample_namespace.DATA}, 327,346 rows",
        "      └─ Dataset flights",
        "         └─ Source s3://flywheel/demo/flights/",
        "led to",
        "├─ BatchInference tomorrow, scores with it",
        "├─ InferenceService delay, http://delay.shop.svc:8080, serves it",
        f"└─ Model delay, champion {sample_namespace.CHAMPION}",
    ]


def test_the_data_leads_to_the_versions_made_from_it() -> None:
    known = graph()
    reached = {each["id"] for each in known.to_json(known.find("flights-aaaaaaaa"))["nodes"]}

    assert {
        f"modelversion/{sample_namespace.CHAMPION}",
        f"modelversion/{sample_namespace.OLDER}",
        "inferenceservice/delay",
    } <= reached
    assert f"modelversion/{sample_namespace.FOREIGN}" not in reached


def test_a_run_stands_between_its_pipeline_and_its_model() -> None:
    known = graph(later=True)

    told = tree.render_tree(known, known.find(sample_namespace.CHAMPION)).splitlines()
    begin = told.index("   └─ TrainingRun monthly-x7k2p, revision 1a2b3c4d")
    assert [line.strip(" │├└─").split(",")[0] for line in told[begin + 1 : begin + 5]] == [
        "DatasetVersion flights-aaaaaaaa",
        "Dataset flights",
        "Source s3://flywheel/demo/flights/",
        "TrainingPipeline monthly",
    ]


def test_a_digest_is_a_name() -> None:
    known = graph()

    assert known.find(sample_namespace.SERVED) == f"modelversion/{sample_namespace.CHAMPION}"
    assert known.find(sample_namespace.DATA) == "datasetversion/flights-aaaaaaaa"


def test_deleted_objects_stay_in_the_lineage() -> None:
    known = graph(without=("delay-search", "flights"))
    told = tree.render_tree(known, known.find(sample_namespace.CHAMPION))

    assert "Experiment delay-search, no longer in the cluster, trial 7" in told
    assert f"DatasetVersion flights-aaaaaaaa, {sample_namespace.DATA}, no longer in the cluster" in told


def test_a_brought_version_comes_from_its_file() -> None:
    known = graph()

    assert "└─ Source s3://acme/fraud.onnx" in tree.render_tree(known, known.find(sample_namespace.FOREIGN))


def test_a_batch_has_the_features_of_the_sets_that_it_looked_up_in() -> None:
    run = {"version": "delay-1", "featureSets": [{"name": "context", "digest": sample_namespace.DATA}]}
    found = Graph()
    found.add(edges.batch_edges({"metadata": {"name": "tomorrow"}, "status": {"run": run}}))

    causes = {cause for _edge, cause in found.causes("batchinference/tomorrow")}
    assert causes == {"featureset/context", "modelversion/delay-1"}


def test_what_a_run_prepared_is_no_version_of_a_dataset() -> None:
    prepared = {"digest": sample_namespace.DATA, "version": "monthly-window"}
    owner = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "TrainingRun", "name": "monthly-x7k2p", "uid": "1"}
    experiment = {
        "metadata": {"name": "step", "ownerReferences": [owner]},
        "spec": {"artifact": prepared},
        "status": {"data": prepared},
    }
    found = Graph()
    found.add(edges.experiment_edges(experiment))

    assert [cause for _edge, cause in found.causes("experiment/step")] == [
        "prepareddata/monthly-window",
        "trainingrun/monthly-x7k2p",
    ]
    assert [cause for _edge, cause in found.causes("prepareddata/monthly-window")] == ["trainingrun/monthly-x7k2p"]


def prepared_graph(prepared: Mapping[str, Any]) -> Graph:
    """The lineage of a version whose run prepared its data."""
    lineage = {"run": "monthly-x7k2p", "datasetDigest": sample_namespace.PREPARED, "prepared": prepared}
    version = {"metadata": {"name": "delay-1"}, "spec": {"model": "delay", "lineage": lineage}}
    found = Graph()
    found.add(edges.version_edges(version))
    return found


def test_the_prepared_data_has_its_query_and_the_tables_behind_it() -> None:
    found = prepared_graph(sample_namespace.PREPARED_BY)

    node = found.nodes["prepareddata/joined-22222222"]
    assert node.detail.startswith("SELECT f.*, w.temp FROM flights f JOIN hourly w USING (hour)")
    assert [cause for _edge, cause in found.causes(node.id)] == [
        "datasetversion/flights-aaaaaaaa",
        "datasetversion/weather-88888888",
        "prepareddata/hourly-77777777",
        "trainingrun/monthly-x7k2p",
    ]
    assert found.nodes["prepareddata/hourly-77777777"].detail == "SELECT * FROM weather WHERE day < $(run.date)"


def test_prepared_data_of_an_earlier_build_comes_from_its_run() -> None:
    found = prepared_graph({"step": "joined", "sql": "SELECT * FROM flights"})

    assert [cause for _edge, cause in found.causes("prepareddata/joined-22222222")] == ["trainingrun/monthly-x7k2p"]


def test_a_run_that_prepared_nothing_hands_on_a_version_of_a_dataset() -> None:
    given = {"digest": sample_namespace.DATA, "version": "flights-aaaaaaaa"}
    owner = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "TrainingRun", "name": "monthly-x7k2p", "uid": "1"}
    experiment = {
        "metadata": {"name": "step", "ownerReferences": [owner]},
        "spec": {"artifact": given},
        "status": {"data": given},
    }
    found = graph()
    found.add(edges.experiment_edges(experiment))
    found.merge_prepared_data()

    assert [cause for _edge, cause in found.causes("experiment/step")] == [
        "datasetversion/flights-aaaaaaaa",
        "trainingrun/monthly-x7k2p",
    ]
    assert [cause for _edge, cause in found.causes("datasetversion/flights-aaaaaaaa")] == ["dataset/flights"]


def test_a_circle_ends() -> None:
    known = Graph()
    known.add(
        [
            edges.Node("Model", "a"),
            edges.Node("Model", "b"),
            edges.Edge("model/a", "model/b"),
            edges.Edge("model/b", "model/a"),
        ]
    )

    assert tree.render_tree(known, "model/a").splitlines() == [
        "Model a",
        "comes from",
        "└─ Model b",
        "led to",
        "└─ Model b",
    ]


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        pytest.param("delay", 2, "inferenceservice/delay, model/delay", id="a name of several kinds"),
        pytest.param("nothing", 1, "nothing called 'nothing' has a lineage", id="a name of nothing"),
        pytest.param("dataset/delay", 1, "nothing called 'dataset/delay'", id="another kind's name"),
    ],
)
def test_a_name_that_leads_nowhere(name: str, code: int, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence) as caught:
        graph().find(name)

    assert caught.value.code == code


@pytest.mark.parametrize("name", ["model/delay", "Model/delay", "models/delay"])
def test_a_kind_may_be_named_as_people_do(name: str) -> None:
    assert graph().find(name) == "model/delay"


def test_a_run_comes_from_the_run_of_another_pipeline_whose_output_it_took() -> None:
    known = Graph()
    used = {"name": "rows", "pipeline": "up", "run": "up-1", "step": "window", "output": "data", "version": "flights-1"}
    known.add(edges.run_edges(custom(TRAINING_RUN, "after-1", {"pipeline": "after"}, status={"inputs": [used]})))

    shown = tree.render_tree(known, "trainingrun/after-1")
    assert "TrainingRun up-1, no longer in the cluster, its output 'data' of step 'window' is input 'rows'" in shown
    assert "DatasetVersion" not in shown


def test_a_run_comes_from_the_monitor_that_found_why_it_was_needed() -> None:
    known = Graph()
    cause = {"trigger": "worse", "monitor": "watch", "finding": "performance"}
    known.add(edges.run_edges(custom(TRAINING_RUN, "monthly-x7k2p", {"pipeline": "monthly", "cause": cause})))

    assert "├─ ModelMonitor watch, no longer in the cluster, found performance" in tree.render_tree(
        known, "trainingrun/monthly-x7k2p"
    )


def test_a_version_has_the_features_of_feature_sets_and_those_the_versions_of_their_datasets() -> None:
    definition, joined = f"sha256:{'6' * 64}", f"sha256:{'5' * 64}"
    flights = {"name": "flights", "version": "flights-aaaaaaaa", "digest": sample_namespace.DATA}
    pin = {"name": "context", "digest": definition, "datasets": [flights]}
    lineage = {
        "dataset": "flights",
        "datasetVersion": "flights-aaaaaaaa",
        "datasetDigest": joined,
        "featureSets": [pin],
    }
    found = Graph()
    found.add(edges.version_edges({"metadata": {"name": "delay-1"}, "spec": {"model": "delay", "lineage": lineage}}))
    status = {"digest": definition, "datasets": [flights]}
    found.add(edges.feature_set_edges({"metadata": {"name": "context"}, "status": status}))

    assert [cause for _edge, cause in found.causes("modelversion/delay-1")] == [
        "datasetversion/flights-aaaaaaaa",
        "featureset/context",
    ]
    assert [cause for _edge, cause in found.causes("featureset/context")] == ["datasetversion/flights-aaaaaaaa"]
    assert found.nodes["datasetversion/flights-aaaaaaaa"].digest == sample_namespace.DATA
    assert found.nodes["featureset/context"].digest == definition
