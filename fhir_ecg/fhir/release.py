"""FHIR releases: which one a resource is of, and an R5 Observation in R4's form.

R4B is read as R4: of the types here it differs only in what references may point to.
"""

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Any

from fhir_ecg.fhir.outcome import Problem, UnprocessableError
from fhir_ecg.fhir.sampling import SamplingError, sampling_interval


class Release(StrEnum):
    """A release of FHIR, as `fhirVersion` in a MIME type names it."""

    R4 = "4.0"
    R5 = "5.0"


_R4_FIELDS = {"period"}
_R5_FIELDS = {"interval", "intervalUnit", "offsets", "codeMap"}

# https://hl7.org/fhir/R5/observation.html: elements that R4 has no place for.
_R5_ELEMENTS = {"instantiatesCanonical", "instantiatesReference", "triggeredBy", "bodyStructure"}


def detect_release(observation: dict[str, Any], declared: Release | None) -> Release:
    """Tell an Observation's release by its fields, and hold it against the one that was declared.

    Raises:
        UnprocessableError: The fields are of both releases, or not of the declared one.
    """
    found: dict[Release, str] = {}
    for path, sampled in _sampled_data(observation):
        for release, fields in ((Release.R4, _R4_FIELDS), (Release.R5, _R5_FIELDS)):
            for name in sorted(sampled.keys() & fields):
                found.setdefault(release, f"{path}.{name}")
    for name in sorted(observation.keys() & _R5_ELEMENTS):
        found.setdefault(Release.R5, f"Observation.{name}")
    if len(found) > 1:
        text = f"{found[Release.R4]} is R4's, {found[Release.R5]} is R5's. Send a resource of one release."
        raise UnprocessableError(Problem("structure", text, found[Release.R5]))
    [release] = found or [declared or Release.R4]
    if declared and release is not declared:
        text = f"The MIME type declares fhirVersion={declared}, but {found[release]} is of {release}."
        raise UnprocessableError(Problem("structure", text, found[release]))
    return release


def r4_form(observation: dict[str, Any]) -> dict[str, Any]:
    """Write an R5 Observation as R4 has it; an R4 one comes back as it is.

    Elements that R4 has no place for are left out; the bytes as sent keep them.
    """
    kept = {name: value for name, value in observation.items() if name not in _R5_ELEMENTS}
    if "valueSampledData" in kept:
        kept["valueSampledData"] = _r4_sampled_data(kept["valueSampledData"])
    if "component" in kept:
        kept["component"] = [_r4_component(component) for component in kept["component"]]
    return kept


def _r4_component(component: dict[str, Any]) -> dict[str, Any]:
    if "valueSampledData" not in component:
        return component
    return component | {"valueSampledData": _r4_sampled_data(component["valueSampledData"])}


def _r4_sampled_data(sampled: dict[str, Any]) -> dict[str, Any]:
    if not sampled.keys() & _R5_FIELDS:
        return sampled
    try:
        milliseconds = sampling_interval(sampled) * 1000
    except SamplingError:  # nothing that was accepted gets here
        milliseconds = Decimal(0)
    rest = {name: value for name, value in sampled.items() if name not in _R5_FIELDS}
    origin = {"origin": rest.pop("origin")} if "origin" in rest else {}
    return origin | {"period": milliseconds.normalize() + 0} | rest


def _sampled_data(observation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(sampled := observation.get("valueSampledData"), dict):
        yield "Observation.value.ofType(SampledData)", sampled
    components = observation.get("component")
    for index, component in enumerate(components if isinstance(components, list) else []):
        sampled = component.get("valueSampledData") if isinstance(component, dict) else None
        if isinstance(sampled, dict):
            yield f"Observation.component[{index}].value.ofType(SampledData)", sampled
