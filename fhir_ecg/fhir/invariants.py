"""Invariants of the types that occur in an Observation, under the specification's own keys.

https://hl7.org/fhir/R4/observation.html#invs and each data type's page. Those of severity `warning` are left out.
"""

import re
from collections.abc import Callable, Iterator
from html.entities import html5
from typing import Any

from lxml import etree

from fhir_ecg.fhir.json_form import Location
from fhir_ecg.fhir.xml_narrative import narrative_faults

Node = dict[str, Any]
Broken = tuple[str, str, Location]
"""The key, what is wrong, and where below the element."""

# A parser with these options reads nothing but the string.
_PARSING: dict[str, Any] = {"resolve_entities": False, "no_network": True, "load_dtd": False, "remove_comments": True}

# Senders write &nbsp; and its like, which XML alone does not know.
_HTML_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)([A-Za-z][A-Za-z0-9]{1,30});")


def broken_invariants(kind: str, node: Node) -> Iterator[Broken]:
    """Find the invariants that an element, or a resource, of a type breaks."""
    if "resourceType" in node:
        yield from _resource(node)
    if check := _CHECKS.get(kind):
        yield from check(node)


def _resource(node: Node) -> Iterator[Broken]:
    references = set(_references(node))
    for index, held in enumerate(node.get("contained", [])):
        meta = held.get("meta", {})
        if held.get("contained"):
            yield "dom-2", "A contained resource contains another", ("contained", index, "contained")
        if f"#{held.get('id')}" not in references and "#" not in set(_references(held)):
            yield "dom-3", "A contained resource is referred to from nowhere", ("contained", index)
        if "versionId" in meta or "lastUpdated" in meta:
            yield "dom-4", "A contained resource has a version of its own", ("contained", index, "meta")
        if "security" in meta:
            yield "dom-5", "A contained resource has a security label", ("contained", index, "meta", "security")


def _references(node: Any) -> Iterator[str]:
    """Give every string that may point to a contained resource: references, canonicals and uris."""
    if isinstance(node, str):
        if node.startswith("#"):
            yield node
    elif isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _references(child)


def _observation(node: Node) -> Iterator[Broken]:
    has_value = _choice(node, "value")
    if has_value and "dataAbsentReason" in node:
        yield "obs-6", "dataAbsentReason stands beside a value", ("dataAbsentReason",)
    codes = _codings(node.get("code"))
    for index, component in enumerate(node.get("component", [])):
        if has_value and codes & _codings(component.get("code")):
            yield "obs-7", "A component has the Observation's own code, which has a value", ("component", index, "code")
    if "bodySite" in node and "bodyStructure" in node:
        yield "obs-8", "bodyStructure stands beside bodySite", ("bodyStructure",)


def _component(node: Node) -> Iterator[Broken]:
    # R4 states obs-6 of the Observation alone, R5 says of a component the same in its text.
    if _choice(node, "value") and "dataAbsentReason" in node:
        yield "obs-6", "dataAbsentReason stands beside a value", ("dataAbsentReason",)


def _reference_range(node: Node) -> Iterator[Broken]:
    if not node.keys() & {"low", "high", "text"}:
        yield "obs-3", "A reference range has neither low, high nor text", ()


def _extension(node: Node) -> Iterator[Broken]:
    if ("extension" in node) == _choice(node, "value"):
        yield "ext-1", "An extension has either extensions or a value, not both nor none", ()


def _quantity(node: Node) -> Iterator[Broken]:
    if "code" in node and "system" not in node:
        yield "qty-3", "A Quantity with a code names no system; UCUM is http://unitsofmeasure.org", ("code",)


def _simple_quantity(node: Node) -> Iterator[Broken]:
    if "comparator" in node:
        yield "sqty-1", "A comparator stands in a quantity that has none", ("comparator",)


def _range(node: Node) -> Iterator[Broken]:
    low, high = node.get("low", {}), node.get("high", {})
    comparable = low.get("code", low.get("unit")) == high.get("code", high.get("unit"))
    if comparable and "value" in low and "value" in high and low["value"] > high["value"]:
        yield "rng-2", "low is above high", ("low",)
    for name, end in (("low", low), ("high", high)):
        for key, text, place in _simple_quantity(end):
            yield key, text, (name, *place)


