"""An audit entry as an AuditEvent, by IHE's Basic Audit Log Patterns. https://profiles.ihe.net/ITI/BALP/"""

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from fhir_ecg.fhir.audit_kinds import Kind, Role, kind_of
from fhir_ecg.fhir.report import instant
from fhir_ecg.fhir.search_index import folded, indexed, unversioned
from fhir_ecg.fhir.terminology import CANONICAL, SOFTWARE_IDENTIFIER_SYSTEM

BALP = "https://profiles.ihe.net/ITI/BALP"
CLIENT_SYSTEM = f"{CANONICAL}/sid/client"
USER_SYSTEM = f"{CANONICAL}/sid/user"
SOFTWARE = {"identifier": {"system": SOFTWARE_IDENTIFIER_SYSTEM, "value": "fhir-ecg"}, "display": "fhir-ecg"}
PEOPLE = ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson")
SUCCESS = "success"

_ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ENTITY_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"
_PERSON = {"system": _ENTITY_TYPE, "code": "1", "display": "Person"}
_SYSTEM_OBJECT = {"system": _ENTITY_TYPE, "code": "2", "display": "System Object"}
_OTHER = {"system": _ENTITY_TYPE, "code": "4", "display": "Other"}
_PATIENT = {"system": _ENTITY_ROLE, "code": "1", "display": "Patient"}
_DOMAIN_RESOURCE = {"system": _ENTITY_ROLE, "code": "4", "display": "Domain Resource"}
_QUERY = {"system": _ENTITY_ROLE, "code": "24", "display": "Query"}
_REQUEST_ID = {"system": f"{BALP}/CodeSystem/BasicAuditEntityType", "code": "XrequestId"}
_APPLICATION_SERVER = {
    "system": "http://terminology.hl7.org/CodeSystem/security-source-type",
    "code": "4",
    "display": "Application Server",
}
# What the AuditEvent tells elsewhere; of a query also what is in its address.
_TOLD = {"agent", "patients"}
_TOLD_OF_A_QUERY = {*_TOLD, "query", "type", "types", "id"}
_LONGEST_DETAIL = 4000


@dataclass(frozen=True)
class AuditRecord:
    """An audit entry as it is stored."""

    id: str
    recorded: datetime
    action: str
    outcome: str
    client: str | None
    request_id: str | None
    entities: Sequence[str]
    """Versioned references."""
    detail: dict[str, Any]
    """Among others: `agent` (`address`, `user`), `patients` (references), `query` (pairs) and `type` of a search."""

    @property
    def reference(self) -> str:
        """Reference to its only version."""
        return f"AuditEvent/{self.id}/_history/1"

    @property
    def patients(self) -> list[dict[str, Any]]:
        """References to the patients whom it is about."""
        found: list[dict[str, Any]] = self.detail.get("patients", [])
        return found


