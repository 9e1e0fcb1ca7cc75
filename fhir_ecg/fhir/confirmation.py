"""What a person decides about a report: read from a changed report, or from the parameters of `$confirm`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from fhir_ecg.fhir.dates import date_range
from fhir_ecg.fhir.invariants import parse_narrative
from fhir_ecg.fhir.outcome import IssueType, MalformedError, Problem, UnprocessableError
from fhir_ecg.fhir.report import UNCONFIRMED
from fhir_ecg.fhir.terminology import STATEMENT_SYSTEM, coded_statement
from fhir_ecg.fhir.xml_narrative import narrative_string

Decision = Literal["confirm", "edit", "reject"]
Resource = dict[str, Any]

UNREAD = ("registered", "cancelled")
READ = ("partial", "preliminary")
CONFIRMED = ("final", "amended", "corrected", "appended")
VOID = "entered-in-error"
_NEXT = {
    **dict.fromkeys(READ, ("final",)),
    **dict.fromkeys(CONFIRMED, CONFIRMED[1:]),
    **dict.fromkeys(UNREAD, ()),
}
"""What a status may become, beside entered-in-error. https://hl7.org/fhir/R4/valueset-diagnostic-report-status.html"""
_MAY_CHANGE = {"status", "conclusion", "conclusionCode", "resultsInterpreter", "text", "issued", "meta"}
_SERVERS_META = {"versionId", "lastUpdated"}
_CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True)
class Verdict:
    """What is to become of a report."""

    decision: Decision
    status: str
    interpreters: tuple[Resource, ...]
    """References to who decided."""
    codes: tuple[str, ...] | None = None
    """The statements that hold; None where those of the report do."""
    conclusion: str | None = None
    """In the person's words; None where those of the report stay."""
    comment: str | None = None
    text: Resource | None = None
    """A narrative of the person's own."""
    issued: str | None = None


def codes_of(report: Resource) -> tuple[str, ...]:
    """List the statements that a report of ours is coded with."""
    found = (coded_statement(concept) for concept in report.get("conclusionCode", []))
    return tuple(code for code in found if code)


def verdict_of_update(current: Resource, sent: Resource, moment: datetime) -> Verdict | None:
    """Read what a changed report decides; None where nothing is changed.

    Args:
        current: The report as it is stored.
        sent: What is to replace it, checked against R4's model.
        moment: Now.

    Raises:
        MalformedError: It has another id.
        UnprocessableError: It changes what may not be changed, or gets a status that it cannot get.
    """
    if sent.get("id") != current["id"]:
        text = f"The report's id is {str(sent.get('id'))[:64]!r}; the address says {current['id']}."
        raise MalformedError(Problem("value", text, "DiagnosticReport.id"))
    if problems := list(_forbidden_changes(current, sent)):
        raise UnprocessableError(*problems)
    codes = _read_codes(sent.get("conclusionCode", []), "DiagnosticReport.conclusionCode")
    conclusion = sent.get("conclusion") if sent.get("conclusion") != current.get("conclusion") else None
    new = codes if set(codes) != set(codes_of(current)) else None
    own_text = _own_text(current, sent)
    people = sent.get("resultsInterpreter", [])
    edited = any(change is not None for change in (new, conclusion, own_text))
    if not edited and sent["status"] == current["status"] and people == current.get("resultsInterpreter", []):
        return None
    _check_status(current["status"], sent["status"])
    _check_people(people, "DiagnosticReport.resultsInterpreter")
    issued = _own_issued(current, sent, moment)
    decision: Decision = "reject" if sent["status"] == VOID else "edit" if edited else "confirm"
    return Verdict(decision, sent["status"], tuple(people), new, conclusion, text=own_text, issued=issued)


def verdict_of_parameters(current: Resource, document: Resource) -> Verdict:
    """Read what the parameters of `$confirm` decide, checked against R4's model.

    Raises:
        UnprocessableError: A parameter is unknown, missing or of the wrong kind, or the report cannot be so decided.
    """
    given = _given(document)
    decision, place = given["decision"][0]
    if decision not in {"confirm", "edit", "reject"}:
        raise _refused("code-invalid", f"{str(decision)[:40]!r} is none of confirm, edit, reject.", place)
    person, place = given["interpreter"][0]
    _check_people([person], place, several=False)
    [conclusion, comment] = [given[name][0][0] if given[name] else None for name in ("conclusion", "comment")]
    concepts = given["conclusionCode"]
    if decision != "edit" and (conclusion is not None or concepts):
        text = f"To {decision} a report changes none of its words and codes. Decide edit, or leave them out."
        raise _refused("business-rule", text, "Parameters.parameter")
    if decision == "edit" and conclusion is None and not concepts:
        text = "To edit a report needs a conclusion or a conclusionCode. To take all codes away, PUT the report."
        raise _refused("required", text, "Parameters.parameter")
    status = _status_after(current["status"], decision)
    codes = _read_codes([c for c, _ in concepts], "Parameters.parameter") if concepts else None
    return Verdict(decision, status, (person,), codes, conclusion, comment)


_PARAMETERS = {
    "decision": ("valueCode", "valueString"),
    "interpreter": ("valueReference",),
    "conclusion": ("valueString", "valueMarkdown"),
    "conclusionCode": ("valueCodeableConcept",),
    "comment": ("valueString", "valueMarkdown"),
}


