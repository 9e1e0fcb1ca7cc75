"""The JSON form of a resource to elements of FHIR XML."""

import math
from dataclasses import dataclass
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from lxml import etree

from fhir_ecg.fhir.json_form import Location
from fhir_ecg.fhir.outcome import MalformedError, Problem, UnprocessableError
from fhir_ecg.fhir.parsing import fhirpath
from fhir_ecg.fhir.release import Release
from fhir_ecg.fhir.xml_document import xml_document
from fhir_ecg.fhir.xml_members import FHIR, XHTML, Member, Model, attributes, members, primitive_model, resource_model
from fhir_ecg.fhir.xml_narrative import plain_narrative


@dataclass(frozen=True)
class Writer:
    """Writes the elements of one document; every method raises UnprocessableError for what XML cannot hold."""

    release: Release
    root: str

    def resource(self, resource: Any, location: Location) -> etree._Element:
        """Write a resource as the element named by its type."""
        kind = resource.get("resourceType") if isinstance(resource, dict) else None
        model = resource_model(kind, self.release)
        if model is None:
            raise self._fault(location, f"{str(kind)[:64]!r} is no resource of FHIR {self.release}")
        node = etree.Element(etree.QName(FHIR, str(kind)), nsmap={None: FHIR})
        content = {name: value for name, value in resource.items() if name != "resourceType"}
        self._fill(node, content, model, location)
        return node

    def _fill(self, node: etree._Element, content: Any, model: Model | None, location: Location) -> None:
        if not isinstance(content, dict) or model is None:
            raise self._fault(location, "The element has no object with its elements")
        left = dict(content)
        for name in attributes(model):
            if (value := left.pop(name, None)) is not None:
                self._set(node, name, value, (*location, name))
        for name, member in members(model).items():
            values = left.pop(name, None)
            extended = left.pop(f"_{name}", None) if member.primitive else None
            self._add(node, member, values, extended, (*location, name))
        for name, value in left.items():
            if value is not None:
                raise self._fault((*location, name), f"{name[:64]} is no element of {model.get_resource_type()}")

    def _add(self, node: etree._Element, member: Member, value: Any, extended: Any, location: Location) -> None:
        if not member.repeats:
            if value is not None or extended is not None:
                self._add_one(node, member, value, extended, location)
            return
        if not isinstance(value, list | None) or not isinstance(extended, list | None):
            raise self._fault(location, f"{member.name} is no array")
        for index, (item, beside) in enumerate(zip_longest(value or (), extended or ())):
            self._add_one(node, member, item, beside, (*location, index))

    def _add_one(self, node: etree._Element, member: Member, value: Any, extended: Any, location: Location) -> None:
        if member.primitive == "xhtml":
            node.append(self._narrative(value, location))
            return
        child = etree.SubElement(node, etree.QName(FHIR, member.name))
        if member.is_resource:
            child.append(self.resource(value, location))
        elif not member.primitive:
            self._fill(child, value, member.model, location)
        else:
            if value is not None:
                self._set(child, "value", value, location)
            if extended is not None:
                self._fill(child, extended, primitive_model(self.release), location)

    def _set(self, node: etree._Element, name: str, value: Any, location: Location) -> None:
        try:
            node.set(name, self._lexical(value, location))
        except ValueError as error:  # lxml, of control characters and halves of surrogate pairs
            raise self._fault(location, "The text holds a character that no XML can") from error

    def _lexical(self, value: Any, location: Location) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int | Decimal) or (isinstance(value, float) and math.isfinite(value)):
            return str(value)
        raise self._fault(location, "The value is no string, number or boolean")

    def _narrative(self, div: Any, location: Location) -> etree._Element:
        try:
            node = xml_document(div.encode()) if isinstance(div, str) else None
        except (MalformedError, UnicodeEncodeError) as error:
            raise self._fault(location, "The narrative is no well-formed XHTML") from error
        if node is None or node.tag != etree.QName(XHTML, "div"):
            raise self._fault(location, f"The narrative is no div of {XHTML}")
        return plain_narrative(node)

    def _fault(self, location: Location, text: str) -> UnprocessableError:
        told = f"{text}, so the resource cannot be written as XML of FHIR {self.release}; ask for JSON."
        return UnprocessableError(Problem("not-supported", told, fhirpath(self.root, location)))
