"""Taking rows into the chain that no entry holds, since a process of an older version wrote them after the upgrade.

That a row was written by such a process, and not by an intruder, nobody can compute: an operator answers for it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fhir_ecg.service.application import Application, now
from fhir_ecg.store.adoption import ADOPT
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.verification.finding import Finding

_INDEX = "audit_reference"


class NotAdoptableError(Exception):
    """Not all that verification found is a row that can be adopted; its text says what to do."""


@dataclass(frozen=True)
class Unheld:
    """Rows that no audit entry holds."""

    names: tuple[tuple[str, str], ...]
    """For each the table, and what the chain calls it."""
    digests: dict[str, str]
    """By what the chain calls it."""

    @property
    def counts(self) -> dict[str, int]:
        """How many rows there are of each table."""
        return dict(Counter(table for table, _ in self.names))


def unheld_rows(application: Application, findings: Sequence[Finding]) -> Unheld:
    """Choose what can be adopted, if that is all that was found.

    Raises:
        NotAdoptableError: Something else was found: then nothing is.
    """
    names = tuple((finding.table, finding.key) for finding in findings if finding.what == "inserted")
    with application.store.transaction(writes=False) as work:
        found = work.adoption.digests(names)
    digests = {name: digest for name, digest in found.items() if digest is not None}
    others = [each for each in findings if each.what != "inserted" or each.key not in digests]
    if others:
        raise NotAdoptableError(_refusal(others, len(findings)))
    return Unheld(names, digests)


def _refusal(findings: Sequence[Finding], among: int) -> str:
    first = findings[0]
    text = (
        f"nothing was adopted: {len(findings)} of {among} findings are no row that an older process can have added, "
        f"such as {first.table} {first.key}. Keep the database as it is, and find out what happened: see docs/audit.md."
    )
    if any(finding.what == "outdated" or finding.table == _INDEX for finding in findings):
        text += " An older process writes no index of its audit entries: run `fhir-ecg db reindex` first."
    return text


def adopt(application: Application, unheld: Unheld, operator: str, reason: str) -> None:
    """Let an audit entry of its own hold these rows, as they were when they were named.

    Raises:
        NotAdoptableError: One of them has changed since, or is gone.
    """
    detail = {"operator": operator, "reason": reason, "rows": len(unheld.digests), "tables": unheld.counts}
    with application.store.transaction() as work:
        if work.adoption.digests(unheld.names) != unheld.digests:
            raise NotAdoptableError("nothing was adopted: a row has changed since it was named; run the command again")
        work.audit.add(AuditEntry(ADOPT, detail=detail), now(), unheld.digests)
