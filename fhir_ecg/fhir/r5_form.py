"""Our R4 answers in R5's form. https://hl7.org/fhir/R5/diff.html

What R4 says is kept as far as R5 has a place for it. Of our own profiles, which are R4's, nothing is claimed in R5.
"""

from collections.abc import Callable
from typing import Any

from fhir.resources import get_fhir_model_class
from pydantic import ValidationError

from fhir_ecg.fhir.terminology import CANONICAL

Resource = dict[str, Any]

_NAME_TYPES = {
    "udi-label-name": "registered-name",
    "manufacturer-name": "registered-name",
    "user-friendly-name": "user-friendly-name",
    "patient-reported-name": "patient-reported-name",
    "model-name": "user-friendly-name",
    "other": "user-friendly-name",
}
_RELATIONSHIPS = {
    "equivalent": "equivalent",
    "wider": "source-is-narrower-than-target",
    "narrower": "source-is-broader-than-target",
    "inexact": "related-to",
}
_ROLES = {"derivation": "source"}
_CODE_SEARCHES = {"explicit": "in-compose-or-expansion"}


class NoR5FormError(Exception):
    """A resource that cannot be written in R5's form; its text says which."""


def r5_form(resource: Resource) -> Resource:
    """Write a resource as R5 has it.

    Raises:
        NoR5FormError: It, or one within it, is of a type that is not converted, or holds what R5 has no place for.
    """
    kind = str(resource.get("resourceType"))
    if kind not in _CONVERSIONS:
        raise NoR5FormError(f"{kind[:64]} is not written in R5's form here; ask for fhirVersion=4.0.")
    converted = _CONVERSIONS[kind](_without_our_profiles(_elements(resource)))
    if "contained" in converted:
        converted["contained"] = [_contained(inner) for inner in converted["contained"]]
    return converted


def _elements(node: Any) -> Any:
    """Convert the data types that R5 has changed, wherever they stand; resources within are left as they are."""
    if isinstance(node, list):
        return [_elements(item) for item in node]
    if not isinstance(node, dict):
        return node
    converted = {}
    for name, value in node.items():
        if name in {"contained", "resource", "outcome"}:
            converted[name] = value
        elif name == "valueSampledData" and isinstance(value, dict):
            converted[name] = _sampled_data(value)
        else:
            converted[name] = _elements(value)
    if "contentType" in converted and isinstance(converted.get("size"), int):
        converted["size"] = str(converted["size"])  # integer64 is a string in JSON
    return converted


def _sampled_data(sampled: Resource) -> Resource:
    """`period` is in milliseconds; in R5 `interval` has its unit beside it."""
    converted: Resource = {}
    for name, value in sampled.items():
        if name == "period":
            converted |= {"interval": value, "intervalUnit": "ms"}
        else:
            converted["_interval" if name == "_period" else name] = value
    return converted


def _without_our_profiles(resource: Resource) -> Resource:
    meta = resource.get("meta")
    if not isinstance(meta, dict) or "profile" not in meta:
        return resource
    others = [profile for profile in meta["profile"] if not profile.startswith(CANONICAL)]
    kept = {name: value for name, value in meta.items() if name != "profile"} | ({"profile": others} if others else {})
    return {name: kept if name == "meta" else value for name, value in resource.items() if name != "meta" or kept}


def _contained(resource: Resource) -> Resource:
    """Convert what a sender has put inside; of other types than ours much is the same in both releases."""
    kind = str(resource.get("resourceType"))
    converted = r5_form(resource) if kind in _CONVERSIONS else _elements(resource)
    try:
        get_fhir_model_class(kind).model_validate(converted)
    except (ValidationError, ValueError, ArithmeticError, AttributeError, LookupError, TypeError) as error:
        text = f"A contained {kind[:64]} has no form in R5 that keeps all of it; ask for fhirVersion=4.0."
        raise NoR5FormError(text) from error
    return converted


def _same(resource: Resource) -> Resource:
    return resource


def _renamed(resource: Resource, names: dict[str, str]) -> Resource:
    return {names.get(name, name): value for name, value in resource.items()}


def _bundle(resource: Resource) -> Resource:
    if "entry" not in resource:
        return resource
    return resource | {"entry": [_entry(entry) for entry in resource["entry"]]}


