"""Parts of resources: what stays, and that it says so."""

from typing import Any

import pytest
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.provenance import Provenance

from fhir_ecg.fhir.search_parameters import SEARCHABLE_TYPES
from fhir_ecg.fhir.subset import SUBSETTED, known_elements, subset

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o",
    "meta": {"versionId": "1", "tag": [{"code": "own"}]},
    "implicitRules": "http://rules",
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">ECG</div>'},
    "modifierExtension": [{"url": "http://x", "valueBoolean": True}],
    "status": "final",
    "_status": {"extension": [{"url": "http://y", "valueBoolean": True}]},
    "code": {"text": "ECG"},
    "effectiveDateTime": "2026-01-04",
    "method": {"text": "rest"},
    "component": [
        {"code": {"text": "I"}, "valueQuantity": {"value": 1}, "interpretation": [{"text": "high"}]},
    ],
}
KEPT = {"resourceType", "id", "meta", "implicitRules", "modifierExtension", "status", "_status", "code"}


@pytest.mark.parametrize(
    ("summary", "elements", "others"),
    [
        ("true", (), {"effectiveDateTime", "component"}),
        ("text", (), {"text"}),
        ("data", (), {"effectiveDateTime", "component", "method"}),
        ("false", ("effective", "method"), {"effectiveDateTime", "method"}),
        ("true", ("method",), {"method"}),
    ],
)
def test_parts(summary: Any, elements: tuple[str, ...], others: set[str]) -> None:
    part = subset(OBSERVATION, summary, elements)
    assert part.keys() == KEPT | others
    assert part["meta"] == {"versionId": "1", "tag": [{"code": "own"}, SUBSETTED]}
    Observation.model_validate(part)
    assert OBSERVATION["meta"]["tag"] == [{"code": "own"}]


def test_a_summary_goes_into_components() -> None:
    part = subset(OBSERVATION, "true")
    assert part["component"] == [{"code": {"text": "I"}, "valueQuantity": {"value": 1}}]


def test_the_whole_is_left_as_it_is() -> None:
    assert subset(OBSERVATION) is OBSERVATION


def test_mandatory_elements_stay() -> None:
    provenance = {
        "resourceType": "Provenance",
        "id": "p",
        "target": [{"reference": "Observation/o"}],
        "recorded": "2026-01-04T08:30:00Z",
        "agent": [{"who": {"reference": "Device/d"}}],
        "entity": [{"role": "source", "what": {"reference": "Observation/o"}}],
    }
    part = subset(provenance, "text")
    Provenance.model_validate(part)
    assert part.keys() == {"resourceType", "id", "meta", "target", "recorded", "agent"}


def test_elements_are_known_by_their_base_names() -> None:
    assert {"id", "meta", "effective", "value", "status", "component"} <= known_elements("Observation")
    assert "effectiveDateTime" not in known_elements("Observation")
    assert all("identifier" in known_elements(kind) for kind in SEARCHABLE_TYPES if kind != "Provenance")
