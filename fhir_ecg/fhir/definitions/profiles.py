"""Our profiles: what an ECG sent here is like, and what the answers are. https://hl7.org/fhir/R4/profiling.html"""

from typing import Any

from fhir_ecg.fhir.definitions.heading import heading
from fhir_ecg.fhir.definitions.snapshot import Element, snapshot
from fhir_ecg.fhir.definitions.terminologies import LEADS_VALUE_SET, STATEMENTS_VALUE_SET
from fhir_ecg.fhir.terminology import (
    AI_ASSERTED,
    ECG_PROFILE,
    EKG_STUDY,
    ELECTROCARDIAC,
    REPORT_PROFILE,
    STATEMENT_PROBABILITIES,
    WEIGHTS_IDENTIFIER_SYSTEM,
)
from fhir_ecg.fhir.voltage import UCUM

_BY_PATTERN = {"discriminator": [{"type": "pattern", "path": "$this"}], "rules": "open"}
_LABEL = {"system": AI_ASSERTED["system"], "code": AI_ASSERTED["code"]}
_IS_LABELLED = f"meta.security.where(system = '{_LABEL['system']}' and code = '{_LABEL['code']}').exists()"
_BASE = "http://hl7.org/fhir/StructureDefinition"


def profiles() -> list[dict[str, Any]]:
    """Build our StructureDefinition resources."""
    return [_ecg_in(), _report(), _scores(), _model(), _provenance()]


def _profile(identity: str, kind: str, title: str, text: str, differential: list[Element]) -> dict[str, Any]:
    name = "".join(part.capitalize() for part in identity.split("-"))
    return heading("StructureDefinition", identity, name, title, text) | {
        "fhirVersion": "4.0.1",
        "kind": "resource",
        "abstract": False,
        "type": kind,
        "baseDefinition": f"{_BASE}/{kind}",
        "derivation": "constraint",
        "snapshot": {"element": snapshot(kind, differential)},
        "differential": {"element": differential},
    }


def _element(identity: str, **rules: Any) -> Element:
    path = ".".join(part.partition(":")[0] for part in identity.split("."))
    return {"id": identity, "path": path} | rules


def _rule(key: str, human: str, expression: str, source: str) -> dict[str, str]:
    return {"key": key, "severity": "error", "human": human, "expression": expression, "source": source}


def _coded(concept: dict[str, Any]) -> dict[str, Any]:
    """Reduce a concept to what every way of writing it has in common."""
    return {"coding": [{"system": coding["system"], "code": coding["code"]} for coding in concept["coding"]]}


def _ecg_in() -> dict[str, Any]:
    text = (
        "The plain form of a 12-lead ECG that is read here: a component for each lead, with its samples. More forms "
        "are taken; docs/accepted-forms.md has them all."
    )
    lead = "Observation.component:lead"
    by_type = {
        "discriminator": [{"type": "type", "path": "value"}],
        "description": "What has samples is a lead; other components are kept, and not read.",
        "rules": "open",
    }
    recorded = _rule(
        "ecg-1",
        "An ECG that was not recorded, or wrongly, is not sent",
        "(status in ('registered' | 'cancelled' | 'entered-in-error')).not()",
        ECG_PROFILE,
    )
    enough = _rule(
        "ecg-2",
        "The six chest leads and two limb leads at least are sent; the other limb leads follow from them",
        "component.where(value is SampledData).count() >= 8",
        ECG_PROFILE,
    )
    return _profile("ecg-in", "Observation", "ECG in", text, [
        _element("Observation", constraint=[recorded, enough]),
        _element("Observation.subject", short="Whose ECG it is", mustSupport=True),
        _element("Observation.effective[x]", short="When it was recorded", mustSupport=True),
        _element("Observation.component", slicing=by_type, min=1),
        _element(lead, sliceName="lead", short="One lead", min=0, max="*", mustSupport=True),
        _element(f"{lead}.code", short="Which lead it is", binding={
            "strength": "preferred",
            "description": "Leads may also be coded in SNOMED CT, LOINC parts, DICOM or SCP-ECG.",
            "valueSet": LEADS_VALUE_SET,
        }),
        _element(f"{lead}.value[x]", min=1, type=[{"code": "SampledData"}], mustSupport=True),
        _element(f"{lead}.value[x].origin", short="The value of a raw 0, and the unit: V, mV, uV or nV"),
        _element(f"{lead}.value[x].origin.value", min=1),
        _element(f"{lead}.value[x].origin.system", patternUri=UCUM),
        _element(f"{lead}.value[x].period", short="Milliseconds between samples",
                 minValueDecimal=_MILLISECONDS[0], maxValueDecimal=_MILLISECONDS[1]),
        _element(f"{lead}.value[x].dimensions", short="1 for one lead"),
        _element(f"{lead}.value[x].data", min=1),
    ])  # fmt: skip


# 2000 to 50 samples a second.
_MILLISECONDS = (0.5, 20)