def _entry(entry: Resource) -> Resource:
    converted = dict(entry)
    if "resource" in entry:
        converted["resource"] = r5_form(entry["resource"])
    if "outcome" in entry.get("response", {}):
        converted["response"] = entry["response"] | {"outcome": r5_form(entry["response"]["outcome"])}
    return converted


def _capability_statement(resource: Resource) -> Resource:
    return resource | {"fhirVersion": "5.0.0"}


def _terminology_capabilities(resource: Resource) -> Resource:
    systems = [system | {"content": "complete"} for system in resource["codeSystem"]]
    return resource | {"codeSystem": systems, "codeSearch": _CODE_SEARCHES[resource["codeSearch"]]}


def _concept_map(resource: Resource) -> Resource:
    names = {f"{end}{kind}": f"{end}Scope{kind}" for end in ("source", "target") for kind in ("Uri", "Canonical")}
    converted = _renamed(resource, names)
    if "group" in converted:
        converted["group"] = [_map_group(group) for group in converted["group"]]
    return converted


def _map_group(group: Resource) -> Resource:
    versioned = {
        end: f"{group[end]}|{group[f'{end}Version']}" if f"{end}Version" in group else group[end]
        for end in ("source", "target")
        if end in group
    }
    rest = {name: value for name, value in group.items() if name not in {"sourceVersion", "targetVersion"}}
    elements = [
        element | {"target": [_map_target(target) for target in element.get("target", [])]}
        for element in group.get("element", [])
    ]
    return rest | versioned | {"element": elements}


def _map_target(target: Resource) -> Resource:
    renamed = _renamed(target, {"equivalence": "relationship"})
    return renamed | {"relationship": _RELATIONSHIPS[target["equivalence"]]}


def _device(resource: Resource) -> Resource:
    converted = _renamed(resource, {"deviceName": "name"})
    if "name" in converted:
        converted["name"] = [_device_name(name) for name in converted["name"]]
    if "type" in converted:
        converted["type"] = [converted["type"]]
    if "definition" in converted:
        converted["definition"] = {"reference": converted["definition"]}
    return converted


def _device_name(name: Resource) -> Resource:
    renamed = _renamed(name, {"name": "value", "_name": "_value"})
    return renamed | ({"type": _NAME_TYPES.get(name["type"], name["type"])} if "type" in name else {})


def _report(resource: Resource) -> Resource:
    return _renamed(resource, {"imagingStudy": "study"})


def _guide(resource: Resource) -> Resource:
    if "definition" not in resource:
        return resource
    listed = [_renamed(each, {"exampleBoolean": "isExample"}) for each in resource["definition"]["resource"]]
    return resource | {"definition": resource["definition"] | {"resource": listed}}


def _provenance(resource: Resource) -> Resource:
    converted = _renamed(resource, {"reason": "authorization"})
    if "authorization" in converted:
        converted["authorization"] = [{"concept": concept} for concept in converted["authorization"]]
    if "entity" in converted:
        converted["entity"] = [each | {"role": _ROLES.get(each["role"], each["role"])} for each in converted["entity"]]
    return converted


def _task(resource: Resource) -> Resource:
    reasons = [{"concept": resource["reasonCode"]}] if "reasonCode" in resource else []
    reasons += [{"reference": resource["reasonReference"]}] if "reasonReference" in resource else []
    replaced = {"reasonCode", "reasonReference"}
    converted = _renamed(
        {name: value for name, value in resource.items() if name not in replaced},
        {"performerType": "requestedPerformer"},
    )
    if "statusReason" in converted:
        converted["statusReason"] = {"concept": converted["statusReason"]}
    if "requestedPerformer" in converted:
        converted["requestedPerformer"] = [{"concept": concept} for concept in converted["requestedPerformer"]]
    return converted | ({"reason": reasons} if reasons else {})


_CONVERSIONS: dict[str, Callable[[Resource], Resource]] = {
    "Bundle": _bundle,
    "CapabilityStatement": _capability_statement,
    "CodeSystem": _same,
    "ConceptMap": _concept_map,
    "Device": _device,
    "DiagnosticReport": _report,
    "DocumentReference": _same,
    "ImplementationGuide": _guide,
    "Observation": _same,
    "OperationDefinition": _same,
    "OperationOutcome": _same,
    "Provenance": _provenance,
    "StructureDefinition": _same,
    "Task": _task,
    "TerminologyCapabilities": _terminology_capabilities,
    "ValueSet": _same,
}
