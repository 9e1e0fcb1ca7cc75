"""What breaks a required binding, a reference's rules or an invariant is refused, naming the element and the rule."""

from typing import Any

import pytest
from sent_ecg import observation

from fhir_ecg.fhir.outcome import UnprocessableError
from fhir_ecg.fhir.parsing import check_observation
from fhir_ecg.fhir.release import Release

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
HOME = {"resourceType": "Patient", "id": "p"}
IDENTIFIER = {"system": "http://a.example", "value": "1"}
VALUE = {"url": "http://a.example/x", "valueString": "x"}

REFUSED: list[tuple[dict[str, Any], str, str, str]] = [
    # What is put into a sound Observation, the code, its expression, and a part of its text.
    ({"identifier": [IDENTIFIER | {"use": "bogus"}]}, "code-invalid", "identifier[0].use", "'bogus'"),
    ({"text": {"status": "x", "div": DIV.format("a")}}, "code-invalid", "text.status", "generated"),
    ({"referenceRange": [{"low": {"value": 1, "comparator": "=>"}}]}, "code-invalid",
     "referenceRange[0].low.comparator", ">="),
    ({"note": [{"text": "a", "authorReference": {"reference": "Observation/1"}}]}, "value",
     "note[0].authorReference.reference", "Observation"),
    ({"contained": [HOME | {"gender": "m"}], "subject": {"reference": "#p"}}, "code-invalid", "contained[0].gender",
     "female"),
    ({"subject": {"reference": "Patient"}}, "value", "subject.reference", "no reference"),
    ({"subject": {"reference": "Patient/1 2"}}, "value", "subject.reference", "no reference"),
    ({"subject": {"reference": "Patient?identifier=s|1"}}, "value", "subject.reference", "no reference"),
    ({"subject": {"reference": "urn:uuid:"}}, "value", "subject.reference", "no reference"),
    ({"subject": {"reference": "Unicorn/1"}}, "value", "subject.reference", "no reference"),
    ({"subject": {"reference": "#q"}}, "not-found", "subject.reference", "ref-1"),
    ({"subject": {"reference": "Observation/1"}}, "value", "subject.reference", "Patient, Group"),
    ({"subject": {"reference": "http://ehr.example/fhir/Encounter/1"}}, "value", "subject.reference", "Encounter"),
    ({"subject": {"reference": "Patient/1", "type": "Group"}}, "value", "subject.type", "Patient"),
    ({"subject": {"type": "Encounter", "identifier": IDENTIFIER}}, "value", "subject.reference", "Encounter"),
    ({"encounter": {"reference": "Patient/1"}}, "value", "encounter.reference", "Encounter"),
    ({"device": {"reference": "Patient/1"}}, "value", "device.reference", "DeviceMetric"),
    ({"performer": [{"reference": "Practitioner/1"}, {"reference": "Device/1"}]}, "value", "performer[1].reference",
     "Practitioner"),
    ({"contained": [HOME]}, "invariant", "contained[0]", "dom-3"),
    ({"contained": [HOME | {"meta": {"versionId": "1"}}], "subject": {"reference": "#p"}}, "invariant",
     "contained[0].meta", "dom-4"),
    ({"contained": [HOME | {"meta": {"security": [{"code": "R"}]}}], "subject": {"reference": "#p"}}, "invariant",
     "contained[0].meta.security", "dom-5"),
    ({"contained": [HOME | {"contained": [{"resourceType": "Organization", "id": "o", "name": "x"}]}],
      "subject": {"reference": "#p"}}, "invariant", "contained[0].contained", "dom-2"),
    ({"extension": [{"url": "http://a.example"}]}, "invariant", "extension[0]", "ext-1"),
    ({"extension": [VALUE | {"extension": [VALUE]}]}, "invariant", "extension[0]", "ext-1"),
    ({"_issued": {"extension": [{"url": "http://a.example"}]}}, "invariant", "_issued.extension[0]", "ext-1"),
    ({"valueString": "x", "dataAbsentReason": {"text": "x"}}, "invariant", "dataAbsentReason", "obs-6"),
    ({"component": [{"code": {"text": "x"}, "valueString": "x", "dataAbsentReason": {"text": "x"}}]}, "invariant",
     "component[0].dataAbsentReason", "obs-6"),
    ({"valueString": "x", "code": {"coding": [{"system": "s", "code": "c"}]},
      "component": [{"code": {"coding": [{"system": "s", "code": "c"}]}}]}, "invariant", "component[0].code", "obs-7"),
    ({"referenceRange": [{"type": {"text": "normal"}}]}, "invariant", "referenceRange[0]", "obs-3"),
    ({"valueQuantity": {"value": 1, "code": "mV"}}, "invariant", "value.ofType(Quantity).code", "qty-3"),
    ({"valueRange": {"low": {"value": 2}, "high": {"value": 1}}}, "invariant", "value.ofType(Range).low", "rng-2"),
    ({"valueRange": {"low": {"value": 2, "comparator": "<"}}}, "invariant", "value.ofType(Range).low.comparator",
     "sqty-1"),
    ({"valueRatio": {"numerator": {"value": 1}}}, "invariant", "value.ofType(Ratio)", "rat-1"),
    ({"effectiveTiming": {"repeat": {"duration": 1}}}, "invariant",
     "effective.ofType(Timing).repeat.durationUnit", "tim-1"),
    ({"effectiveTiming": {"repeat": {"period": -1, "periodUnit": "s"}}}, "invariant",
     "effective.ofType(Timing).repeat.period", "tim-5"),
    ({"effectiveTiming": {"repeat": {"countMax": 2}}}, "invariant", "effective.ofType(Timing).repeat.countMax",
     "tim-8"),
    ({"effectiveTiming": {"repeat": {"when": ["HS"], "timeOfDay": ["08:00:00"]}}}, "invariant",
     "effective.ofType(Timing).repeat.when", "tim-10"),
    ({"text": {"status": "generated", "div": "x"}}, "invariant", "text.div", "txt-1"),
    ({"text": {"status": "generated", "div": DIV.format("<script>x</script>")}}, "invariant", "text.div", "script"),
    ({"text": {"status": "generated", "div": DIV.format('<a href="java&#10;script:x">x</a>')}}, "invariant", "text.div",
     "href"),
    ({"text": {"status": "generated", "div": DIV.format('<p onclick="x">x</p>')}}, "invariant", "text.div", "onclick"),
    ({"text": {"status": "generated", "div": '<!DOCTYPE div [<!ENTITY x "y">]>' + DIV.format("&x;")}}, "invariant",
     "text.div", "document type"),
    ({"modifierExtension": [VALUE]}, "extension", "modifierExtension[0]", "http://a.example/x"),
    ({"component": [{"code": {"text": "x"}, "modifierExtension": [VALUE]}]}, "extension",
     "component[0].modifierExtension[0]", "http://a.example/x"),
    ({"implicitRules": "http://a.example/rules"}, "not-supported", "implicitRules", "http://a.example/rules"),
    ({"text": {"status": "generated", "div": DIV.format("  ")}}, "invariant", "text.div", "txt-2"),
]  # fmt: skip

