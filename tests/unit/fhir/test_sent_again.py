"""What was sent is found again in its bytes, and is the same ECG, to the bit, as the form that is served and read."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sent_ecg import observation
from sent_forms import FORMS, bundle, leads_of, sent_form

from fhir_ecg.ecg.recording import Recording
from fhir_ecg.examples import example_observations
from fhir_ecg.fhir.document import Form
from fhir_ecg.fhir.ecg_observation import Sent, read_joined
from fhir_ecg.fhir.parsing import parse_json, serialise
from fhir_ecg.fhir.release import Release, r4_form
from fhir_ecg.fhir.sent_again import find_sent, form_of, observations_in


def recording(observations: list[dict[str, Any]]) -> Recording:
    return read_joined([Sent(each) for each in observations])


def served(observations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [parse_json(serialise(r4_form(each) | {"id": f"o{i}"})) for i, each in enumerate(observations)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", example_observations())
def test_the_bytes_and_the_served_form_are_one_recording(name: str, form: str) -> None:
    example = example_observations()[name]
    body, media_type, _ = sent_form(form, example)

    sent = observations_in(body, media_type)
    found = [find_sent(sent, each) for each in reversed(served(sent))]

    assert found == sent[::-1]
    digest = recording(sent).sha256()
    assert digest == recording(served(sent)).sha256()
    assert digest == recording([parse_json(example)]).sha256()


@given(
    places=st.integers(0, 24),
    digits=st.integers(1, 10**24),
    unit=st.sampled_from([("ns", 6), ("us", 3), ("ms", 0), ("s", -3)]),
)
def test_no_interval_is_another_in_the_served_form(places: int, digits: int, unit: tuple[str, int]) -> None:
    """From 0.5 to 20 ms, with up to 24 decimal places, in units of time."""
    milliseconds = Decimal("0.5") + Decimal(digits) % (10**places) / Decimal(10) ** places * Decimal("19.5")
    name, exponent = unit
    sent = observation()
    for component in sent["component"]:
        sampled = component["valueSampledData"]
        del sampled["period"]
        sampled |= {"interval": milliseconds.scaleb(exponent), "intervalUnit": name}

    assert recording([sent]).sha256() == recording(served([sent])).sha256()


def test_of_several_the_one_with_the_waveform_is_found(examples: dict[str, bytes]) -> None:
    ecgs = [parse_json(examples[name]) for name in ("sinus-tachycardia", "sinus-bradycardia")]
    sent = observations_in(serialise(bundle(*ecgs)), "application/fhir+json")
    stored = ecgs[1] | {"id": "x", "subject": {"reference": "Patient/rewritten"}, "meta": {"versionId": "1"}}

    assert find_sent(sent, stored) == ecgs[1]
    assert find_sent(sent, parse_json(examples["atrial-fibrillation"])) is None
    assert (
        len(observations_in(serialise(bundle(*leads_of(examples["sinus-tachycardia"]))), "application/fhir+json")) == 12
    )


@pytest.mark.parametrize("release", [None, Release.R4, Release.R5])
@pytest.mark.parametrize("syntax", ["json", "xml"])
def test_a_media_type_is_read_as_it_was_written(syntax: Any, release: Release | None) -> None:
    form = Form(syntax, release)
    assert form_of(form.media_type) == form
