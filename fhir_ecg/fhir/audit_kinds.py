"""What each action of the audit trail is in the terms of AuditEvent: type, subtype, action, and the agents' roles."""

from dataclasses import dataclass
from enum import Enum

from fhir_ecg.fhir.terminology import AUDIT_CONCEPTS, READ_ECG, READING_SYSTEM

DICOM = "http://dicom.nema.org/resources/ontology/DCM"
RESTFUL = "http://hl7.org/fhir/restful-interaction"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_REST = {
    "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
    "code": "rest",
    "display": "Restful Operation",
}
_ACTIVITY = {"system": DICOM, "code": "110100", "display": "Application Activity"}
_LOG_USED = {"system": DICOM, "code": "110101", "display": "Audit Log Used"}
_AUTHENTICATION = {"system": DICOM, "code": "110114", "display": "User Authentication"}
_LOGIN = {"system": DICOM, "code": "110122", "display": "Login"}


class Role(Enum):
    """What an agent was in an event: system, code and display."""

    SOURCE = (DICOM, "110153", "Source Role ID")
    DESTINATION = (DICOM, "110152", "Destination Role ID")
    APPLICATION = (DICOM, "110150", "Application")
    CUSTODIAN = ("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian", "Custodian")
    AUTHOR = (_PARTICIPATION, "AUT", "author (originator)")
    RECIPIENT = (_PARTICIPATION, "IRCP", "information recipient")


@dataclass(frozen=True)
class Kind:
    """One kind of event."""

    type: dict[str, str]
    subtype: dict[str, str]
    action: str
    """C, R, U, D or E."""
    profile: str | None = None
    """The profile of BALP that a success fulfils, without `IHE.BasicAudit.` and `Patient`."""
    client: Role | None = None
    """None where it did not come by a request."""
    server: Role = Role.DESTINATION
    user: Role = Role.RECIPIENT
    is_query: bool = False


def _rest(code: str, action: str, profile: str | None = None, *, user: Role = Role.RECIPIENT) -> Kind:
    """Describe a request; in a Read the data flows from the server to the client."""
    client, server = Role.SOURCE, Role.DESTINATION
    if profile == "Read":
        client, server = server, client
    elif profile == "Delete":
        client, server = Role.APPLICATION, Role.CUSTODIAN
    subtype = {"system": RESTFUL, "code": code, "display": code}
    return Kind(_REST, subtype, action, profile, client, server, user, code.startswith(("search", "history")))


def _activity(code: str, of_type: dict[str, str] = _ACTIVITY) -> Kind:
    return Kind(of_type, {"system": READING_SYSTEM, "code": code, "display": AUDIT_CONCEPTS.get(code, code)}, "E")


KINDS: dict[str, Kind] = {
    "create": _rest("create", "C", "Create", user=Role.AUTHOR),
    "refuse": _rest("create", "C", user=Role.AUTHOR),
    "update": _rest("update", "U", "Update", user=Role.AUTHOR),
    "cancel": _rest("update", "U", "Update", user=Role.AUTHOR),
    "confirm": _rest("update", "U", "Update", user=Role.AUTHOR),
    "delete": _rest("delete", "D", "Delete", user=Role.AUTHOR),
    "read": _rest("read", "R", "Read"),
    "vread": _rest("vread", "R", "Read"),
    "search": _rest("search-type", "E", "Query"),
    "history-instance": _rest("history-instance", "E"),
    "history-type": _rest("history-type", "E"),
    "history-system": _rest("history-system", "E"),
    "export": _rest("operation", "E"),
    "login": Kind(_AUTHENTICATION, _LOGIN, "E", client=Role.SOURCE),
    "classify": Kind(_ACTIVITY, READ_ECG, "E"),
    "verify": _activity("verify", _LOG_USED),
    "adopt": _activity("adopt", _LOG_USED),
    "replay": _activity("replay", _LOG_USED),
    "checkpoint": _activity("checkpoint", _LOG_USED),
}


def kind_of(action: str) -> Kind:
    """Tell what an action is; one that is not listed is an operator's, or the service's own."""
    return KINDS.get(action) or _activity(action)
