"""Parts of resources, as `_summary` and `_elements` ask for them. https://hl7.org/fhir/R4/search.html#summary"""

from functools import cache
from importlib import import_module
from typing import Any, Literal

Summary = Literal["true", "text", "data", "count", "false"]

SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "subsetted",
}
_ALWAYS = {"resourceType", "id", "meta", "implicitRules", "modifierExtension"}


def subset(resource: dict[str, Any], summary: Summary = "false", elements: tuple[str, ...] = ()) -> dict[str, Any]:
    """Cut a resource down, and tag it as incomplete; mandatory and modifier elements always stay.

    Args:
        resource: An R4 resource; it is left as it is.
        summary: Which parts are wanted.
        elements: Names of top-level elements (without type for `effective[x]`); where given, they decide.
    """
    flags = _flags(resource["resourceType"])
    if elements:
        wanted = {name for name, base in flags.bases.items() if base in elements}
        kept = _only(resource, wanted | flags.mandatory)
    elif summary == "true":
        kept = _only(resource, flags.summary | flags.mandatory)
        for name, inner in flags.inner.items():
            if name in kept:
                kept[name] = _inner(kept[name], inner)
    elif summary == "text":
        kept = _only(resource, {"text"} | flags.mandatory)
    elif summary == "data":
        kept = {name: value for name, value in resource.items() if name != "text"}
    else:
        return resource
    # What was cut fulfils no profile any more.
    meta = {name: value for name, value in kept.get("meta", {}).items() if name != "profile"}
    return {name: kept[name] for name in ("resourceType", "id") if name in kept} | {
        "meta": meta | {"tag": [*meta.get("tag", []), SUBSETTED]},
        **{name: value for name, value in kept.items() if name not in {"resourceType", "id", "meta"}},
    }


def known_elements(resource_type: str) -> set[str]:
    """List the top-level elements of a type, as `_elements` names them."""
    return set(_flags(resource_type).bases.values()) | {"id", "meta"}


class _Flags:
    """What the standard says of the elements of a type, out of the fhir.resources models."""

    def __init__(self, model: Any) -> None:
        fields = {
            field.alias or name: field
            for name, field in model.model_fields.items()
            if (field.json_schema_extra or {}).get("element_property")
        }
        extras = {name: field.json_schema_extra for name, field in fields.items()}
        self.bases = {name: extra.get("one_of_many") or name for name, extra in extras.items()}
        self.summary = {name for name, extra in extras.items() if extra.get("summary_element_property")}
        self.mandatory = {
            name
            for name, extra in extras.items()
            if fields[name].is_required() or extra.get("element_required") or extra.get("one_of_many_required")
        }
        self.inner = {
            name: inner for name in self.summary if (inner := _inner_model(model, fields[name].annotation)) is not None
        }


def _inner_model(model: Any, annotation: Any) -> "_Flags | None":
    """Find the flags of an element that is defined inside its resource, such as Observation.component."""
    named = str(annotation)
    owner = model.__name__
    found = [
        candidate
        for name, candidate in vars(import_module(model.__module__)).items()
        if name.startswith(owner) and name != owner and isinstance(candidate, type) and f"{name}Type" in named
    ]
    return _Flags(found[0]) if found else None


@cache
def _flags(resource_type: str) -> _Flags:
    module = import_module(f"fhir.resources.R4B.{resource_type.lower()}")
    return _Flags(getattr(module, resource_type))


def _only(resource: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name in _ALWAYS or name.removeprefix("_") in names}


def _inner(value: Any, flags: _Flags) -> Any:
    if isinstance(value, list):
        return [_inner(item, flags) for item in value]
    kept = flags.summary | flags.mandatory | {"modifierExtension"}
    return {name: inner for name, inner in value.items() if name.removeprefix("_") in kept}
