"""Which Observations of a Bundle are put together to one ECG, and what is said where they are not."""

import copy
import json
from typing import Any

import pytest
from sent_ecg import observation

from fhir_ecg.ecg.leads import CHEST_LEADS, TWELVE_LEADS, Lead
from fhir_ecg.fhir.document import Form
from fhir_ecg.fhir.ecg_bundle import EcgEntries, bundle_entries, ecgs_of_entries
from fhir_ecg.fhir.ecg_observation import read_joined
from fhir_ecg.fhir.lead_coding import MDC
from fhir_ecg.fhir.outcome import RefusedError

Document = dict[str, Any]
EIGHT = (Lead.I, Lead.II, *CHEST_LEADS)
LIMB = TWELVE_LEADS[:6]
WHEN = "2026-11-22T09:30:00+01:00"


def whole(first: int = 1, **elements: Any) -> Document:
    """Twelve leads of 5 s at 50 Hz, each of samples of its own, and others for another `first`."""
    document = observation(**elements)
    for index, component in enumerate(document["component"]):
        component["valueSampledData"] |= {
            "period": 20,
            "data": " ".join(str(first * 100 + index * 10 + n % 7) for n in range(250)),
        }
    return document


def leads(*chosen: Lead, first: int = 1, **elements: Any) -> list[Document]:
    """An Observation for each lead."""
    document = whole(first)
    shared = {k: v for k, v in document.items() if k not in {"component", "identifier", "code"}}
    return [
        copy.deepcopy(shared | component | elements)
        for lead, component in zip(TWELVE_LEADS, document["component"], strict=True)
        if lead in chosen
    ]


def panel(*references: str, relation: str = "hasMember", **elements: Any) -> Document:
    shared = {k: v for k, v in observation().items() if k not in {"component", "identifier"}}
    return shared | {relation: [{"reference": reference} for reference in references]} | elements


def bundle(*observations: Document, base: str = "urn:uuid:") -> Document:
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": f"{base}{place}",
                "resource": resource,
                "request": {"method": "POST", "url": "Observation"},
            }
            for place, resource in enumerate(observations)
        ],
    }


def found(document: Document) -> list[EcgEntries]:
    entries = bundle_entries(json.loads(json.dumps(document)), ("transaction",))
    return ecgs_of_entries(entries, range(len(entries)), Form())


def answer(ecg: EcgEntries) -> list[tuple[str, str | None]] | int:
    """The samples of an ECG that is read, or the codes and places of what is wrong."""
    if ecg.problems:
        return [(problem.code, problem.expression) for problem in ecg.problems]
    try:
        return read_joined(ecg.sent).samples
    except RefusedError as error:
        return [(problem.code, problem.expression) for problem in error.problems]


def urns(*places: int) -> list[str]:
    return [f"urn:uuid:{place}" for place in places]


