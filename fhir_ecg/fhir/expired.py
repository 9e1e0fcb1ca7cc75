"""What stays of an Observation whose samples have expired."""

from typing import Any

from fhir_ecg.fhir.terminology import ECG_PROFILE, READING_CONCEPTS, READING_SYSTEM

EXPIRED_TAG = {
    "system": READING_SYSTEM,
    "code": "waveform-expired",
    "display": READING_CONCEPTS["waveform-expired"],
}
# `masked`: not available due to security, privacy or related reasons.
# https://terminology.hl7.org/CodeSystem-data-absent-reason.html
_ABSENT = {
    "coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "masked", "display": "Masked"}
    ],
    "text": READING_CONCEPTS["waveform-expired"],
}
_SAMPLES = "valueSampledData"


def without_samples(observation: dict[str, Any]) -> dict[str, Any]:
    """Leave every SampledData out of an Observation; why it is absent stands in its place, and a tag in `meta`.

    Extensions that hold one go as a whole, for an extension without a value is none.
    """
    kept: dict[str, Any] = _without(observation)
    meta = dict(kept.get("meta", {}))
    profiles = [profile for profile in meta.pop("profile", []) if profile.partition("|")[0] != ECG_PROFILE]
    tags = [tag for tag in meta.get("tag", []) if tag.get("code") != EXPIRED_TAG["code"]]
    named = {"profile": profiles} if profiles else {}
    return kept | {"meta": meta | named | {"tag": [*tags, EXPIRED_TAG]}}


def _without(node: Any) -> Any:
    if isinstance(node, list):
        return [_without(child) for child in node if not _is_extension_with_samples(child)]
    if not isinstance(node, dict):
        return node
    kept = {name: _without(child) for name, child in node.items() if name != _SAMPLES}
    kept = {name: child for name, child in kept.items() if child != []}
    return kept | ({"dataAbsentReason": _ABSENT} if _SAMPLES in node else {})


def _is_extension_with_samples(node: Any) -> bool:
    return isinstance(node, dict) and "url" in node and _has_samples(node)


def _has_samples(node: Any) -> bool:
    if isinstance(node, dict):
        return _SAMPLES in node or any(map(_has_samples, node.values()))
    return isinstance(node, list) and any(map(_has_samples, node))
