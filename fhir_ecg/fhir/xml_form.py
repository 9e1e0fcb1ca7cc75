"""FHIR XML to the JSON form of a resource, and back. https://hl7.org/fhir/R4/xml.html

What is an element, its type, its order and whether it repeats is asked of the models of fhir.resources. That
library's own XML functions are not used: they pass decimals through float, take unknown elements, attributes and
text in silence, write the id of a datatype as an element, and do not say where a fault is.
"""

from typing import Any

from lxml import etree

from fhir_ecg.fhir.outcome import MalformedError
from fhir_ecg.fhir.release import Release
from fhir_ecg.fhir.xml_document import xml_document
from fhir_ecg.fhir.xml_reading import Reader
from fhir_ecg.fhir.xml_writing import Writer


def parse_xml(body: bytes, release: Release | None = Release.R4) -> dict[str, Any]:
    """Read one resource of FHIR XML as the document that its JSON form would give.

    Decimals become Decimal with all their digits, whole numbers int. Space around values and comments are dropped,
    as the specification has it; a narrative is written anew, in one form. Without a release it is read as R4, and
    as R5 if R4 has no place for an element.

    Raises:
        MalformedError: Not UTF-8, no XML, no FHIR XML of this release, nested too deeply, with active content in a
            narrative, or with what no parser should be given: a document type or a processing instruction.
    """
    root = xml_document(body)
    try:
        return _read(root, release or Release.R4)
    except MalformedError as as_r4:
        if release is not None:
            raise
        try:
            return _read(root, Release.R5)
        except MalformedError:
            raise as_r4 from None


def serialise_xml(resource: dict[str, Any], release: Release = Release.R4, *, pretty: bool = False) -> bytes:
    """Write a resource as FHIR XML: elements in the order of the specification, numbers with the digits they have.

    With pretty, space is added between elements, in the narrative too.

    Raises:
        UnprocessableError: It holds what FHIR XML of this release cannot: an unknown element, a control character,
            a narrative that is no XHTML.
    """
    node = Writer(release, str(resource.get("resourceType", "Resource"))[:64]).resource(resource, ())
    written: bytes = etree.tostring(node, xml_declaration=True, encoding="UTF-8", pretty_print=pretty)
    return written


def _read(root: etree._Element, release: Release) -> dict[str, Any]:
    return Reader(release, etree.QName(root).localname[:64]).resource(root, ())