TOGETHER: dict[str, list[Document]] = {
    "of one patient at one time": leads(*TWELVE_LEADS),
    "eight of them": leads(*EIGHT),
    "shown otherwise": [
        each | {"subject": {"reference": "Patient/7", "display": f"Somebody {n}"}}
        for n, each in enumerate(leads(*TWELVE_LEADS))
    ],
    "written in another zone": [
        each | {"effectiveDateTime": WHEN if n % 2 else "2026-11-22T08:30:00Z"}
        for n, each in enumerate(leads(*TWELVE_LEADS))
    ],
    "of a patient known by an identifier": leads(
        *TWELVE_LEADS, subject={"identifier": {"system": "http://a.example", "value": "7"}}
    ),
    "with a lead beyond the twelve": [
        *leads(*TWELVE_LEADS),
        *[each | {"code": {"coding": [{"system": MDC, "code": "131084"}]}} for each in leads(Lead.V4)],
    ],
    "of two orders, in any order": [
        each | {"basedOn": [{"reference": f"ServiceRequest/{1 + (n + m) % 2}"} for m in range(2)]}
        for n, each in enumerate(leads(*TWELVE_LEADS))
    ],
    "of nobody": [{k: v for k, v in each.items() if k != "subject"} for each in leads(*TWELVE_LEADS)],
    "named by a panel": [*leads(*TWELVE_LEADS), panel(*urns(*range(12)))],
    "named by a panel that stands first": [panel(*urns(*range(1, 13))), *leads(*TWELVE_LEADS)],
    "named by hasMember and derivedFrom": [
        *leads(*TWELVE_LEADS),
        panel(*urns(*range(12)), derivedFrom=[{"reference": urn} for urn in urns(*range(12))]),
    ],
    "named twice": [*leads(*TWELVE_LEADS), panel(*urns(*range(12), 0))],
    "named by panels that a panel names": [
        panel(*urns(1, 2)),
        panel(*urns(*range(3, 9))),
        panel(*urns(*range(9, 15))),
        *leads(*LIMB),
        *leads(*CHEST_LEADS),
    ],
    "named in a ring": [
        each | {"derivedFrom": [{"reference": f"urn:uuid:{(n + 1) % 12}"}]}
        for n, each in enumerate(leads(*TWELVE_LEADS))
    ],
    "named by a version": [*leads(*TWELVE_LEADS), panel(*(f"urn:uuid:{n}/_history/2" for n in range(12)))],
    "named without a time or subject of their own": [
        *[{k: v for k, v in each.items() if k != "effectiveDateTime"} for each in leads(*TWELVE_LEADS)],
        panel(*urns(*range(12))),
    ],
    "named beside a heart rate": [
        *leads(*TWELVE_LEADS),
        panel(valueQuantity={"value": 70, "unit": "/min"}) | {"hasMember": [{"reference": "urn:uuid:0"}]},
        panel(*urns(*range(13))),
    ],
    "a whole one, named by a panel beside a heart rate": [
        whole(),
        {k: v for k, v in panel().items() if k != "hasMember"} | {"valueQuantity": {"value": 70, "unit": "/min"}},
        panel(*urns(0, 1)),
    ],
}


@pytest.mark.parametrize("name", TOGETHER)
def test_they_are_one_ecg(name: str) -> None:
    observations = TOGETHER[name]
    [ecg] = found(bundle(*observations))

    assert sorted(ecg.entries) == list(range(len(observations)))
    assert answer(ecg) == 250


def test_a_panel_stands_for_its_ecg() -> None:
    [ecg] = found(bundle(*leads(*TWELVE_LEADS), panel(*urns(*range(12)))))
    assert ecg.entries == [12, *range(12)]


def test_a_relative_reference_is_relative_to_where_the_one_that_names_is() -> None:
    document = bundle(*leads(*TWELVE_LEADS), panel(*(f"Observation/{n}" for n in range(12))), base="")
    for place, entry in enumerate(document["entry"]):
        entry["fullUrl"] = f"http://ehr.example/fhir/Observation/{place}"
        del entry["resource"]["effectiveDateTime"]
    [ecg] = found(document)
    assert answer(ecg) == 250

    document["entry"][-1]["fullUrl"] = "http://another.example/fhir/Observation/12"
    assert all(isinstance(answer(ecg), list) for ecg in found(document))


APART: dict[str, list[Document]] = {
    "an ECG derived from another": [whole(), whole(2, derivedFrom=[{"reference": "urn:uuid:0"}])],
    "an ECG that has another as a member": [whole(hasMember=[{"reference": "urn:uuid:1"}]), whole(2)],
    "two patients": [*leads(*EIGHT), *leads(*EIGHT, first=2, subject={"reference": "Patient/8"})],
    "two times": [*leads(*EIGHT), *leads(*EIGHT, first=2, effectiveDateTime="2026-11-22T09:31:00+01:00")],
    "two devices": [*leads(*EIGHT), *leads(*EIGHT, first=2, device={"reference": "Device/2"})],
    "two encounters": [*leads(*EIGHT), *leads(*EIGHT, first=2, encounter={"reference": "Encounter/9"})],
    "two orders": [*leads(*EIGHT), *leads(*EIGHT, first=2, basedOn=[{"reference": "ServiceRequest/2"}])],
    "an ECG derived from another, each with a heart rate": [
        whole(),
        whole(2, derivedFrom=[{"reference": "urn:uuid:0"}]),
        panel("urn:uuid:0", relation="derivedFrom"),
        panel("urn:uuid:1", relation="derivedFrom"),
    ],
    "compared by a panel": [whole(), whole(2), panel(*urns(0, 1))],
    "two panels": [
        *leads(*EIGHT),
        *leads(*EIGHT, first=2),
        panel(*urns(*range(8))),
        panel(*urns(*range(8, 16))),
    ],
}


