"""The narrative of a resource: XHTML in FHIR XML, a string in JSON. https://hl7.org/fhir/R4/narrative.html"""

import re
from collections.abc import Iterator

from lxml import etree

from fhir_ecg.fhir.xml_members import XHTML

# Of what the specification forbids, all that acts or fetches, and its successors in HTML 5.
_ACTIVE_ELEMENTS = frozenset({
    "script", "style", "link", "base", "meta", "head", "body", "html", "form", "input", "button", "select", "textarea",
    "frame", "frameset", "iframe", "noframes", "object", "embed", "applet", "param", "audio", "video", "source",
    "track", "template",
})  # fmt: skip
# Of xml:lang and xml:space.
_XML = "{http://www.w3.org/XML/1998/namespace}"
_ADDRESSES = frozenset({"href", "src", "cite", "longdesc", "background", "action", "formaction", "usemap"})
_ACTIVE_ADDRESS = re.compile(r"(javascript|vbscript|livescript|data):(?!image/(png|jpeg|gif|webp);)")
# Browsers skip these within a scheme.
_SKIPPED = re.compile(r"[\x00-\x20\x7f]")


def narrative_faults(div: etree._Element) -> Iterator[tuple[etree._Element, str]]:
    """Find what no narrative may hold because it acts when shown: the element, and what is wrong with it."""
    for node in div.iter():
        name = etree.QName(node)
        if name.namespace != XHTML:
            yield node, f"The narrative holds {name.localname[:64]}, which is no XHTML"
        elif name.localname.lower() in _ACTIVE_ELEMENTS:
            yield node, f"The narrative holds the active element {name.localname[:64]}"
        for attribute, value in node.attrib.items():
            if str(attribute).startswith("{") and not str(attribute).startswith(_XML):
                yield node, f"The narrative holds the attribute {str(attribute)[:64]}, which is no XHTML"
            elif _acts(str(attribute).lower(), str(value)):
                yield node, f"The narrative holds the active attribute {str(attribute)[:64]}"


def narrative_string(div: etree._Element) -> str:
    """Write the narrative as JSON holds it; two that say the same in XML give the same string."""
    text: str = etree.tostring(plain_narrative(div), encoding="unicode", with_tail=False)
    return text


def plain_narrative(div: etree._Element) -> etree._Element:
    """Copy it without the prefixes and namespaces of the document around it."""
    copy = etree.Element(div.tag, dict(div.attrib), nsmap={None: XHTML})
    _copy_content(div, copy)
    return copy


def _copy_content(source: etree._Element, target: etree._Element) -> None:
    target.text = source.text
    for child in source:
        copied = etree.SubElement(target, child.tag, dict(child.attrib))
        copied.tail = child.tail
        _copy_content(child, copied)


def _acts(attribute: str, value: str) -> bool:
    if attribute.startswith("on"):
        return True
    return attribute in _ADDRESSES and bool(_ACTIVE_ADDRESS.match(_SKIPPED.sub("", value).lower()))
