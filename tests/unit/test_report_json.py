"""``report.json`` is canonical, comes back exactly, and refuses what is not a report."""

from __future__ import annotations

import copy
import dataclasses
import json
import typing
from collections.abc import Iterator
from datetime import date
from enum import Enum
from types import NoneType, UnionType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mcp_sandbox import model
from mcp_sandbox.errors import ReportUnreadable
from mcp_sandbox.model import (
    Identity,
)
from mcp_sandbox.model.answer import SCHEMA_VERSION, VOLATILE, Report
from mcp_sandbox.report import json as report_json
from unit.report_samples import HOSTILE, hostile_report, sample_report

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), NUMBERS, TEXT),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
SCALARS = {
    Any: JSON,
    str: TEXT,
    bool: st.booleans(),
    int: st.integers(),
    float: NUMBERS,
    date: st.dates(),
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one per kind of type
    """Values of a field of the model, whatever type a later field may have."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, UnionType}:
        return st.one_of(*(values_of(one) for one in arguments))
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values_of(arguments[0]), max_size=1).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, arguments))
    if origin is dict:
        return st.dictionaries(TEXT, values_of(arguments[1]), max_size=1)
    if hint is NoneType:
        return st.none()
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return st.builds(
            hint, **{one.name: values_of(hints[one.name]) for one in dataclasses.fields(hint)}
        )
    return SCALARS[hint]


REPORTS = values_of(Report).map(lambda one: dataclasses.replace(one, schema_version=SCHEMA_VERSION))
QUICKLY = settings(max_examples=60, suppress_health_check=[*HealthCheck])
VALIDATOR = Draft202012Validator(report_json.schema())


@QUICKLY
@given(REPORTS)
def test_every_type_of_the_model_comes_back_exactly(report: Report):
    data = report_json.dump(report)
    assert report_json.load(data) == report
    assert report_json.dump(report_json.load(data)) == data
    VALIDATOR.validate(json.loads(data))


def test_every_type_of_the_model_is_part_of_a_report():
    """Otherwise the round trip above would say nothing of it."""
    types = {
        one
        for one in vars(model).values()
        if dataclasses.is_dataclass(one)
        and one not in {model.RuleInfo, model.ScannerRule, model.Listener}
    }
    assert {one.__name__ for one in types} - {"Report"} <= set(report_json.schema()["$defs"])


def test_the_sample_comes_back_and_fits_the_schema():
    report = sample_report()
    data = report_json.dump(report)
    assert report_json.load(data) == report
    VALIDATOR.validate(json.loads(data))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_plain_ascii_and_loads_again(text: str):
    data = report_json.dump(hostile_report(text))
    assert data.endswith(b"}\n")
    assert all(byte == 0x0A or 0x20 <= byte < 0x7F for byte in data)
    again = report_json.load(data)
    assert report_json.dump(again) == data
    if not any(0xD800 <= ord(one) < 0xE000 for one in text):
        assert again == hostile_report(text)


def test_a_lone_surrogate_is_written_as_its_escape():
    report = dataclasses.replace(sample_report(), error="a\ud800b", versions={"\udfff": "x"})
    again = report_json.load(report_json.dump(report))
    assert again.error == r"a\ud800b"
    assert again.versions == {r"\udfff": "x"}


def with_json(value: Any) -> Report:
    """A report that holds a peer's value."""
    base = sample_report()
    assert base.observations is not None
    session = base.observations.sessions[0]
    transcript = dataclasses.replace(session.transcript, server_info=value)
    sessions = (dataclasses.replace(session, transcript=transcript),)
    return dataclasses.replace(
        base, observations=dataclasses.replace(base.observations, sessions=sessions)
    )


def server_info(report: Report) -> Any:
    assert report.observations is not None
    return report.observations.sessions[0].transcript.server_info


def test_numbers_that_json_cannot_carry_become_text():
    value = json.loads("[1e999, -1e999, NaN, 1.0, -0.0, 1e300]")
    again = server_info(report_json.load(report_json.dump(with_json(value))))
    assert again == ["Infinity", "-Infinity", "NaN", 1, 0, 1e300]


def test_what_is_nested_too_deep_is_named():
    value: Any = "innermost"
    for _ in range(150):
        value = [value]
    data = report_json.dump(with_json(value))
    assert report_json.TOO_DEEP.encode() in data
    assert b"innermost" not in data
    assert report_json.dump(report_json.load(data)) == data


def test_equal_reports_give_equal_bytes():
    report = sample_report()
    turned = dataclasses.replace(
        report,
        versions=dict(reversed(report.versions.items())),
        coverage=dataclasses.replace(
            report.coverage, tools=dict(reversed(report.coverage.tools.items()))
        ),
        score=0,
    )
    assert report_json.dump(turned) == report_json.dump(report)


# --- what is no report ----------------------------------------------------------------------------

WHOLE = report_json.dump(sample_report())


@pytest.mark.parametrize("length", [0, 1, 100, len(WHOLE) // 2, len(WHOLE) - 3])
def test_a_truncated_report_is_refused(length: int):
    with pytest.raises(ReportUnreadable, match="truncated"):
        report_json.load(WHOLE[:length])


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(WHOLE), **fields}).encode()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"[]", "no schema_version"),
        (b"{}", "no schema_version"),
        (b'{"schema_version": null}', "no schema_version"),
        (b"\xff\xfe\x00", "not whole JSON"),
        (b"[" * 200_000, "not whole JSON"),
        (changed(schema_version=SCHEMA_VERSION + 1), f"version {SCHEMA_VERSION + 1}, this program"),
        (changed(schema_version=True), "version True"),
        (changed(schema_version="1"), "has schema version"),
        (changed(surprise=1), "damaged at surprise"),
        (changed(score="70"), "damaged at score"),
        (changed(verdict="fine"), "damaged at verdict"),
        (changed(findings=None), "damaged at findings"),
        (changed(seed=1.5), "damaged at seed"),
        (changed(versions={"a": 1}), "damaged at versions.a"),
    ],
)
def test_what_is_no_report_is_refused_in_one_sentence(data: bytes, sentence: str):
    with pytest.raises(ReportUnreadable, match=sentence) as refused:
        report_json.load(data)
    assert refused.value.what.endswith(".")
    assert "\n" not in refused.value.what
    assert len(refused.value.what) < 500