@pytest.mark.parametrize("name", APART)
def test_they_are_two_ecgs(name: str) -> None:
    observations = APART[name]
    ecgs = found(bundle(*observations))

    assert [answer(ecg) for ecg in ecgs] == [250, 250]
    assert sorted(place for ecg in ecgs for place in ecg.entries) == list(range(len(observations)))
    assert len({read_joined(ecg.sent).sha256() for ecg in ecgs}) == 2


def at(place: int, rest: str = "") -> str:
    return f"Bundle.entry[{place}].resource{rest}"


REFUSED: dict[str, tuple[list[Document], tuple[str, str]]] = {
    "two ECGs of one patient in one minute": (
        [*leads(*EIGHT), *leads(*EIGHT, first=2)], ("duplicate", at(8))),
    "two ECGs of one patient, lead by lead": (
        [each for pair in zip(leads(*EIGHT), leads(*EIGHT, first=2), strict=True) for each in pair],
        ("duplicate", at(1))),
    "limb and chest leads of two encounters": (
        [*leads(*CHEST_LEADS), *leads(Lead.I, Lead.II, encounter={"reference": "Encounter/9"})],
        ("business-rule", at(6, ".encounter"))),
    "limb and chest leads of one day": (
        [*leads(*CHEST_LEADS, effectiveDateTime="2026-11-22"), *leads(Lead.I, Lead.II, effectiveDateTime="2026-11-22")],
        ("business-rule", at(1, ".effective"))),
    "a lead of another patient": (
        [*leads(*EIGHT[:-1]), *leads(Lead.V6, subject={"reference": "http://ehr.example/fhir/Patient/7"})],
        ("business-rule", at(7, ".subject"))),
    "a lead a second later": (
        [*leads(*EIGHT[:-1]), *leads(Lead.V6, effectiveDateTime="2026-11-22T09:30:01+01:00")],
        ("business-rule", at(7, ".effective"))),
    "a panel of limb leads in January and chest leads in March": (
        [*leads(*LIMB, effectiveDateTime="2026-01-22T09:30:00Z"),
         *leads(*CHEST_LEADS, effectiveDateTime="2026-03-22T09:30:00Z"), panel(*urns(*range(12)))],
        ("value", at(6, ".effective"))),
    "a heart rate that nothing links": (
        [whole(), panel("http://a.example/Media/1", relation="derivedFrom")], ("required", at(1, ".component"))),
    "a panel of leads that are not there": (
        [panel("Observation/a", "urn:uuid:b")], ("not-found", at(0, ".hasMember[0].reference"))),
    "a panel of two patients": (
        [*leads(*TWELVE_LEADS[:-1]), *leads(Lead.V6, subject={"reference": "Patient/8"}), panel(*urns(*range(12)))],
        ("value", at(11, ".subject"))),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_they_are_refused_with_what_keeps_them_apart(name: str) -> None:
    observations, problem = REFUSED[name]
    answers = [answer(ecg) for ecg in found(bundle(*observations))]
    assert problem in [each for problems in answers if isinstance(problems, list) for each in problems], answers


ENTRIES: dict[str, tuple[Document, tuple[str, str]]] = {
    "fullUrl that is a list": ({"fullUrl": ["urn:uuid:1"]}, ("value", "Bundle.entry[0].fullUrl")),
    "fullUrl that is a number": ({"fullUrl": 1}, ("value", "Bundle.entry[0].fullUrl")),
    "an unknown element": ({"foo": 1}, ("structure", "Bundle.entry[0]")),
    "a modifier extension": (
        {"modifierExtension": [{"url": "http://a.example", "valueBoolean": True}]},
        ("extension", "Bundle.entry[0].modifierExtension[0]"),
    ),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_what_does_not_belong_into_an_entry_is_refused(name: str) -> None:
    put, problem = ENTRIES[name]
    document = bundle(whole(), whole(2))
    document["entry"][0] |= put
    assert [answer(ecg) for ecg in found(document)] == [[problem], 250]


def test_two_entries_of_one_address_are_refused() -> None:
    document = bundle(whole(), whole(2))
    document["entry"][1]["fullUrl"] = document["entry"][0]["fullUrl"]
    assert [answer(ecg) for ecg in found(document)] == [250, [("invariant", "Bundle.entry[1].fullUrl")]]
