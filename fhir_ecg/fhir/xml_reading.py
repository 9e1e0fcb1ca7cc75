"""Elements of FHIR XML to the JSON form, each checked against what the models say of it."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lxml import etree

from fhir_ecg.fhir.json_form import Location
from fhir_ecg.fhir.outcome import IssueType, MalformedError, Problem
from fhir_ecg.fhir.parsing import MAXIMUM_DEPTH, fhirpath
from fhir_ecg.fhir.release import Release
from fhir_ecg.fhir.xml_members import FHIR, XHTML, Member, Model, attributes, members, primitive_model, resource_model
from fhir_ecg.fhir.xml_narrative import narrative_faults, narrative_string

_SPACE = " \t\r\n"
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,9})?")
# The bound that parsing sets for JSON: beyond it, arithmetic with Decimal raises errors.
_MAXIMUM_EXPONENT = 999
_INTEGER = re.compile(r"0|[-+]?[1-9][0-9]{0,18}")
_RANGES = {
    "integer": (-(2**31), 2**31 - 1),
    "unsignedInt": (0, 2**31 - 1),
    "positiveInt": (1, 2**31 - 1),
    "integer64": (-(2**63), 2**63 - 1),
}


@dataclass(frozen=True)
class Reader:
    """Reads the elements of one document; every method raises MalformedError for what cannot be read."""

    release: Release
    root: str

    def resource(self, node: etree._Element, location: Location) -> dict[str, Any]:
        """Read the element of a resource, named by its type."""
        name = etree.QName(node)
        if name.namespace != FHIR:
            raise self._misplaced(node, location, FHIR)
        model = resource_model(name.localname, self.release)
        if model is None:
            raise self._fault(node, location, f"{name.localname[:64]} is no resource of FHIR {self.release}")
        return {"resourceType": name.localname} | self._content(node, model, location)

    def _content(
        self, node: etree._Element, model: Model, location: Location, *, has_value: bool = False
    ) -> dict[str, Any]:
        if len(location) >= MAXIMUM_DEPTH:
            raise self._fault(node, location, f"The resource is nested deeper than {MAXIMUM_DEPTH} levels")
        self._refuse_text(node, location)
        document: dict[str, Any] = self._attributes(node, attributes(model) + ("value",) * has_value, location)
        last = -1
        for child in node:
            member = self._member(child, model, location)
            where = (*location, member.name)
            if member.name in document and not member.repeats:
                raise self._fault(child, where, f"{member.name} stands twice, and does not repeat")
            if member.position < last:
                text = f"{member.name} stands too late; FHIR XML has its elements in the order of the specification"
                raise self._fault(child, where, text)
            last = member.position
            self._add(document, child, member, where)
        return {name: value for name, value in document.items() if not _is_padding(value)}

    def _member(self, child: etree._Element, model: Model, location: Location) -> Member:
        name = etree.QName(child)
        member = members(model).get(name.localname)
        where = (*location, name.localname[:64])
        expected = XHTML if member and member.primitive == "xhtml" else FHIR
        if name.namespace != expected:
            raise self._misplaced(child, where, expected)
        if member is None:
            text = f"{name.localname[:64]} is no element of {model.get_resource_type()} in FHIR {self.release}"
            raise self._fault(child, where, text)
        return member

    def _add(self, document: dict[str, Any], child: etree._Element, member: Member, where: Location) -> None:
        """Put an element into its place, and its id and extensions, if it is a primitive, beside it."""
        beside = f"_{member.name}"
        if member.repeats:
            values = document.setdefault(member.name, [])
            value, extended = self._value(child, member, (*where, len(values)))
            values.append(value)
            document.setdefault(beside, []).append(extended)
        else:
            document[member.name], document[beside] = self._value(child, member, where)

    def _value(self, node: etree._Element, member: Member, location: Location) -> tuple[Any, Any]:
        if member.primitive == "xhtml":
            return self._narrative(node, location), None
        if member.primitive:
            return self._primitive(node, member, location)
        if member.is_resource:
            return self._held_resource(node, location), None
        content = self._content(node, member.model, location) if member.model else {}
        if not content.keys() - {"id"}:
            raise self._fault(node, location, "The element is empty; leave it out")
        return content, None

    def _narrative(self, node: etree._Element, location: Location) -> str:
        for fault, text in narrative_faults(node):
            raise self._fault(fault, location, f"{text}; leave it out", "security")
        return narrative_string(node)

    def _held_resource(self, node: etree._Element, location: Location) -> dict[str, Any]:
        self._refuse_text(node, location)
        self._attributes(node, (), location)
        if len(node) != 1:
            raise self._fault(node, location, f"{len(node)} elements stand where one resource belongs")
        return self.resource(node[0], location)

    def _primitive(self, node: etree._Element, member: Member, location: Location) -> tuple[Any, Any]:
        beside = self._content(node, primitive_model(self.release), location, has_value=True)
        text = beside.pop("value", None)
        if text is not None:
            return self._json_value(node, text, member.primitive, location), beside or None
        if "extension" not in beside:
            raise self._fault(node, location, "The element has no attribute value; give one, or leave the element out")
        return None, beside

    def _json_value(self, node: etree._Element, text: str, primitive: str, location: Location) -> Any:
        if primitive == "boolean":
            if text not in {"true", "false"}:
                raise self._fault(node, location, f"{text[:40]!r} is no boolean; write true or false", "value")
            return text == "true"
        if primitive == "decimal":
            number = Decimal(text) if _DECIMAL.fullmatch(text) else None
            if number is None or abs(number.adjusted()) > _MAXIMUM_EXPONENT:
                raise self._fault(node, location, f"{text[:40]!r} is no decimal of FHIR; write such as -0.50", "value")
            return number
        if primitive in _RANGES:
            low, high = _RANGES[primitive]
            if not _INTEGER.fullmatch(text) or not low <= int(text) <= high:
                expected = f"write a whole number from {low} to {high}"
                raise self._fault(node, location, f"{text[:40]!r} is no {primitive}; {expected}", "value")
            # In JSON, whose numbers many hold as floats, integer64 is a string: https://hl7.org/fhir/R5/json.html
            return str(int(text)) if primitive == "integer64" else int(text)
        return text

    def _attributes(self, node: etree._Element, known: tuple[str, ...], location: Location) -> dict[str, str]:
        found = {}
        for name, value in node.attrib.items():
            if name not in known:
                text = f"The attribute {str(name)[:80]} has no place here; leave it out"
                raise self._fault(node, location, text)
            found[str(name)] = str(value).strip(_SPACE)
            if not found[str(name)]:
                where = location if name == "value" else (*location, str(name))
                raise self._fault(node, where, f"The attribute {name} is empty; leave it out")
        return found

    def _refuse_text(self, node: etree._Element, location: Location) -> None:
        texts = [node.text, *(child.tail for child in node)]
        if any(text and text.strip(_SPACE) for text in texts):
            text = "Text stands between the elements; FHIR XML writes a value as the attribute value"
            raise self._fault(node, location, text)

    def _misplaced(self, node: etree._Element, location: Location, expected: str) -> MalformedError:
        name = etree.QName(node)
        found = f"the namespace {name.namespace[:80]}" if name.namespace else "no namespace"
        text = f'The element {name.localname[:64]} is in {found}; it belongs in xmlns="{expected}"'
        return self._fault(node, location, text)

    def _fault(
        self, node: etree._Element, location: Location, text: str, code: IssueType = "structure"
    ) -> MalformedError:
        return MalformedError(Problem(code, f"{text} (line {node.sourceline}).", fhirpath(self.root, location)))


def _is_padding(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(item is None for item in value))