def _report() -> dict[str, Any]:
    text = (
        "The reading of an ECG by machine: registered, then partial or preliminary until a person confirms it, or "
        "cancelled."
    )
    labelled = _rule(
        "report-1",
        "What the model asserted is labelled so",
        f"(status = 'partial' or status = 'preliminary') implies {_IS_LABELLED}",
        REPORT_PROFILE,
    )
    told = _rule(
        "report-2",
        "A reading, and the reason why there is none, are told to people",
        "status = 'registered' or conclusion.exists()",
        REPORT_PROFILE,
    )
    answered_for = _rule(
        "report-3",
        "A report that a person has confirmed says who did",
        "(status in ('final' | 'amended' | 'corrected' | 'appended')) implies resultsInterpreter.exists()",
        REPORT_PROFILE,
    )
    return _profile("ecg-report", "DiagnosticReport", "ECG report", text, [
        _element("DiagnosticReport", constraint=[labelled, told, answered_for]),
        _element("DiagnosticReport.identifier", short="Its own, and as secondary ones the ECG's", min=1),
        _element("DiagnosticReport.category", slicing=_BY_PATTERN, min=1),
        _element("DiagnosticReport.category:electrocardiac", sliceName="electrocardiac", min=1, max="1",
                 patternCodeableConcept=_coded(ELECTROCARDIAC)),
        _element("DiagnosticReport.code", patternCodeableConcept=_coded(EKG_STUDY)),
        _element("DiagnosticReport.result", short="The ECG, and the probability of each statement", min=1),
        _element("DiagnosticReport.conclusion", short="The reading for people, with its warning", mustSupport=True),
        _element("DiagnosticReport.conclusionCode", short="What was found", mustSupport=True, binding={
            "strength": "extensible",
            "description": "SCP-ECG; beside it SNOMED CT where its concept is the same or wider.",
            "valueSet": STATEMENTS_VALUE_SET,
        }),
    ])  # fmt: skip


def _scores() -> dict[str, Any]:
    text = "The calibrated probability of every statement that the model knows, of one ECG."
    value = "Observation.component.value[x]"
    return _profile("ecg-statement-probabilities", "Observation", "Probabilities of ECG statements", text, [
        _element("Observation.meta", min=1),
        _element("Observation.meta.security", slicing=_BY_PATTERN, min=1),
        _element("Observation.meta.security:ai", sliceName="ai", short="The model asserted it", min=1, max="1",
                 patternCoding=_LABEL),
        _element("Observation.code", patternCodeableConcept=_coded(STATEMENT_PROBABILITIES)),
        _element("Observation.value[x]", max="0"),
        _element("Observation.device", short="The model", min=1,
                 type=[{"code": "Reference", "targetProfile": [f"{_BASE}/Device"]}]),
        _element("Observation.derivedFrom", short="The ECG", min=1),
        _element("Observation.component", short="One statement", min=1),
        _element("Observation.component.code", binding={
            "strength": "required", "description": "The statement", "valueSet": STATEMENTS_VALUE_SET,
        }),
        _element(value, min=1, type=[{"code": "Quantity"}]),
        _element(f"{value}.value", short="The probability, from 0 to 1", min=1, minValueDecimal=0, maxValueDecimal=1),
        _element(f"{value}.system", min=1, patternUri=UCUM),
        _element(f"{value}.code", min=1, patternCode="1"),
        _element("Observation.component.interpretation", short="Whether it reaches its threshold", min=1, max="1"),
    ])  # fmt: skip


def _model() -> dict[str, Any]:
    text = "The model that read an ECG: one Device for each set of weights."
    return _profile("ai-model-device", "Device", "AI model", text, [
        _element("Device.identifier", slicing=_BY_PATTERN, min=1),
        _element("Device.identifier:weights", sliceName="weights", short="The SHA-256 of its weights", min=1, max="1",
                 patternIdentifier={"system": WEIGHTS_IDENTIFIER_SYSTEM}),
        _element("Device.status", min=1),
        _element("Device.deviceName", min=1),
        _element("Device.type", min=1),
        _element("Device.version", short="Of the model, and of its weights", min=1),
        _element("Device.patient", max="0"),
    ])  # fmt: skip


def _provenance() -> dict[str, Any]:
    text = "Which model made a report and its probabilities from which ECG."
    entity = "Provenance.entity"
    return _profile("ecg-reading-provenance", "Provenance", "Provenance of an ECG reading", text, [
        _element("Provenance.target", short="The versions of the report and of the probabilities"),
        _element("Provenance.reason", slicing=_BY_PATTERN, min=1),
        _element("Provenance.reason:ai", sliceName="ai", min=1, max="1", patternCodeableConcept={"coding": [_LABEL]}),
        _element("Provenance.agent", short="The model, and the software that ran it"),
        _element("Provenance.agent.type", min=1),
        _element(entity, short="The versions of the Observations that were read, and the model's card", min=1),
    ])  # fmt: skip