TAKEN: list[dict[str, Any]] = [
    {"identifier": [IDENTIFIER | {"use": "official"}]},
    {"subject": {"reference": "http://ehr.example/fhir/Patient/1/_history/2"}},
    {"subject": {"reference": "urn:uuid:6b1c7f0e-0000-4000-8000-000000000001"}},
    {"subject": {"reference": "urn:oid:1.2.3"}},
    {"subject": {"reference": "https://ehr.example/people?id=1", "type": "Patient"}},
    {"subject": {"identifier": IDENTIFIER, "display": "Somebody"}},
    {"subject": {"reference": "#p"}, "contained": [HOME]},
    {"subject": {"reference": "#p"}, "contained": [HOME | {"modifierExtension": [VALUE]}]},
    {"focus": [{"reference": "Appointment/1"}]},
    {"extension": [{"url": "http://a.example", "extension": [VALUE]}]},
    {"dataAbsentReason": {"text": "x"}},
    {"component": [{"code": {"text": "x"}, "dataAbsentReason": {"text": "x"}}]},
    {"referenceRange": [{"low": {"value": 1}, "high": {"value": 2}}]},
    {"valueRange": {"low": {"value": 2, "unit": "V"}, "high": {"value": 1, "unit": "kV"}}},
    {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 2}}},
    {"effectiveTiming": {"repeat": {"period": 1, "periodUnit": "d", "duration": 1, "durationUnit": "h"}}},
    {"text": {"status": "generated", "div": DIV.format('<p style="color: red">x&nbsp;&amp; y</p><img src="#i"/>')}},
]


def sound(put: dict[str, Any]) -> dict[str, Any]:
    document = observation() | put
    if "effectiveTiming" in put:
        del document["effectiveDateTime"]
    return document


@pytest.mark.parametrize(("put", "code", "expression", "text"), REFUSED)
def test_what_breaks_a_rule_is_refused(put: dict[str, Any], code: str, expression: str, text: str) -> None:
    with pytest.raises(UnprocessableError) as caught:
        check_observation(sound(put))
    found = [(p.code, p.expression) for p in caught.value.problems if text in p.diagnostics]
    assert found == [(code, f"Observation.{expression}")], caught.value.problems


@pytest.mark.parametrize("put", TAKEN)
def test_what_breaks_none_is_taken(put: dict[str, Any]) -> None:
    check_observation(sound(put))


def test_r5_has_rules_of_its_own() -> None:
    r5 = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "triggeredBy": [{"observation": {"reference": "Observation/1"}, "type": "bogus"}],
        "bodySite": {"text": "x"},
        "bodyStructure": {"reference": "BodyStructure/1"},
    }
    with pytest.raises(UnprocessableError) as caught:
        check_observation(r5, Release.R5)
    found = {(p.code, p.expression) for p in caught.value.problems}
    assert found == {
        ("code-invalid", "Observation.triggeredBy[0].type"),
        ("invariant", "Observation.bodyStructure"),
    }