def test_a_field_has_one_name_only():
    document = json.loads(WHOLE)
    document["findings"][0]["class_"] = document["findings"][0].pop("class")
    with pytest.raises(ReportUnreadable, match=r"findings\.0\.class"):
        report_json.load(json.dumps(document).encode())


def test_a_huge_file_is_refused_unread(monkeypatch):
    monkeypatch.setattr(report_json, "MAX_BYTES", 2**20)
    with pytest.raises(ReportUnreadable, match="larger than 1 MiB"):
        report_json.load(WHOLE + b" " * 2**20)


def test_missing_what_has_a_default_is_accepted():
    document = json.loads(WHOLE)
    del document["limits"]
    assert report_json.load(json.dumps(document).encode()) == sample_report()


# --- volatile fields ------------------------------------------------------------------------------


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Every scalar of a document: its path as VOLATILE writes it, its holder and its key."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, child in items:
        here = (*path, key) if isinstance(node, dict) else (*path[:-1], f"{path[-1]}[]")
        if isinstance(child, dict | list):
            yield from leaves(child, here)
        else:
            yield here, node, key


def test_only_volatile_fields_are_dropped():
    sample = sample_report()
    document = json.loads(report_json.dump(dataclasses.replace(sample, drift=sample.findings[:1])))
    kept = report_json.drop_volatile(copy.deepcopy(document))
    seen = set()
    for path, holder, key in leaves(document):
        before = holder[key]
        holder[key] = "changed"
        name = f"{'.'.join(path)}."
        volatile = next((one for one in VOLATILE if name.startswith((f"{one}.", f"{one}[]"))), None)
        seen.add(volatile)
        assert (report_json.drop_volatile(document) == kept) == (volatile is not None), path
        holder[key] = before
    assert seen - {None} == set(VOLATILE), "a path of VOLATILE names nothing in the sample"


def test_dropping_leaves_its_argument_alone():
    document = json.loads(WHOLE)
    report_json.drop_volatile(document)
    assert document == json.loads(WHOLE)


def test_reports_that_differ_in_time_only_compare_equal():
    report = sample_report()
    later = dataclasses.replace(report, run=model.RunFacts("r2", "2027-01-01T00:00:00Z", 1.0))
    assert report_json.dump(later) != report_json.dump(report)
    assert report_json.comparable(later) == report_json.comparable(report)
    other = dataclasses.replace(report, seed=7)
    assert report_json.comparable(other) != report_json.comparable(report)


def test_a_report_without_observations_has_no_volatile_fields_to_drop():
    report = dataclasses.replace(sample_report(), observations=None)
    assert report_json.drop_volatile(json.loads(report_json.dump(report)))["observations"] is None


# --- the schema -----------------------------------------------------------------------------------


def test_the_schema_is_one_and_describes_fields():
    schema = report_json.schema()
    Draft202012Validator.check_schema(schema)
    assert schema["x-volatile"] == list(VOLATILE)
    assert "class" in schema["$defs"]["Finding"]["properties"]
    location = schema["$defs"]["Location"]["properties"]["why"]
    assert location["description"].startswith("How the line was chosen")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.update(surprise=1),
        lambda document: document.pop("limits"),
        lambda document: document["findings"][0].pop("class"),
        lambda document: document["coverage"].update(tools=[]),
        lambda document: document.update(schema_version=SCHEMA_VERSION + 1),
    ],
)
def test_the_schema_bites(spoil):
    document = json.loads(WHOLE)
    assert VALIDATOR.is_valid(document)
    spoil(document)
    assert not VALIDATOR.is_valid(document)


def test_identity_keeps_open_objects_open():
    """Values of a peer may have any keys; only our own types are closed."""
    assert (
        "additionalProperties"
        in report_json.schema()["$defs"][Identity.__name__]["properties"]["capabilities"]
    )
