"""Finding an Observation again in the bytes that it was sent in: alone, in a Bundle, or in Parameters.

Nothing is checked here but what is needed to decode it: a later version may be stricter at the door than the one that
took it.
"""

from typing import Any

from fhir_ecg.fhir.document import Form, read_document
from fhir_ecg.fhir.release import Release, r4_form

_VERSION = "fhirVersion="
# What an ECG is decoded from, as far as it tells two Observations apart.
_WAVEFORM = ("code", "bodySite", "component", "valueSampledData")


def form_of(media_type: str) -> Form:
    """Read a form as `Form.media_type` writes it."""
    kind, _, parameter = media_type.partition(";")
    version = parameter.strip().removeprefix(_VERSION)
    return Form("xml" if kind.strip().endswith("xml") else "json", Release(version) if version else None)


def observations_in(body: bytes, media_type: str) -> list[dict[str, Any]]:
    """List the Observations in what was sent, as it was sent.

    Raises:
        RefusedError: The bytes are no resource.
    """
    document = read_document(body, form_of(media_type))
    kind = document.get("resourceType")
    if kind == "Observation":
        return [document]
    held = document.get("parameter" if kind == "Parameters" else "entry", [])
    resources = [each.get("resource") for each in held if isinstance(each, dict)]
    return [each for each in resources if isinstance(each, dict) and each.get("resourceType") == "Observation"]


def find_sent(observations: list[dict[str, Any]], served: dict[str, Any]) -> dict[str, Any] | None:
    """Find, of the Observations that were sent together, the one that is served as another.

    The service gave it its id and rewrote its references; it is known by its waveform. Where two have the same, either
    will do.
    """
    if len(observations) == 1:
        return observations[0]
    wanted = _waveform(served)
    return next((each for each in observations if _waveform(each) == wanted), None)


def _waveform(observation: dict[str, Any]) -> dict[str, Any]:
    r4 = r4_form(observation)
    return {name: r4[name] for name in _WAVEFORM if name in r4}
