"""What no FHIR XML is, and what cannot be written as such: hostile, broken and misplaced things, and the answer."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_ecg.fhir.outcome import MalformedError, UnprocessableError
from fhir_ecg.fhir.parsing import check_observation
from fhir_ecg.fhir.xml_form import parse_xml, serialise_xml


def of(content: str, root: str = "Observation") -> bytes:
    return f'<{root} xmlns="http://hl7.org/fhir">{content}</{root}>'.encode()


NO_FHIR = b'<Observation xmlns="http://hl7.org/fhir/"/>'
LATIN = b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>"
HUGE = b'<a b="' + b"x" * 10_500_000 + b'"/>'
MANY = b"<a " + b" ".join(b'b%d=""' % index for index in range(100_000)) + b"/>"
LAUGHS = b"""<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>
<Observation xmlns="http://hl7.org/fhir"><status value="&b;"/></Observation>"""
EXTERNAL = b"""<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<Observation xmlns="http://hl7.org/fhir"><status value="&a;"/></Observation>"""


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        pytest.param(b"", "structure", "XML: Document is empty", id="empty"),
        pytest.param(b'{"resourceType": "Observation"}', "structure", "XML: Start tag", id="JSON"),
        pytest.param(b"<a><b></a>", "structure", "XML: .* at line 1, column", id="a tag left open"),
        pytest.param(b"<a/><a/>", "structure", "XML: Extra content", id="two roots"),
        pytest.param(b'<a b="1" b="2"/>', "structure", "XML: Attribute b redefined", id="attribute twice"),
        pytest.param(b"<f:a/>", "structure", "XML: Namespace prefix f", id="prefix not declared"),
        pytest.param(b'<a b="&nbsp;"/>', "structure", "XML: Entity 'nbsp'", id="entity of HTML"),
        pytest.param(b'<a b="\0"/>', "structure", "XML: invalid char", id="NUL"),
        pytest.param(b'<a b="&#0;"/>', "structure", "XML", id="NUL as reference"),
        pytest.param(b'<a b="&#xD800;"/>', "structure", "XML", id="half a surrogate pair"),
        pytest.param(b'<a b="\x01"/>', "structure", "XML: invalid char", id="control character"),
        pytest.param(b'<a b="\xe4"/>', "structure", r"not UTF-8 \(byte 6\)", id="Latin-1"),
        pytest.param(LATIN, "structure", "names the encoding ISO-8859-1", id="Latin-1 declared"),
        pytest.param("<?xml version='1.0'?><a/>".encode("utf-16"), "structure", "is UTF-16", id="UTF-16"),
        pytest.param("<a/>".encode("utf-16-le"), "structure", "XML", id="UTF-16 without its mark"),
        pytest.param(b"<a>" * 65 + b"</a>" * 65, "structure", "deeper than 64", id="65 levels"),
        pytest.param(b"<a>" * 100_000, "structure", "XML: .*depth", id="100000 levels"),
        pytest.param(HUGE, "structure", "XML: .*limit", id="10 MB in an attribute"),
        pytest.param(MANY, "structure", "more than 32 attributes", id="100000 attributes"),
        pytest.param(b"<a>" + b"<b/>" * 250_000 + b"</a>", "too-long", "more than 250000", id="250001 elements"),
        pytest.param(b"<!DOCTYPE a><a/>", "security", "DOCTYPE", id="document type"),
        pytest.param(LAUGHS, "security", "DOCTYPE", id="billion laughs"),
        pytest.param(EXTERNAL, "security", "DOCTYPE", id="external entity"),
        pytest.param(b'<!DOCTYPE a SYSTEM "http://x.example/a.dtd"><a/>', "security", "DOCTYPE", id="external DTD"),
        pytest.param(b"<?xml-stylesheet href='a'?><a/>", "security", "processing instruction", id="stylesheet"),
        pytest.param(b"<a/><?php x?>", "security", "processing instruction", id="instruction at the end"),
        pytest.param(of("<code><?x y?></code>"), "security", "processing instruction", id="instruction within"),
    ],
)  # fmt: skip
def test_what_is_no_xml_to_be_read(body: bytes, code: str, message: str) -> None:
    with pytest.raises(MalformedError, match=message) as caught:
        parse_xml(body)
    assert [(problem.code, problem.expression) for problem in caught.value.problems] == [(code, None)]


def extended(levels: int) -> str:
    return '<extension url="x">' * levels + "</extension>" * levels


PERIOD = "Observation.component[0].value.ofType(SampledData).period"
SAMPLED = "<component><valueSampledData>{}</valueSampledData></component>"
NO_DECIMALS = ("NaN", "INF", "1,5", "+1", ".5", "5.", "01", "0x1", "1e1000", "1e-99999999999", "1_0", "\u0661")
XI = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>'


@pytest.mark.parametrize(
    ("content", "expression", "message"),
    [
        ("<colour value='red'/>", "Observation.colour", "colour is no element of Observation in FHIR 4.0 (line 1"),
        ("<Status value='final'/>", "Observation.Status", "no element"),
        ("\n\n<code><txt value='a'/></code>", "Observation.code.txt", "CodeableConcept in FHIR 4.0 (line 3"),
        ("<status xmlns='' value='final'/>", "Observation.status", "in no namespace; it belongs in"),
        (XI, "Observation.include", "in the namespace http://www.w3.org/2001/XInclude"),
        ("<status value='final'/><status value='final'/>", "Observation.status", "stands twice"),
        ("<code><text value='a'/></code><status value='final'/>", "Observation.status", "order of the specification"),
        ("<status/>", "Observation.status", "no attribute value"),
        ("<status id='s'/>", "Observation.status", "no attribute value"),
        ("<status value=''/>", "Observation.status", "attribute value is empty"),
        ("<status value=' &#9;'/>", "Observation.status", "attribute value is empty"),
        ("<status id='' value='final'/>", "Observation.status.id", "attribute id is empty"),
        ("<status>final</status>", "Observation.status", "Text stands between"),
        ("<status value='final'><![CDATA[x]]></status>", "Observation.status", "Text stands between"),
        ("<status value='final'/>final", "Observation", "Text stands between"),
        ("<status>fi<!-- -->nal</status>", "Observation.status", "Text stands between"),
        ("<status value='final' code='x'/>", "Observation.status", "attribute code has no place"),
        ("<status xmlns:x='y' x:value='final'/>", "Observation.status", "attribute {y}value has no place"),
        ("<status url='x' value='final'/>", "Observation.status", "attribute url has no place"),
        ("<status value='final'><text value='a'/></status>", "Observation.status.text", "no element"),
        ("<code value='x'/>", "Observation.code", "attribute value has no place"),
        ("<code/>", "Observation.code", "is empty"),
        ("<category><text value='a'/></category><category id='b'/>", "Observation.category[1]", "is empty"),
        ("<contained/>", "Observation.contained[0]", "0 elements stand where one resource belongs"),
        ("<contained><Patient/><Patient/></contained>", "Observation.contained[0]", "2 elements stand"),
        ("<contained id='a'><Patient/></contained>", "Observation.contained[0]", "attribute id has no place"),
        ("<contained><Quantity/></contained>", "Observation.contained[0]", "Quantity is no resource of FHIR 4.0"),
        ("<contained><Patient xmlns='x'/></contained>", "Observation.contained[0]", "in the namespace x"),
        ("<contained><Patient id='a'/></contained>", "Observation.contained[0]", "attribute id has no place"),
        (extended(32), "Observation" + ".extension[0]" * 32, "deeper than 64"),
        ("<valueBoolean value='1'/>", "Observation.value.ofType(boolean)", "'1' is no boolean"),
        ("<valueInteger value='1.0'/>", "Observation.value.ofType(integer)", "'1.0' is no integer"),
        ("<valueInteger value='007'/>", "Observation.value.ofType(integer)", "no integer"),
        ("<valueInteger value='\u0661'/>", "Observation.value.ofType(integer)", "no integer"),
        ("<valueInteger value='2147483648'/>", "Observation.value.ofType(integer)", "from -2147483648 to 2147483647"),
        (f"<valueInteger value='{'9' * 9999}'/>", "Observation.value.ofType(integer)", "no integer"),
        (SAMPLED.format("<dimensions value='0'/>"), PERIOD.replace("period", "dimensions"), "no positiveInt"),
        *[
            (SAMPLED.format(f"<period value='{text}'/>"), PERIOD, "no decimal of FHIR")
            for text in NO_DECIMALS
        ],
    ],
)  # fmt: skip
def test_what_is_no_observation_in_xml(content: str, expression: str, message: str) -> None:
    with pytest.raises(MalformedError, match=re.escape(message)) as caught:
        parse_xml(of(content))
    problem = caught.value.problems[0]
    assert problem.expression == expression
    assert re.search(r"\(line \d+\)\.$", problem.diagnostics)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<Observation/>", "in no namespace"),
        (NO_FHIR, "in the namespace http://hl7.org/fhir/; it belongs in"),
        (of("", "ClinicalDocument"), "ClinicalDocument is no resource of FHIR 4.0"),
        (of("", "Quantity"), "Quantity is no resource of FHIR 4.0"),
        (of("", "code"), "code is no resource of FHIR 4.0"),
        (of("").replace(b">", b' xmlns:x="i" x:schemaLocation="a b">', 1), "attribute {i}schemaLocation has no place"),
    ],
)
def test_what_is_no_root(body: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=re.escape(message)):
        parse_xml(body)


def test_another_resource_is_read_and_left_to_its_check() -> None:
    document = parse_xml(of("<active value='true'/>", "Patient"))
    assert document == {"resourceType": "Patient", "active": True}
    with pytest.raises(MalformedError, match="resource of type 'Patient'"):
        check_observation(document)


@pytest.mark.parametrize(
    "narrative",
    [
        "<div xmlns='http://www.w3.org/1999/xhtml'><script>x()</script></div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'><SCRIPT/></div>",
        "<div xmlns='http://www.w3.org/1999/xhtml' onclick='x()'/>",
        "<div xmlns='http://www.w3.org/1999/xhtml'><p><b OnLoad='x()'/></p></div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'><a href=' java&#10;script:x()'/></div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'><img src='data:text/html,x'/></div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'><iframe src='x'/></div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'><form/></div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'><svg xmlns='http://www.w3.org/2000/svg'/></div>",
        "<div xmlns='http://www.w3.org/1999/xhtml' xmlns:l='http://www.w3.org/1999/xlink' l:href='x'/>",
        "<div xmlns='http://www.w3.org/1999/xhtml' xmlns:l='http://x.example' l:a='x'/>",
    ],
)
def test_active_content_in_a_narrative_is_refused(narrative: str) -> None:
    with pytest.raises(MalformedError, match="The narrative holds") as caught:
        parse_xml(of(f"<text><status value='generated'/>{narrative}</text>"))
    assert [(problem.code, problem.expression) for problem in caught.value.problems] == [
        ("security", "Observation.text.div")
    ]


@pytest.mark.parametrize("narrative", ["<div>x</div>", "<p xmlns='http://www.w3.org/1999/xhtml'/>", "<div value='x'/>"])
def test_what_is_no_narrative(narrative: str) -> None:
    with pytest.raises(MalformedError):
        parse_xml(of(f"<text><status value='generated'/>{narrative}</text>"))


def test_what_a_narrative_may_hold() -> None:
    div = (
        '<div xmlns="http://www.w3.org/1999/xhtml"><h1 style="color:red">on</h1><a href="http://x/#a">javascript:</a>'
        '<img src="data:image/png;base64,AA==" alt="x"/><table><tbody><tr><td>1</td></tr></tbody></table></div>'
    )
    assert parse_xml(of(f"<text><status value='generated'/>{div}</text>"))["text"]["div"] == div


@pytest.mark.parametrize(
    ("document", "expression", "message"),
    [
        ({}, "Resource", "'None' is no resource of FHIR 4.0"),
        ({"resourceType": "Nothing"}, "Nothing", "no resource of FHIR"),
        ({"resourceType": "Observation", "colour": "red"}, "Observation.colour", "no element of Observation"),
        ({"resourceType": "Observation", "_code": {"id": "a"}}, "Observation._code", "no element of Observation"),
        ({"resourceType": "Observation", "status": "a\x01"}, "Observation.status", "character that no XML can"),
        ({"resourceType": "Observation", "status": "\ud800"}, "Observation.status", "character that no XML can"),
        ({"resourceType": "Observation", "status": {}}, "Observation.status", "no string, number or boolean"),
        ({"resourceType": "Observation", "valueString": float("nan")}, "Observation.value.ofType(string)", "no string"),
        ({"resourceType": "Observation", "code": "a"}, "Observation.code", "no object"),
        ({"resourceType": "Observation", "category": {}}, "Observation.category", "no array"),
        ({"resourceType": "Observation", "contained": ["a"]}, "Observation.contained[0]", "no resource"),
        ({"resourceType": "Observation", "text": {"div": "x"}}, "Observation.text.div", "no well-formed XHTML"),
        ({"resourceType": "Observation", "text": {"div": "<div/>"}}, "Observation.text.div", "no div of"),
        ({"resourceType": "Observation", "text": {"div": 1}}, "Observation.text.div", "no div of"),
    ],
)  # fmt: skip
def test_what_cannot_be_written(document: dict[str, Any], expression: str, message: str) -> None:
    with pytest.raises(UnprocessableError, match=message) as caught:
        serialise_xml(document)
    assert [(problem.code, problem.expression) for problem in caught.value.problems] == [("not-supported", expression)]


@given(st.binary() | st.text().map(of))
def test_whatever_is_sent_is_read_or_refused(body: bytes) -> None:
    try:
        document = parse_xml(body)
    except MalformedError:
        return
    assert document["resourceType"]
