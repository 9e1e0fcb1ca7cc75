"""Problems with a resource or request, and the OperationOutcome that tells them.

https://hl7.org/fhir/R4/operationoutcome.html
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

IssueType = Literal[
    "invalid", "structure", "required", "value", "invariant", "security", "login", "forbidden", "processing",
    "not-supported", "extension", "duplicate", "not-found", "deleted", "too-long", "code-invalid", "business-rule",
    "conflict", "too-costly", "transient", "throttled", "exception", "informational",
]  # fmt: skip
"""The codes of https://hl7.org/fhir/R4/valueset-issue-type.html in use here."""

Severity = Literal["fatal", "error", "warning", "information"]


@dataclass(frozen=True)
class Problem:
    """One issue: what is wrong, where, and how to mend it."""

    code: IssueType
    diagnostics: str
    expression: str | None = None
    """FHIRPath of the element at fault."""
    severity: Severity = "error"


class RefusedError(Exception):
    """What was sent cannot be taken; carries at least one Problem."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.diagnostics for problem in problems))
        self.problems = problems


class MalformedError(RefusedError):
    """The bytes are no resource of the named kind (HTTP 400)."""


class UnprocessableError(RefusedError):
    """A well-formed resource that breaks a rule of FHIR or of this service (HTTP 422)."""


def operation_outcome(problems: Iterable[Problem]) -> dict[str, Any]:
    """Build the OperationOutcome resource."""
    return {"resourceType": "OperationOutcome", "issue": [_issue(problem) for problem in problems]}


def _issue(problem: Problem) -> dict[str, Any]:
    issue: dict[str, Any] = {
        "severity": problem.severity,
        "code": problem.code,
        "diagnostics": problem.diagnostics,
    }
    if problem.expression:
        issue["expression"] = [problem.expression]
    return issue
