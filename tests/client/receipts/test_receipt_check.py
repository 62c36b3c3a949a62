"""A receipt is checked without the cluster: each change of it is found and named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.client.errors import FlywheelError
from flywheel.client.receipts.document import PARTS, Receipt, canonical_bytes, parse_receipt, part_digest
from flywheel.client.receipts.receipt_check import check_receipt
from tests.client.receipts.sample_service import APPROVAL, DIGEST, ENTRIES, FEATURES, FILES, GATES, ID, OUTPUTS, RECORDS
from tests.examples import examples

HEAD = "5" * 64
RECEIPT = Receipt(
    "2026-11-30T00:00:00Z",
    {"service": "delay", "id": ID, "row": 0, "digest": DIGEST, "features": FEATURES, "outputs": OUTPUTS, "columns": {}},
    {"name": "delay-1", "digest": DIGEST, "files": ENTRIES, "gates": GATES, "approval": APPROVAL},
    {"model": "delay", "records": RECORDS, "stated": {}},
    {"result": "Equal"},
    {"missing": "MethodUnknown"},
)
Change = Callable[[dict[str, Any]], object]


def reseal(document: dict[str, Any]) -> None:
    """States the digests of what is there now, as whoever changes a receipt can."""
    document["digests"] = {name: part_digest(part) for name, part in document["parts"].items()}
    document["digest"] = part_digest({key: document[key] for key in ("document", "v", "madeAt", "digests")})


def check(change: Change, *, resealed: bool = False, **options: Any) -> dict[str, list[str]]:
    document = json.loads(RECEIPT.to_json())
    change(document)
    if resealed:
        reseal(document)
    found: dict[str, list[str]] = {"Holds": [], "Fails": [], "Open": []}
    for each in check_receipt(parse_receipt(json.dumps(document), "receipt.json"), **options):
        found[each.state].append(each.sentence)
    return found


def test_a_receipt_as_it_was_written_holds() -> None:
    found = check(lambda _: None)

    assert not found["Fails"]
    assert [each.split(":")[0] for each in found["Open"]] == [
        "whether InferenceService 'delay' was asked this, and gave this answer",
        "whether they are the cluster's",
        "whether the stored model gives this answer",
    ]


@pytest.mark.parametrize("part", PARTS)
def test_a_changed_part_is_named(part: str) -> None:
    found = check(lambda document: document["parts"][part].update(note="changed"))

    [fault] = found["Fails"]
    assert fault.startswith(f"the part '{part}' was changed")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(lambda d: d.update(madeAt="2027-01-01T00:00:00Z"), "the digests of the parts or the time were changed", id="the time"),
        pytest.param(lambda d: d["parts"].update(more={}), "a part was added: 'more'", id="another part"),
    ],
)  # fmt: skip
def test_a_changed_head_is_named(change: Change, says: str) -> None:
    assert any(says in each for each in check(change)["Fails"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(lambda p: p["version"]["gates"][0].update(message="0.91 is above 0.7"), "the gates (quality passed) are not those of audit record 3", id="another measurement"),
        pytest.param(lambda p: p["version"]["gates"].clear() or p["version"]["gates"].append({"name": "bias", "passed": True}), "the gates (bias passed) are not those", id="another gate"),
        pytest.param(lambda p: p["version"]["approval"].update(by="joe"), "the approval by joe at 2026-11-02T10:00:00Z is not that of audit record 4", id="an approval that no promotion had"),
        pytest.param(lambda p: p["audit"]["records"].pop(1), "audit record 2 is missing between 1 and 3", id="a record that is left out"),
        pytest.param(lambda p: p["audit"]["records"].__setitem__(3, RECORDS[3].replace("jane", "joe")), "audit record 4 or 5 was changed", id="another approver"),
        pytest.param(lambda p: p["audit"].update(model="other"), "is not one of Model 'other'", id="another model"),
        pytest.param(lambda p: p["audit"].update(stated={"number": 3, "sha256": HEAD}), "audit record 3 does not have the digest", id="not what the Model stated"),
        pytest.param(lambda p: p["version"]["files"].pop(), "the list of files does not have the version's digest", id="a file less"),
        pytest.param(lambda p: p["prediction"].update(digest=f"sha256:{HEAD}"), "the row was answered by", id="another artifact"),
        pytest.param(lambda p: p["version"].update(digest=f"sha256:{HEAD}"), "is of another artifact", id="an artifact that was not promoted"),
        pytest.param(lambda p: p["audit"].update(records=[1, None, {}]), "is not one of Model 'delay'", id="records that are none"),
        pytest.param(lambda p: p["version"].update(files=["x"]), "the list of files does not have", id="files that are none"),
    ],
)  # fmt: skip
def test_a_change_that_restates_the_digests_contradicts_another_part(change: Change, says: str) -> None:
    assert any(says in each for each in check(lambda d: change(d["parts"]), resealed=True)["Fails"])


def test_gates_and_approval_are_compared_with_the_records() -> None:
    holds = check(lambda _: None)["Holds"]

    assert "the gates are those of audit record 3" in holds
    assert any(each.startswith("audit record 4 has the approval by jane") for each in holds)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(lambda p: p["version"]["approval"].update(at="2026-11-20T00:00:00Z"), "whether jane approved the version", id="an approval after the promotion"),
        pytest.param(lambda p: p["version"]["gates"].__setitem__(0, {"name": "measurement", "passed": True, "measured": False}), "whether the gates found this", id="gates that could not be measured"),
        pytest.param(lambda p: p["audit"].update(records=RECORDS[3:]), "whether the gates found this", id="the end of a long chain"),
    ],
)  # fmt: skip
def test_what_no_record_has_is_open(change: Change, says: str) -> None:
    found = check(lambda d: change(d["parts"]), resealed=True)

    assert not found["Fails"]
    assert any(each.startswith(says) for each in found["Open"])


def test_a_row_that_was_made_up_holds_nowhere() -> None:
    found = check(lambda d: d["parts"]["prediction"]["features"].update(month=9.0), resealed=True)

    assert not found["Fails"]  # nothing in the file can show it
    assert found["Open"][0].startswith("whether InferenceService 'delay' was asked this, and gave this answer")


def test_an_ambiguous_id_is_told_by_the_check_too() -> None:
    found = check(lambda d: d["parts"]["prediction"].update(ambiguous="2 requests have this id"), resealed=True)

    assert "whether this is the request that you mean: 2 requests have this id" in found["Open"]


@pytest.mark.parametrize(
    ("head", "state", "says"),
    [
        pytest.param(
            json.loads(RECORDS[3])["previous"], "Holds", "audit record 3 has the SHA-256 that you kept", id="kept"
        ),
        pytest.param(HEAD, "Fails", "none of the audit records 1 to 5 has the SHA-256", id="another chain"),
    ],
)
def test_a_head_that_was_kept_decides(head: str, state: str, says: str) -> None:
    assert any(says in each for each in check(lambda _: None, head=head)[state])


@pytest.mark.integration
def test_the_model_answers_again(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)

    same = check(lambda _: None, model=tmp_path)
    other = check(
        lambda d: d["parts"]["prediction"]["outputs"].update(label=0), resealed=True, model=tmp_path / "model.onnx"
    )

    assert "the model gives the same answer, bit for bit: label, probabilities" in same["Holds"]
    assert other["Fails"] == ["the model gives another answer: label is 0 in the log, and 1 now, 1 apart"]


def test_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"another")

    [fault] = check(lambda _: None, model=tmp_path)["Fails"]

    assert "is another file than that of the version" in fault


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("{", "it is no JSON", id="cut off"),
        pytest.param("[]", "does not say that it is a flywheel.ml/receipt", id="a list"),
        pytest.param('{"document": "flywheel.ml/receipt", "v": 2}', "is a receipt of format 2, and this release reads up to 1", id="of a newer release"),
        pytest.param('{"document": "flywheel.ml/receipt", "v": 1, "parts": {}}', "its part 'prediction' is missing", id="without parts"),
        pytest.param("[" * 100_000, "it is no JSON", id="nested without end"),
    ],
)  # fmt: skip
def test_what_is_no_receipt_is_refused(text: str, says: str) -> None:
    with pytest.raises(FlywheelError, match=says):
        parse_receipt(text, "receipt.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.integration
@settings(max_examples=examples(100, ci=30), deadline=None)
@given(part=st.sampled_from(PARTS), key=st.text(max_size=8), value=JSON)
def test_any_value_survives_a_receipt_and_none_ends_the_check_otherwise_than_with_findings(
    part: str, key: str, value: Any
) -> None:
    document = json.loads(RECEIPT.to_json())
    document["parts"][part] = {**document["parts"][part], key: value}
    reseal(document)
    file = parse_receipt(canonical_bytes(document).decode(), "receipt.json")

    assert file.changes == ()
    assert check_receipt(file)


@pytest.mark.integration
@settings(max_examples=examples(100, ci=30), deadline=None)
@given(
    part=st.sampled_from(PARTS),
    value=st.dictionaries(
        st.sampled_from(["records", "files", "digest", "model", "stated", "features", "columns", "name"]), JSON
    ),
)
def test_parts_of_any_form_end_in_findings(part: str, value: Any) -> None:
    document = json.loads(RECEIPT.to_json())
    document["parts"][part] |= value

    assert check_receipt(parse_receipt(json.dumps(document), "receipt.json"))
