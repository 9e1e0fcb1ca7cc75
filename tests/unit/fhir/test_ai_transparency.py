"""What HL7's AI Transparency on FHIR (1.0.0-ballot) requires, element by element; each rule cites its profile.

The profiles are below https://build.fhir.org/ig/HL7/aitransparency-ig/en/StructureDefinition-
"""

import json
from base64 import b64decode
from dataclasses import replace
from hashlib import sha1
from typing import Any

from fhir.resources.R4B.device import Device
from fhir.resources.R4B.documentreference import DocumentReference
from fhir.resources.R4B.provenance import Provenance
from readings import AI_ASSERTED, ISSUED, MODEL, PREDICTION, RECORDING
from sent_ecg import observation

from fhir_ecg.classifier.card import card_of
from fhir_ecg.classifier.weights import read_weights
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.fhir.reading_resources import device_id, model_card, model_device, reading_provenance, scores_observation
from fhir_ecg.fhir.report import read_report, registered_report

IG = "http://hl7.org/fhir/uv/aitransparency"
CARD = b"# A model\n\nIt reads ECGs.\n"


def wire(resource: dict[str, Any]) -> dict[str, Any]:
    return json.loads(serialise(resource))  # type: ignore[no-any-return]


def codes(concept: dict[str, Any]) -> list[tuple[str, str]]:
    return [(coding["system"], coding["code"]) for coding in concept["coding"]]


def card() -> dict[str, Any]:
    return wire(model_card(CARD, MODEL, ISSUED))


def test_the_model_card() -> None:
    built = card()
    DocumentReference.model_validate(built)
    # AI-ModelCard: type 1..1 of AIModelCard alone; category 1.. with the format; content of text/markdown with data
    assert built["meta"]["profile"] == [f"{IG}/StructureDefinition/AI-ModelCard"]
    assert codes(built["type"]) == [(f"{IG}/CodeSystem/AIinputsCS", "AIModelCard")]
    assert codes(built["category"][0]) == [(f"{IG}/CodeSystem/AIinputsCS", "AIModelCardMarkdownFormat")]
    attachment = built["content"][0]["attachment"]
    assert (attachment["contentType"], b64decode(attachment["data"])) == ("text/markdown", CARD)
    assert (attachment["size"], b64decode(attachment["hash"])) == (len(CARD), sha1(CARD).digest())  # noqa: S324
    # identifier and description must be supported
    assert built["description"].startswith("Model card of three-branch 1.2.0")
    assert [each["system"].rpartition("/")[2] for each in built["identifier"]] == [
        "model-card-sha256",
        "weights-sha256",
    ]
    assert built["id"] == f"model-card-{built['identifier'][0]['value'][:32]}"
    assert built["id"] != model_card(CARD + b"more", MODEL, ISSUED)["id"]


def test_the_device() -> None:
    built = wire(model_device(MODEL, card()))
    Device.model_validate(built)
    # AI-Device: type = AIdeviceTypeCS#Artificial-Intelligence, 1..1; identifier, manufacturer, deviceName and version
    # must be supported
    assert f"{IG}/StructureDefinition/AI-Device" in built["meta"]["profile"]
    assert codes(built["type"]) == [(f"{IG}/CodeSystem/AIdeviceTypeCS", "Artificial-Intelligence")]
    assert built["identifier"]
    assert built["manufacturer"]
    assert built["deviceName"]
    assert {version["value"] for version in built["version"]} == {MODEL.version, MODEL.weights_sha256}
    # AIKind: valueCodeableConcept 1..1; modelCardDescription: valueReference 1..1 to an AI-ModelCard
    kind, described = built["extension"]
    assert kind["url"] == f"{IG}/StructureDefinition/aitransparency.AIKind"
    assert codes(kind["valueCodeableConcept"]) == [(f"{IG}/CodeSystem/AIdeviceTypeCS", "Deep-Learning-Models")]
    assert described["url"] == f"{IG}/StructureDefinition/aitransparency.modelCardDescription"
    assert described["valueReference"]["reference"] == f"DocumentReference/{card()['id']}"


def test_the_provenance() -> None:
    targets, sources = ["DiagnosticReport/R/_history/2"], ["Observation/O/_history/1", "Observation/P/_history/3"]
    repairs = ("period-in-seconds",)
    built = wire(reading_provenance("P", targets, sources, MODEL, ISSUED, repairs, software="1.2.3", card=card()))
    Provenance.model_validate(built)
    # AI-Provenance: target 1..*; occurred[x] must be supported; reason:AIReason 1..1 = AIAST
    assert f"{IG}/StructureDefinition/AI-Provenance" in built["meta"]["profile"]
    assert [target["reference"] for target in built["target"]] == targets
    assert built["occurredDateTime"] == built["recorded"]
    assert built["reason"] == [{"coding": [AI_ASSERTED]}]
    # agent:AIagent 1..*: who the AI Device, type 1..1, role = Artificial-Intelligence
    model, software = built["agent"]
    assert model["who"]["reference"] == f"Device/{device_id(MODEL)}"
    assert codes(model["type"])[0][1] == "author"
    assert codes(model["role"][0]) == [(f"{IG}/CodeSystem/AIdeviceTypeCS", "Artificial-Intelligence")]
    assert (codes(software["type"])[0][1], software["who"]["display"]) == ("assembler", "fhir-ecg 1.2.3")
    # entity: what went in; entity:modelCard: role derivation, what 1..1
    *inputs, described = built["entity"]
    assert [(each["role"], each["what"]["reference"]) for each in inputs] == [("source", source) for source in sources]
    assert described["role"] == "derivation"
    assert described["what"]["reference"] == f"DocumentReference/{card()['id']}"
    assert repairs[0] in built["activity"]["text"]


def test_what_the_model_asserted_is_labelled_and_says_how_sure_it_is() -> None:
    registered = registered_report(observation(), "O", "R")
    how: dict[str, Any] = {"issued": ISSUED, "snomed": True}
    report = wire(read_report(registered, PREDICTION, RECORDING, "S", status="partial", **how))
    scores = wire(scores_observation(observation(), "O", "S", PREDICTION, **how))
    assert report["meta"]["security"] == scores["meta"]["security"] == [AI_ASSERTED]
    # AIconfidence, on any element: value[x] 1..1, valueDecimal a probability from 0 to 1
    confidences = [concept["extension"] for concept in report["conclusionCode"]]
    assert confidences == [
        [{"url": f"{IG}/StructureDefinition/AIconfidence", "valueDecimal": round(finding.probability, 6)}]
        for finding in PREDICTION.findings
    ]


def test_other_weights_have_a_card_of_their_own() -> None:
    shipped = read_weights(None)
    assert b"## Source attributes" in card_of(shipped)
    other = card_of(replace(shipped, sha256="f" * 64)).decode()
    assert "f" * 64 in other
    assert shipped.sha256 not in other
    assert "not the ones that fhir-ecg ships" in other
