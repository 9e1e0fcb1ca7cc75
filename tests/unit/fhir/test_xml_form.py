"""FHIR XML in and out: what it becomes, that nothing is lost on the way back, and what is refused."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from locations import REPOSITORY
from readings import ISSUED, MODEL, PREDICTION, RECORDING
from sent_ecg import observation

from fhir_ecg.examples import example_observations
from fhir_ecg.fhir.bundle import searchset
from fhir_ecg.fhir.capability import Server, capability_statement
from fhir_ecg.fhir.definitions import definitions
from fhir_ecg.fhir.outcome import MalformedError, Problem, UnprocessableError, operation_outcome
from fhir_ecg.fhir.parsing import check_observation, parse_json, serialise
from fhir_ecg.fhir.reading_resources import model_device, reading_provenance, scores_observation
from fhir_ecg.fhir.release import Release
from fhir_ecg.fhir.report import read_report, registered_report
from fhir_ecg.fhir.xml_form import parse_xml, serialise_xml

SAMPLES = REPOSITORY.parent / "shared" / "fhir-samples" / "hl7-uv-pocd"

RICH = b"""\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>
<!-- an ECG --><f:Observation xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml">
  <f:id value=" e1 "/>
  <f:implicitRules id="r" value="http://x.example"/>
  <f:text>
    <f:status value="generated"/>
    <h:div xml:lang="de" title="a&quot;b"><h:p
        class='x'>f\xc3\xbcnf &lt; 6<h:br/><![CDATA[&]]><!-- no --> <h:a href="#c">c</h:a></h:p></h:div>
  </f:text>
  <f:contained>
    <f:Patient>
      <f:id value="p"/>
      <f:active value="true"/>
      <f:name>
        <f:given value="A"/>
        <f:given value="B"><f:extension url="http://x/g"><f:valueInteger value="-5"/></f:extension></f:given>
      </f:name>
      <f:name id="n2"><f:family value="C&#10;D"/></f:name>
      <f:name>
        <f:given><f:extension url="http://x/absent"><f:valueCode value="unknown"/></f:extension></f:given>
        <f:given value="E"/>
      </f:name>
      <f:multipleBirthInteger value="2"/>
    </f:Patient>
  </f:contained>
  <f:extension id="x1" url="http://x/outer">
    <f:extension url="inner"><f:valueDecimal value="1.50"/></f:extension>
    <f:extension url="text">
      <f:valueString value="v">
        <f:extension url="http://x/t"><f:valueBoolean value="false"/></f:extension>
      </f:valueString>
    </f:extension>
  </f:extension>
  <f:status value="final"/>
  <f:code><f:text value="ECG"/></f:code>
  <f:subject><f:reference value="#p"/></f:subject>
  <f:effectiveDateTime>
    <f:extension url="http://x/absent"><f:valueCode value="masked"/></f:extension>
  </f:effectiveDateTime>
  <f:component id="c1">
    <f:code><f:text value="I"/></f:code>
    <f:valueSampledData>
      <f:origin><f:value value="0.000"/></f:origin>
      <f:period value="2"/><f:factor value="1.0E-3"/><f:dimensions value="1"/>
      <f:data value="
        1 2
        E"/>
    </f:valueSampledData>
  </f:component>
