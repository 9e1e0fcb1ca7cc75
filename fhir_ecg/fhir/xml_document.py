"""Bytes to a tree of XML elements, with nothing that FHIR has no use for and an attacker has.

https://cheatsheetseries.owasp.org/cheatsheets/XML_External_Entity_Prevention_Cheat_Sheet.html
"""

import re

from lxml import etree

from fhir_ecg.fhir.outcome import IssueType, MalformedError, Problem
from fhir_ecg.fhir.parsing import MAXIMUM_DEPTH

# No element of FHIR has more than 3, none of XHTML so many. lxml takes a minute to list 100000.
_MAXIMUM_ATTRIBUTES = 32
# An ECG has some hundreds. Millions of empty ones fit into a body of 8 MiB, and take 600 MB and ten seconds.
_MAXIMUM_ELEMENTS = 250_000
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_DECLARED_ENCODING = re.compile(rb"""(?:\xef\xbb\xbf)?<\?xml[^>]*?\sencoding\s*=\s*["']([^"'>]*)""")


def xml_document(body: bytes) -> etree._Element:
    """Parse XML and give its root; comments are dropped.

    Raises:
        MalformedError: Not UTF-8, not well-formed, a document type, a processing instruction, nested too deeply, too
            many elements or attributes, or larger than the parser's own bounds (10 MB in one attribute).
    """
    _check_encoding(body)
    # Before the parser sees it: in attributes it replaces entities, whatever it is told.
    if b"<!DOCTYPE" in body:
        raise _malformed("The XML has a document type (DOCTYPE); FHIR XML never needs one, leave it out.", "security")
    try:
        root: etree._Element = etree.fromstring(body, _parser())
    except etree.XMLSyntaxError as error:
        reason = str(error.msg).split(", line ")[0].strip()[:200]
        line, column = error.position
        raise _malformed(f"The body is no well-formed XML: {reason} at line {line}, column {column}.") from error
    _check_nodes(root)
    return root


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_comments=True,
    )


def _check_encoding(body: bytes) -> None:
    if body.startswith(_UTF_16_MARKS):
        raise _malformed("The body is UTF-16. Send FHIR XML as UTF-8.")
    declared = _DECLARED_ENCODING.match(body)
    if declared and declared[1].lower() not in {b"utf-8", b"us-ascii"}:
        name = declared[1][:40].decode("ascii", "replace")
        raise _malformed(f"The XML declaration names the encoding {name}. Send FHIR XML as UTF-8.")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"The body is not UTF-8 (byte {error.start}). Send FHIR XML as UTF-8.") from error


def _check_nodes(root: etree._Element) -> None:
    # With comments gone, only processing instructions can stand beside the root.
    if root.getprevious() is not None or root.getnext() is not None:
        raise _instruction(root)
    depth = elements = 0
    for event, node in etree.iterwalk(root, events=("start", "end", "pi")):
        if event == "pi":
            raise _instruction(node)
        depth += 1 if event == "start" else -1
        elements += event == "start"
        if depth > MAXIMUM_DEPTH:
            raise _malformed(f"The XML is nested deeper than {MAXIMUM_DEPTH} levels (line {node.sourceline}).")
        if elements > _MAXIMUM_ELEMENTS:
            raise _malformed(f"The XML has more than {_MAXIMUM_ELEMENTS} elements.", "too-long")
        if len(node.attrib) > _MAXIMUM_ATTRIBUTES:
            raise _malformed(f"An element has more than {_MAXIMUM_ATTRIBUTES} attributes (line {node.sourceline}).")


def _instruction(node: etree._Element) -> MalformedError:
    text = f"The XML holds a processing instruction, at or beside line {node.sourceline}; leave it out."
    return _malformed(text, "security")


def _malformed(text: str, code: IssueType = "structure") -> MalformedError:
    return MalformedError(Problem(code, text))