def _ratio(node: Node) -> Iterator[Broken]:
    if ("numerator" in node) != ("denominator" in node) or not node.keys() & {"numerator", "extension"}:
        yield "rat-1", "A Ratio has a numerator and a denominator, or neither and an extension", ()


def _sampled_data(node: Node) -> Iterator[Broken]:
    for key, text, place in _simple_quantity(node.get("origin", {})):
        yield key, text, ("origin", *place)


def _attachment(node: Node) -> Iterator[Broken]:
    if "data" in node and "contentType" not in node:
        yield "att-1", "An Attachment with data has no contentType", ("contentType",)


def _contact_point(node: Node) -> Iterator[Broken]:
    if "value" in node and "system" not in node:
        yield "cpt-2", "A ContactPoint with a value has no system", ("system",)


def _repeat(node: Node) -> Iterator[Broken]:
    pairs = (("tim-1", "duration", "durationUnit"), ("tim-2", "period", "periodUnit"))
    for key, amount, unit in pairs:
        if amount in node and unit not in node:
            yield key, f"{amount} has no {unit}", (unit,)
    for key, amount in (("tim-4", "duration"), ("tim-5", "period")):
        if amount in node and node[amount] < 0:
            yield key, f"{amount} is below 0", (amount,)
    dependants = (
        ("tim-6", "periodMax", "period"), ("tim-7", "durationMax", "duration"), ("tim-8", "countMax", "count"),
    )  # fmt: skip
    for key, most, amount in dependants:
        if most in node and amount not in node:
            yield key, f"{most} stands without {amount}", (most,)
    if "timeOfDay" in node and "when" in node:
        yield "tim-10", "when stands beside timeOfDay", ("when",)


def _narrative(node: Node) -> Iterator[Broken]:
    try:
        div = parse_narrative(node.get("div", ""))
    except (etree.XMLSyntaxError, ValueError):
        yield "txt-1", "The narrative is no XHTML", ("div",)
        return
    if div.getroottree().docinfo.doctype:
        yield "txt-1", "The narrative has a document type", ("div",)
        return
    if not (etree.QName(div).localname == "div" and _says_something(div)):
        yield "txt-2", "The narrative is no div with text or an image", ("div",)
    for _, text in narrative_faults(div):
        yield "txt-1", f"{text}; leave it out", ("div",)


def parse_narrative(div: str) -> etree._Element:
    """Parse the XHTML of a narrative.

    Raises:
        XMLSyntaxError: It is none.
        ValueError: It holds a character that XML has no place for.
    """
    return etree.fromstring(_HTML_ENTITY.sub(_character, div), etree.XMLParser(**_PARSING))


def _character(entity: re.Match[str]) -> str:
    return html5.get(f"{entity[1]};", entity[0])


def _says_something(div: etree._Element) -> bool:
    return bool("".join(map(str, div.itertext())).strip()) or any(str(node.tag).endswith("}img") for node in div.iter())


def _choice(node: Node, name: str) -> bool:
    return any(key.startswith(name) and key[len(name) : len(name) + 1].isupper() for key in node)


def _codings(concept: Any) -> set[tuple[Any, Any]]:
    codings = concept.get("coding", []) if isinstance(concept, dict) else []
    return {(coding.get("system"), coding["code"]) for coding in codings if "code" in coding}


_CHECKS: dict[str, Callable[[Node], Iterator[Broken]]] = {
    "Observation": _observation,
    "ObservationComponent": _component,
    "ObservationReferenceRange": _reference_range,
    "Extension": _extension,
    "Quantity": _quantity,
    "Range": _range,
    "Ratio": _ratio,
    "SampledData": _sampled_data,
    "Attachment": _attachment,
    "ContactPoint": _contact_point,
    "TimingRepeat": _repeat,
    "Narrative": _narrative,
}
"""By the name that the model library gives a type."""
