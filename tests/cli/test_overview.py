"""A namespace as a tree, and an object followed to the causes of its state."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from flywheel.cli.doctor.namespace_checks import rbac_subject
from flywheel.cli.output import render_text
from flywheel.cli.overview.explanation import causes, follow_causes, next_step
from flywheel.cli.overview.namespace_tree import build_lines
from flywheel.cli.overview.status import format_age, make_tree
from flywheel.cli.overview.upstream import DEGRADED_REASONS, PROGRESS_REASONS, Key, key_of, state_of
from flywheel.cli.resource_names import SHORT_NAMES
from flywheel.core.resource.api import (
    DATASET,
    EXPERIMENT,
    INFERENCE_SERVICE,
    MODEL,
    MODEL_VERSION,
    TRAINING_PIPELINE,
    TRAINING_RUN,
    Api,
)
from flywheel.engine import discover
from tests.cli.sample_namespace import condition
from tests.simulation.resources import custom

Objects = dict[Key, dict[str, Any]]
NOW = datetime(2026, 1, 4, tzinfo=UTC)


def thing(
    api: Api, name: str, ready: str, reason: str, message: str, spec: Mapping[str, Any], **status: Any
) -> dict[str, Any]:
    return custom(api, name, spec, status={"conditions": [condition("Ready", ready, reason, message)], **status})


def namespace(*things: dict[str, Any]) -> Objects:
    return {key_of(each): each for each in things}


NO_SECRET = "Secret 's3-read' does not exist in namespace 'shop'; create it or correct spec.source.s3.secretName."
WAITING = namespace(
    thing(DATASET, "flights", "False", "SecretNotFound", NO_SECRET, {}),
    thing(EXPERIMENT, "search", "False", "DatasetNotReady", "Waiting.", {"dataset": "flights", "register": "delay"}),
    thing(INFERENCE_SERVICE, "delay", "False", "ModelNotFound", "Waiting for a model.", {"model": "delay"}),
)
LINEAGE = {"experiment": "search", "trial": 7}
SERVING = namespace(
    thing(DATASET, "flights", "True", "Checked", "Fine.", {}, summary="327,346 rows"),
    thing(EXPERIMENT, "search", "True", "BudgetSpent", "Done.", {"dataset": "flights", "register": "delay"}),
    thing(MODEL, "delay", "True", "ChampionChosen", "It is.", {}, champion="delay-1"),
    thing(MODEL_VERSION, "delay-1", "True", "Verified", "It answers.", {"model": "delay", "lineage": LINEAGE}),
    thing(INFERENCE_SERVICE, "delay", "True", "Serving", "It serves.", {"model": "delay"}),
    thing(TRAINING_PIPELINE, "monthly", "True", "Live", "Live.", {"inputs": [{"dataset": "flights"}]}),
    thing(TRAINING_RUN, "monthly-1", "True", "Succeeded", "Done.", {"pipeline": "monthly"}),
)


def printed(objects: Objects) -> list[str]:
    return render_text(make_tree(build_lines(objects), NOW)).splitlines()


def test_a_namespace_is_a_tree_from_data_to_service() -> None:
    assert [line.split("  ●")[0].rstrip() for line in printed(SERVING)[1:]] == [
        "Dataset flights",
        "├─ Experiment search",
        "│  └─ Model delay",
        "│     ├─ ModelVersion delay-1",
        "│     └─ InferenceService delay",
        "└─ TrainingPipeline monthly",
        "   └─ TrainingRun monthly-1",
    ]
    assert printed(SERVING)[1].split() == ["Dataset", "flights", "●", "Checked", "2d", "327,346", "rows"]


def test_what_waits_says_for_what() -> None:
    lines = {line.key.kind: line for line in build_lines(WAITING)}

    assert [each.short for each in lines["Experiment"].waits_for] == ["dataset/flights"]
    assert [each.short for each in lines["InferenceService"].waits_for] == ["model/delay"]
    assert (lines["Model"].state, lines["Model"].summary) == (
        "waiting",
        "created when experiment/search registers a version",
    )


def test_what_is_named_and_does_not_exist_is_a_line() -> None:
    lines = build_lines({key: each for key, each in WAITING.items() if key.kind == "InferenceService"})

    assert [(line.key.short, line.state) for line in lines] == [
        ("model/delay", "missing"),
        ("inferenceservice/delay", "waiting"),
    ]


def pipeline_after(name: str, *others: str) -> dict[str, Any]:
    """A pipeline that takes outputs of others."""
    inputs = [{"name": f"of-{each}", "run": {"pipeline": each, "step": "window"}} for each in others]
    return thing(TRAINING_PIPELINE, name, "True", "Live", "", {"inputs": inputs, "steps": []})


def test_a_pipeline_is_below_the_one_whose_outputs_it_takes() -> None:
    lines = build_lines(namespace(pipeline_after("features"), pipeline_after("train", "features")))

    assert [(line.branch, line.key.name) for line in lines] == [("", "features"), ("└─ ", "train")]


def test_pipelines_that_take_one_anothers_outputs_are_each_shown_once() -> None:
    found = (pipeline_after("one", "two"), pipeline_after("two", "one"), pipeline_after("after", "one"))
    lines = build_lines(namespace(*found))

    assert sorted(line.key.name for line in lines) == ["after", "one", "two"]


def test_old_versions_and_runs_are_counted() -> None:
    runs = [thing(TRAINING_RUN, f"r-{number}", "True", "Succeeded", "", {"pipeline": "monthly"}) for number in range(9)]
    text = "\n".join(printed({**SERVING, **namespace(*runs)}))

    assert text.count("TrainingRun") == 4
    assert "└─ TrainingRun (7 older)" in text


def test_a_service_is_followed_to_the_secret_that_its_data_lacks() -> None:
    chain = follow_causes(Key("InferenceService", "delay"), WAITING)

    assert [(each.key.short, each.depth) for each in chain] == [
        ("inferenceservice/delay", 0),
        ("model/delay", 1),
        ("experiment/search", 2),
        ("dataset/flights", 3),
    ]
    assert [each.message for each in causes(chain)] == [NO_SECRET]


def test_what_is_well_has_no_cause() -> None:
    chain = follow_causes(Key("InferenceService", "delay"), SERVING)

    assert [each.key.kind for each in chain] == ["InferenceService"]
    assert causes(chain) == []


@pytest.mark.parametrize(
    ("found", "step"),
    [
        pytest.param(
            thing(
                MODEL,
                "delay",
                "True",
                "AwaitingApproval",
                "",
                {},
                candidates=[{"version": "delay-2", "verdict": "AwaitingApproval"}],
            ),
            "flywheel approve delay-2 -n shop --reason …",
            id="an approval",
        ),
        pytest.param(
            custom(MODEL, "delay", {}), "flywheel doctor -n shop", id="an object that the operator has not seen"
        ),
        pytest.param(
            thing(DATASET, "flights", "False", "Checking", "It runs.", {}), "none: it goes on by itself", id="work"
        ),
        pytest.param(
            thing(MODEL, "delay", "False", "GateFailed", "No better than a constant.", {}),
            "train a better version, or correct spec.gates",
            id="a gate",
        ),
        pytest.param(
            thing(DATASET, "flights", "True", "CheckFailed", NO_SECRET, {}), "do what the message says", id="a fault"
        ),
    ],
)
def test_a_cause_has_a_next_step(found: dict[str, Any], step: str) -> None:
    objects = namespace(found)
    cause = causes(follow_causes(key_of(found), objects))[0]

    assert next_step(cause, objects, "shop").startswith(step)


def test_degraded_is_what_the_kinds_call_so() -> None:
    assert {reason for kind in discover.kinds() for reason in kind.health.degraded} == DEGRADED_REASONS
    known = frozenset().union(*(kind.normal_reasons for kind in discover.kinds()))
    assert known >= PROGRESS_REASONS
    assert {kind.short_name: kind.api for kind in discover.kinds()} == SHORT_NAMES
    assert {"AwaitingApproval", "RolloutPaused"} == {
        each for kind in discover.kinds() for each in kind.health.suspended
    }


@pytest.mark.parametrize(
    ("created", "age"), [("2026-01-03T23:58:30Z", "90s"), ("2026-01-03T22:00:00Z", "2h"), ("", "")]
)
def test_an_age_is_as_kubectl_writes_it(created: str, age: str) -> None:
    assert format_age(created, NOW) == age


def test_a_failed_run_is_bad_though_it_is_no_longer_reconciled() -> None:
    run = custom(
        TRAINING_RUN,
        "r",
        {},
        status={
            "conditions": [
                condition("Succeeded", "False", "StepFailed", "Why."),
                condition("Ready", "False", "StepFailed", "Why."),
            ]
        },
    )

    assert state_of(run) == ("bad", "StepFailed", "Why.")


@pytest.mark.parametrize(
    ("user", "option"),
    [
        ("jane@example.org", "--user='jane@example.org'"),
        ("system:serviceaccount:shop:ci", "--serviceaccount=shop:ci"),
    ],
)
def test_rights_are_given_to_who_lacks_them(user: str, option: str) -> None:
    assert rbac_subject(user) == option