def patients_of(resources: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """List the patients that resources are about, each once: `Patient/ID`, an address of one, or an identifier."""
    subjects = (resource.get("subject") or resource.get("for") or {} for resource in resources)
    return distinct(patient for subject in subjects if (patient := patient_reference(subject)))


def distinct(references: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the first of references that are the same."""
    return list({json.dumps(reference, sort_keys=True): reference for reference in references}.values())


def patient_reference(reference: dict[str, Any]) -> dict[str, Any] | None:
    """Reduce a reference to what names a patient; None where it names none."""
    target = reference.get("reference")
    if isinstance(target, str):
        plain = unversioned(target)
        if plain.split("/")[-2:-1] == ["Patient"] or reference.get("type") == "Patient":
            return {"reference": plain}
        return None
    identifier = reference.get("identifier")
    if not isinstance(identifier, dict) or not isinstance(identifier.get("value"), str):
        return None
    if reference.get("type") not in {None, "Patient"}:
        return None
    kept = {name: identifier[name] for name in ("system", "value") if isinstance(identifier.get(name), str)}
    return {"type": "Patient", "identifier": kept}


def index_values(entities: Sequence[str], detail: dict[str, Any]) -> list[tuple[str, str]]:
    """List what an entry is found by beside its own columns, as role and value.

    It follows from the entry alone, so that it can be computed anew.
    """
    found = [("entity", unversioned(entity)) for entity in entities]
    for patient in detail.get("patients", []):
        if "reference" in patient:
            found.append(("entity", patient["reference"]))
        else:
            identifier = patient["identifier"]
            found.append(("patient-system", f"{identifier.get('system', '')}|{identifier['value']}"))
            found.append(("patient-value", identifier["value"]))
    if user := detail.get("agent", {}).get("user"):
        found += [("user", user), ("user-name", folded(user))]
    return [(role, indexed(value)) for role, value in dict.fromkeys(found)]


def audit_event(record: AuditRecord, base: str) -> dict[str, Any]:
    """Write an audit entry as an AuditEvent; `base` is the address of this FHIR server."""
    kind = kind_of(record.action)
    meta: dict[str, Any] = {"versionId": "1", "lastUpdated": instant(record.recorded)}
    if profile := _profile(record, kind):
        meta["profile"] = [profile]
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": record.id,
        "meta": meta,
        "type": kind.type,
        "subtype": [kind.subtype],
        "action": kind.action,
        "recorded": instant(record.recorded),
        "outcome": "0" if record.outcome == SUCCESS else "4",
    }
    if record.outcome != SUCCESS:
        event["outcomeDesc"] = _why(record)
    event |= {
        "agent": _agents(record, kind, base),
        "source": {"observer": SOFTWARE, "type": [_APPLICATION_SERVER]},
    }
    entities = _entities(record, kind)
    return event | ({"entity": entities} if entities else {})


def _profile(record: AuditRecord, kind: Kind) -> str | None:
    """Name the profile that is fulfilled: those of BALP are for successes whose client's address is known."""
    named = record.entities or kind.is_query
    if kind.profile is None or record.outcome != SUCCESS or not _agent(record).get("address") or not named:
        return None
    about = "Patient" if len(record.patients) == 1 else ""
    return f"{BALP}/StructureDefinition/IHE.BasicAudit.{about}{kind.profile}"


def _agent(record: AuditRecord) -> dict[str, str]:
    found: dict[str, str] = record.detail.get("agent", {})
    return found


def _agents(record: AuditRecord, kind: Kind, base: str) -> list[dict[str, Any]]:
    user = _agent(record).get("user")
    if kind.client is None:
        return [{"type": _concept(Role.APPLICATION), "who": SOFTWARE, "requestor": True}]
    client: dict[str, Any] = {"type": _concept(kind.client), "who": _client(record), "requestor": user is None}
    if address := _agent(record).get("address"):
        client["network"] = {"address": address, "type": "2"}
    server = {
        "type": _concept(kind.server),
        "who": SOFTWARE,
        "requestor": False,
        "network": {"address": base, "type": "5"},
    }
    agents = [client, server]
    if user:
        agents.append({"type": _concept(kind.user), "who": _person(user), "name": user, "requestor": True})
    return agents


def _client(record: AuditRecord) -> dict[str, Any]:
    if record.client is None:
        return {"display": "A client that is not authenticated"}
    return {"identifier": {"system": CLIENT_SYSTEM, "value": record.client}, "display": record.client}


def _person(user: str) -> dict[str, Any]:
    kind, _, identity = user.partition("/")
    if kind in PEOPLE and identity:
        return {"reference": user}
    return {"identifier": {"system": USER_SYSTEM, "value": user}}


def _concept(role: Role) -> dict[str, Any]:
    system, code, display = role.value
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _entities(record: AuditRecord, kind: Kind) -> list[dict[str, Any]]:
    entities: list[dict[str, Any]] = []
    if kind.is_query:
        entities.append({"type": _SYSTEM_OBJECT, "role": _QUERY, "query": _query(record.detail)})
    for number, reference in enumerate(record.entities):
        # BALP has one System Object: what was asked for. What else was touched stands beside it by its type.
        main = number == 0 and not kind.is_query
        of_type = _SYSTEM_OBJECT if main else {"system": _RESOURCE_TYPES, "code": reference.partition("/")[0]}
        entities.append({"what": {"reference": reference}, "type": of_type, "role": _DOMAIN_RESOURCE})
    entities += [{"what": patient, "type": _PERSON, "role": _PATIENT} for patient in record.patients]
    if record.request_id:
        entities.append({"what": {"identifier": {"value": record.request_id}}, "type": _REQUEST_ID})
    if detail := _details(record.detail, _TOLD_OF_A_QUERY if kind.is_query else _TOLD):
        entities.append({"type": _OTHER, "detail": detail})
    return entities


def _query(detail: dict[str, Any]) -> str:
    """Write what was searched for as it stands in an address, in base64."""
    kinds = detail.get("types", [])
    of_type = detail.get("type") or (kinds[0] if len(kinds) == 1 else "")
    path = "/".join(part for part in (of_type, detail.get("id"), "_history" if "types" in detail else "") if part)
    query = urlencode([(str(name), str(value)) for name, value in detail.get("query", [])])
    return b64encode(f"{path}?{query}".encode()).decode()


def _details(detail: dict[str, Any], told: set[str]) -> list[dict[str, str]]:
    return [
        {"type": name, "valueString": _text(value)}
        for name, value in detail.items()
        if name not in told and value not in (None, "", [], {})
    ]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text[:_LONGEST_DETAIL]


def _why(record: AuditRecord) -> str:
    """Say why it failed, out of the codes that the entry holds."""
    detail = record.detail
    if "problems" in detail:
        shown = [" at ".join(filter(None, (p.get("code"), p.get("expression")))) for p in detail["problems"]]
        return f"Refused: {'; '.join(shown)}"[:_LONGEST_DETAIL]
    if "reasons" in detail:
        return f"No reading was made: {', '.join(map(str, detail['reasons']))}"[:_LONGEST_DETAIL]
    if "count" in detail:
        return f"{detail['count']} requests without a known bearer token"
    return "It failed."