def _given(document: Resource) -> dict[str, list[tuple[Any, str]]]:
    """Map each parameter to its values with their places."""
    given: dict[str, list[tuple[Any, str]]] = {name: [] for name in _PARAMETERS}
    for index, parameter in enumerate(document.get("parameter", [])):
        place, name = f"Parameters.parameter[{index}]", parameter["name"]
        if name not in given:
            text = f"There is no parameter {name[:60]!r} here; there are {', '.join(_PARAMETERS)}."
            raise _refused("not-supported", text, place)
        [value] = [parameter[kind] for kind in _PARAMETERS[name] if kind in parameter] or [None]
        if value is None:
            raise _refused("value", f"The parameter {name} has a {_PARAMETERS[name][0]}.", place)
        if given[name] and name != "conclusionCode":
            raise _refused("structure", f"The parameter {name} stands twice; which one is meant is unclear.", place)
        given[name].append((value, place))
    for name in ("decision", "interpreter"):
        if not given[name]:
            raise _refused("required", f"There is no parameter {name}.", "Parameters.parameter")
    return given


def _forbidden_changes(current: Resource, sent: Resource) -> Iterator[Problem]:
    for name in sorted(current.keys() | sent.keys()):
        before, after = current.get(name), sent.get(name)
        if name == "meta":
            before, after = ({k: v for k, v in (m or {}).items() if k not in _SERVERS_META} for m in (before, after))
        if before == after or (name in _MAY_CHANGE and name != "meta"):
            continue
        # A client that knows no meta may leave it out: it is this server's.
        if name == "meta" and "meta" not in sent:
            continue
        text = f"{name} stays as it is. A person changes {', '.join(sorted(_MAY_CHANGE - {'meta'}))} alone."
        yield Problem("business-rule", text, f"DiagnosticReport.{name}")


def _check_status(before: str, after: str) -> None:
    """Refuse a status that cannot follow.

    Raises:
        UnprocessableError: It cannot.
    """
    where = "DiagnosticReport.status"
    if before == VOID:
        raise _refused("business-rule", "The report is void, and stays so. Send the ECG as a new Observation.", where)
    allowed = (*_NEXT[before], VOID)
    if after not in allowed:
        text = f"A report that is {before} becomes {' or '.join(allowed)} by a person, not {after}."
        raise _refused("business-rule", text, where)


def _status_after(before: str, decision: str) -> str:
    if decision == "reject":
        _check_status(before, VOID)
        return VOID
    if decision == "confirm" and before in CONFIRMED:
        text = "The report is confirmed already. To change it, decide edit; to void it, decide reject."
        raise _refused("business-rule", text, "DiagnosticReport.status")
    after = "amended" if before in CONFIRMED else "final"
    _check_status(before, after)
    return after


def _check_people(people: list[Resource], where: str, *, several: bool = True) -> None:
    """Refuse a report of which nobody answers for.

    Raises:
        UnprocessableError: It names nobody, or one who is no person.
    """
    if not people:
        raise _refused("required", "State who decided: a Practitioner or PractitionerRole.", where)
    for index, person in enumerate(people):
        place = f"{where}[{index}]" if several else where
        named = person.get("reference", "").split("/_history/")[0].rpartition("/")[0].rpartition("/")[2]
        kind = person.get("type") or named
        if kind and kind not in {"Practitioner", "PractitionerRole"}:
            raise _refused("value", f"A {kind[:64]} is no person. Send a Practitioner or PractitionerRole.", place)
        identified = person.get("identifier", {}).get("value") and person.get("display")
        if not named and not identified:
            text = "Name the person by a reference such as Practitioner/123, or by identifier and display."
            raise _refused("required", text, place)


def _read_codes(concepts: list[Resource], where: str) -> tuple[str, ...]:
    """Read statements, each once.

    Raises:
        UnprocessableError: A concept is none of our statements.
    """
    found: dict[str, None] = {}
    for index, concept in enumerate(concepts):
        code = coded_statement(concept)
        if code is None:
            text = (
                f"The concept is no statement. Code it by {STATEMENT_SYSTEM} alone, or by a SNOMED CT code that our "
                "ConceptMap calls equivalent, and write what has no such code into the conclusion."
            )
            place = f"{where}[{index}]" if where.endswith("conclusionCode") else where
            raise _refused("code-invalid", text, place)
        found[code] = None
    return tuple(found)


def _own_text(current: Resource, sent: Resource) -> Resource | None:
    """Find a narrative of the sender's own; None where it is absent, or the report's.

    Raises:
        UnprocessableError: It says that the report is unconfirmed.
    """
    text: Resource | None = sent.get("text")
    if text is None or _plain(text) == _plain(current.get("text", {})):
        return None
    if UNCONFIRMED.partition(" of ")[0] in _plain(text):
        problem = "The narrative still says that the reading is unconfirmed. Change it, or leave text out."
        raise _refused("business-rule", problem, "DiagnosticReport.text")
    return text


def _plain(text: Resource) -> str:
    return narrative_string(parse_narrative(text["div"])) if "div" in text else ""


def _own_issued(current: Resource, sent: Resource, moment: datetime) -> str | None:
    """Find a time of the sender's own.

    Raises:
        UnprocessableError: It lies in the future.
    """
    issued: str | None = sent.get("issued")
    if issued is None or issued == current.get("issued"):
        return None
    if date_range(issued)[0] > moment + _CLOCKS_DIFFER:
        raise _refused("value", "issued lies in the future. Leave it out.", "DiagnosticReport.issued")
    return issued


def _refused(code: IssueType, text: str, where: str) -> UnprocessableError:
    return UnprocessableError(Problem(code, text, where))