</f:Observation>
"""

DIV = (
    '<div xmlns="http://www.w3.org/1999/xhtml" xml:lang="de" title="a&quot;b">'
    '<p class="x">f\u00fcnf &lt; 6<br/>&amp; <a href="#c">c</a></p></div>'
)
RICH_AS_JSON = """{
  "resourceType": "Observation", "id": "e1", "implicitRules": "http://x.example", "_implicitRules": {"id": "r"},
  "text": {"status": "generated", "div": DIV},
  "contained": [{
    "resourceType": "Patient", "id": "p", "active": true,
    "name": [
      {"given": ["A", "B"], "_given": [null, {"extension": [{"url": "http://x/g", "valueInteger": -5}]}]},
      {"id": "n2", "family": "C\\nD"},
      {"given": [null, "E"], "_given": [{"extension": [{"url": "http://x/absent", "valueCode": "unknown"}]}, null]}
    ],
    "multipleBirthInteger": 2
  }],
  "extension": [{"id": "x1", "url": "http://x/outer", "extension": [
    {"url": "inner", "valueDecimal": 1.50},
    {"url": "text", "valueString": "v", "_valueString": {"extension": [{"url": "http://x/t", "valueBoolean": false}]}}
  ]}],
  "status": "final", "code": {"text": "ECG"}, "subject": {"reference": "#p"},
  "_effectiveDateTime": {"extension": [{"url": "http://x/absent", "valueCode": "masked"}]},
  "component": [{
    "id": "c1", "code": {"text": "I"},
    "valueSampledData": {
      "origin": {"value": 0.000}, "period": 2, "factor": 1.0E-3, "dimensions": 1, "data": "1 2         E"
    }
  }]
}""".replace("DIV", json.dumps(DIV))


def exactly(value: Any) -> Any:
    """Make equal only what has the same types and digits."""
    if isinstance(value, dict):
        return {name: exactly(child) for name, child in value.items()}
    if isinstance(value, list):
        return [exactly(child) for child in value]
    return ("number", str(value)) if isinstance(value, Decimal | int) and not isinstance(value, bool) else value


def of(content: str, root: str = "Observation") -> bytes:
    return f'<{root} xmlns="http://hl7.org/fhir">{content}</{root}>'.encode()


def test_an_observation_with_all_that_xml_can_say() -> None:
    document = parse_xml(RICH)
    assert exactly(document) == exactly(parse_json(RICH_AS_JSON.encode()))
    assert type(document["component"][0]["valueSampledData"]["period"]) is Decimal
    assert type(document["component"][0]["valueSampledData"]["dimensions"]) is int
    assert exactly(parse_xml(serialise_xml(document))) == exactly(document)


def test_how_it_is_written() -> None:
    document = {
        "resourceType": "Observation",
        "text": {"div": '<h:div xmlns:h="http://www.w3.org/1999/xhtml">&lt;<h:br/></h:div>', "status": "generated"},
        "component": [{"valueQuantity": {"unit": "\u00b5V\n\"&'", "value": Decimal("1.50")}, "id": "c"}],
        "code": {"_text": {"id": "t", "extension": [{"valueBoolean": True, "url": "u"}]}},
        "contained": [{"resourceType": "Patient", "name": [{"given": [None, "B"], "_given": [{"id": "g"}]}]}],
    }
    assert serialise_xml(document).decode() == (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        '<Observation xmlns="http://hl7.org/fhir"><text><status value="generated"/>'
        '<div xmlns="http://www.w3.org/1999/xhtml">&lt;<br/></div></text>'
        '<contained><Patient><name><given id="g"/><given value="B"/></name></Patient></contained>'
        '<code><text id="t"><extension url="u"><valueBoolean value="true"/></extension></text></code>'
        '<component id="c"><valueQuantity><value value="1.50"/><unit value="\u00b5V&#10;&quot;&amp;\'"/>'
        "</valueQuantity></component></Observation>"
    )


def test_written_for_people() -> None:
    pretty = serialise_xml({"resourceType": "Observation", "status": "final"}, pretty=True).decode()
    assert pretty.splitlines()[1:] == [
        '<Observation xmlns="http://hl7.org/fhir">',
        '  <status value="final"/>',
        "</Observation>",
    ]


def test_an_ecg_of_the_devices_group() -> None:
    path = SAMPLES / "Observation-ECGSampleArrayObservation.xml"
    if not path.is_file():
        pytest.skip(f"the samples are not at {SAMPLES}")
    document = parse_xml(path.read_bytes())
    check_observation(document)
    assert list(document) == [
        "resourceType",
        "id",
        "meta",
        "status",
        "code",
        "subject",
        "effectivePeriod",
        "device",
        "component",
    ]
    lead = document["component"][1]
    sampled = lead["valueSampledData"]
    assert lead["code"] == {
        "coding": [{"system": "urn:iso:std:iso:11073:10101", "code": "131330", "display": "MDC_ECG_ELEC_POTL_II"}]
    }
    assert sampled["origin"] == {
        "value": Decimal("-0.5"), "unit": "mV", "system": "http://unitsofmeasure.org", "code": "mV",
    }  # fmt: skip
    assert exactly([sampled["period"], sampled["factor"], sampled["dimensions"]]) == exactly([8, Decimal("0.001"), 1])
    assert sampled["data"].startswith("500 500 500")


@pytest.mark.parametrize("name", ["DeviceMetric-ECGSampleArrayDeviceMetric", "Observation-CVPSampleArrayObservation"])
def test_samples_of_the_devices_group_survive_the_round_trip(name: str) -> None:
    path = SAMPLES / f"{name}.xml"
    if not path.is_file():
        pytest.skip(f"the samples are not at {SAMPLES}")
    document = parse_xml(path.read_bytes())
    assert exactly(parse_xml(serialise_xml(document))) == exactly(document)


REPORT = registered_report(observation(), "O", "R")
OURS: dict[str, dict[str, Any]] = {
    "report": read_report(REPORT, PREDICTION, RECORDING, "S", status="partial", issued=ISSUED, snomed=True),
    "scores": scores_observation(observation(), "O", "S", PREDICTION, issued=ISSUED, snomed=True),
    "device": model_device(MODEL),
    "provenance": reading_provenance("P", ["DiagnosticReport/R", "Observation/S"], ["Observation/O"], MODEL, ISSUED),
    "outcome": operation_outcome([Problem("value", "<a> & \u00e4", "Observation.status")]),
    "capability": capability_statement(Server("http://x/fhir", "1", "2026-11-22", secured=True)),
    "audit": {
        "resourceType": "AuditEvent",
        "type": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "110100"},
        "recorded": "2026-11-22T08:31:00.123Z",
        "agent": [{"requestor": True, "network": {"address": "127.0.0.1", "type": "2"}}],
        "source": {"observer": {"display": "fhir-ecg"}},
        "entity": [{"detail": [{"type": "digest", "valueBase64Binary": "YWI="}]}],
    },
} | {
    f"{kind}-{identity}": definition for kind, by_id in definitions().items() for identity, definition in by_id.items()
}
OURS["page"] = searchset("http://x/fhir", [OURS["report"], OURS["scores"]], 2, "http://x/fhir/?a=1&b=2", None)


@pytest.mark.parametrize("name", OURS)
def test_what_this_server_emits_survives_the_round_trip(name: str) -> None:
    document = parse_json(serialise(OURS[name]))
    assert exactly(parse_xml(serialise_xml(document))) == exactly(document)


@pytest.mark.parametrize("name", example_observations())
def test_the_examples_survive_the_round_trip(name: str) -> None:
    document = parse_json(example_observations()[name])
    written = serialise_xml(document)
    assert exactly(parse_xml(written)) == exactly(document)
    assert serialise_xml(parse_xml(written)) == written


def test_r5_has_other_elements() -> None:
    document = {
        "resourceType": "Observation",
        "status": "final",
        "valueSampledData": {"interval": Decimal("2.0"), "intervalUnit": "ms"},
    }
    written = serialise_xml(document, Release.R5)
    assert exactly(parse_xml(written, Release.R5)) == exactly(document)
    with pytest.raises(MalformedError) as caught:
        parse_xml(written, Release.R4)
    assert caught.value.problems[0].expression == "Observation.value.ofType(SampledData).interval"
    with pytest.raises(UnprocessableError, match="interval is no element of SampledData"):
        serialise_xml(document, Release.R4)


def test_where_no_release_is_named_the_elements_tell() -> None:
    r4, r5 = "<period value='2'/>", "<interval value='2'/><intervalUnit value='ms'/>"
    for sampled, name in ((r4, "period"), (r5, "interval")):
        document = parse_xml(of(f"<valueSampledData>{sampled}</valueSampledData>"), None)
        assert document["valueSampledData"][name] == 2
    with pytest.raises(MalformedError, match=r"interval is no element of SampledData in FHIR 4.0"):
        parse_xml(of(f"<valueSampledData>{r4}{r5}</valueSampledData>"), None)


def test_the_long_integers_of_r5_are_strings_in_json() -> None:
    document = {"resourceType": "DocumentReference", "content": [{"attachment": {"size": "9007199254740993"}}]}
    written = serialise_xml(document, Release.R5)
    assert b'<size value="9007199254740993"/>' in written
    assert parse_xml(written, Release.R5) == document


# Space at the ends is dropped where XML is read.
TEXTS = st.text("aZ0 \n\t\r<>&\"'\u00e9\u2028\U0001f600", min_size=1, max_size=8).map(str.strip).filter(bool)
DECIMALS = st.builds(lambda digits, exponent: Decimal(digits).scaleb(exponent), st.integers(), st.integers(-30, 30))
VALUES = {
    "valueString": TEXTS,
    "valueDecimal": DECIMALS,
    "valueBoolean": st.booleans(),
    "valueInteger": st.integers(-9, 9),
}
PLAIN = st.one_of(*(st.fixed_dictionaries({"url": TEXTS, name: values}) for name, values in VALUES.items()))
NESTED = st.fixed_dictionaries({"url": TEXTS, "extension": st.lists(PLAIN, min_size=1, max_size=2)})
EXTENSIONS = st.lists(PLAIN | NESTED, min_size=1, max_size=2)
BESIDE = st.fixed_dictionaries({"extension": EXTENSIONS}, optional={"id": TEXTS})
PAIRS = st.lists(st.tuples(TEXTS, st.none() | BESIDE) | st.tuples(st.none(), BESIDE), min_size=1, max_size=3)


def name_of(pairs: list[tuple[str | None, dict[str, Any] | None]]) -> dict[str, Any]:
    members = {"given": [text for text, _ in pairs], "_given": [beside for _, beside in pairs]}
    return {name: items for name, items in members.items() if any(item is not None for item in items)}


@given(PAIRS, EXTENSIONS, DECIMALS)
def test_whatever_json_holds_survives_the_round_trip(
    names: list[tuple[str | None, Any]], extensions: list[dict[str, Any]], value: Decimal
) -> None:
    document = {
        "resourceType": "Observation",
        "contained": [{"resourceType": "Patient", "name": [name_of(names)]}],
        "extension": extensions,
        "valueQuantity": {"value": value},
    }
    assert exactly(parse_xml(serialise_xml(document))) == exactly(document)


def test_xml_is_read_as_deep_as_json() -> None:
    document = parse_xml(of('<extension url="x">' * 31 + "</extension>" * 31))
    assert parse_json(serialise(document)) == document
