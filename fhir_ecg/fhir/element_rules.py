"""Rules about single elements that the model library knows, but does not check: required codes and references.

The codes and the targets of references are those of the library's models, taken from the specification.
https://hl7.org/fhir/R4/terminologies.html#required https://hl7.org/fhir/R4/references.html
"""

import re
from collections.abc import Iterator
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import BaseModel

from fhir_ecg.fhir.invariants import broken_invariants
from fhir_ecg.fhir.json_form import Fault, Location

# The library ends a list with this where it holds only the first codes.
_INCOMPLETE = "+"
# Codes of elements whose list the library lacks.
_CODES = {("Quantity", "comparator"): ("<", "<=", ">=", ">", "ad")}
# Ids with an underscore and odd UUIDs break FHIR's patterns, but are met and name one resource.
_ID = r"[A-Za-z0-9\-._]{1,64}"
_LITERAL = re.compile(rf"(?:https?://\S+/)?([A-Z][A-Za-z]+)/{_ID}(?:/_history/{_ID})?")
_OTHER_ADDRESS = re.compile(r"https?://\S+|urn:(uuid|oid):\S+", re.IGNORECASE)


def rule_faults(model: BaseModel, node: dict[str, Any], contained: frozenset[str] | None = None) -> Iterator[Fault]:
    """Find what breaks a rule of the specification, given the model that was made of a resource.

    Args:
        model: The model, whose classes say which codes and references belong into each element.
        node: The same as JSON.
        contained: The ids of the resources that the resource contains; by default those of `node`.
    """
    if contained is None:
        contained = frozenset(c["id"] for c in node.get("contained", []) if isinstance(c.get("id"), str))
    return _faults(model, node, (), contained)


def _faults(model: BaseModel, node: dict[str, Any], location: Location, contained: frozenset[str]) -> Iterator[Fault]:
    yield from _modifier_faults(node, location)
    for key, text, place in broken_invariants(model.get_resource_type(), node):  # type: ignore[attr-defined]
        yield (*location, *place), "invariant", f"{text} ({key})."
    for name, field in type(model).model_fields.items():
        alias = field.alias or name
        if alias not in node:
            continue
        where = (*location, alias)
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        codes = _CODES.get((model.get_resource_type(), alias)) or extra.get("enum_values") or ()  # type: ignore[attr-defined]
        targets = extra.get("enum_reference_types") or ()
        items = node[alias] if isinstance(node[alias], list) else [node[alias]]
        values = getattr(model, name)
        for index, (item, value) in enumerate(
            zip(items, values if isinstance(values, list) else [values], strict=True)
        ):
            place = (*where, index) if isinstance(node[alias], list) else where
            yield from _value_faults(item, value, place, codes, targets, contained)


def _modifier_faults(node: dict[str, Any], location: Location) -> Iterator[Fault]:
    """Refuse what changes the meaning of an element in a way that is not known here.

    Contained resources are kept, but not acted on. https://hl7.org/fhir/R4/extensibility.html#modifierExtension
    """
    if location[:1] == ("contained",):
        return
    for index, extension in enumerate(node.get("modifierExtension", [])):
        text = f"The modifier extension {str(extension.get('url'))[:200]} may change the meaning, and is unknown here."
        yield (*location, "modifierExtension", index), "extension", f"{text} Send the resource in a form without it."
    if "implicitRules" in node:
        text = f"The rules {str(node['implicitRules'])[:200]} are unknown here. Send the resource in plain FHIR."
        yield (*location, "implicitRules"), "not-supported", text


def _value_faults(
    item: Any, value: Any, location: Location, codes: Any, targets: Any, contained: frozenset[str]
) -> Iterator[Fault]:
    if codes and _INCOMPLETE not in codes and isinstance(item, str) and item not in codes:
        yield location, "code-invalid", f"{item[:40]!r} is none of {', '.join(codes)}."
    if not isinstance(item, dict) or not isinstance(value, BaseModel):
        return
    yield from _faults(value, item, location, contained)
    if value.get_resource_type() == "Reference":  # type: ignore[attr-defined]
        yield from _reference_faults(item, location, targets, contained)


def _reference_faults(
    item: dict[str, Any], location: Location, targets: Any, contained: frozenset[str]
) -> Iterator[Fault]:
    where = (*location, "reference")
    kind = item.get("type")
    if (reference := item.get("reference")) is not None:
        literal = _LITERAL.fullmatch(reference)
        named = literal[1] if literal and _is_type(literal[1]) else None
        yield from _address_faults(reference, named, where, contained)
        if named and kind not in {None, named}:
            yield (*location, "type"), "value", f"The reference is to a {named}, its type says {str(kind)[:64]}."
        kind = named or kind
    if kind and targets and "Resource" not in targets and kind not in targets:
        yield where, "value", f"A reference to {str(kind)[:64]} stands where one to {', '.join(targets)} belongs."


def _address_faults(reference: str, named: str | None, where: Location, contained: frozenset[str]) -> Iterator[Fault]:
    if reference.startswith("#"):
        if reference[1:] and reference[1:] not in contained:
            yield where, "not-found", f"{reference[:80]} names no contained resource (ref-1)."
    elif not named and not _OTHER_ADDRESS.fullmatch(reference):
        text = f"{reference[:80]!r} is no reference. Send Type/id, a URL, urn:uuid:..., urn:oid:... or #id."
        yield where, "value", text


def _is_type(name: str) -> bool:
    try:
        return bool(get_fhir_model_class(name).has_resource_base())
    except (KeyError, LookupError, ValueError):
        return False
