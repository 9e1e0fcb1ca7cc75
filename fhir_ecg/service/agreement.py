"""How far the model and those who read its reports agree, statement by statement and month by month."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from math import sqrt

from scipy.stats import binomtest, norm

from fhir_ecg.ecg.statements import STATEMENT_CODES
from fhir_ecg.fhir.confirmation import codes_of
from fhir_ecg.service.application import Application, now
from fhir_ecg.store.audit import AuditEntry

Interval = tuple[float, float]
_LEVEL = 0.95


@dataclass(frozen=True)
class Table:
    """The four fields of one statement, over reports that a person confirmed."""

    both: int
    model_only: int
    reader_only: int
    neither: int

    @property
    def total(self) -> int:
        """Of how many reports."""
        return self.both + self.model_only + self.reader_only + self.neither

    @property
    def positive_agreement(self) -> float | None:
        """2a / (2a + b + c); None where neither ever found it."""
        found = 2 * self.both + self.model_only + self.reader_only
        return 2 * self.both / found if found else None

    @property
    def confirmed(self) -> float | None:
        """The share of the model's findings that the readers kept; None where it had none."""
        found = self.both + self.model_only
        return self.both / found if found else None

    @property
    def confirmed_interval(self) -> Interval | None:
        """Wilson's interval of that share, at 95 %."""
        found = self.both + self.model_only
        if not found:
            return None
        interval = binomtest(self.both, found).proportion_ci(_LEVEL, method="wilson")
        return float(interval.low), float(interval.high)

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa; None where chance alone explains all, as where neither ever found it."""
        by_chance = self._by_chance
        return (self._observed - by_chance) / (1 - by_chance) if self.total and by_chance < 1 else None

    @property
    def kappa_interval(self) -> Interval | None:
        """Its interval at 95 %, by the large-sample variance of Fleiss, Cohen and Everitt (1969)."""
        kappa = self.kappa
        if kappa is None:
            return None
        n, by_chance = self.total, self._by_chance
        model, reader = self._rates
        a, b, c, d = (count / n for count in (self.both, self.model_only, self.reader_only, self.neither))
        same = a * (1 - (model + reader) * (1 - kappa)) ** 2 + d * (1 - (2 - model - reader) * (1 - kappa)) ** 2
        # Of a pair that differs: the model's rate of the reader's answer, and the reader's of the model's.
        other = (1 - kappa) ** 2 * (b * (reader + 1 - model) ** 2 + c * (model + 1 - reader) ** 2)
        variance = (same + other - (kappa - by_chance * (1 - kappa)) ** 2) / (n * (1 - by_chance) ** 2)
        reach = float(norm.ppf((1 + _LEVEL) / 2)) * sqrt(max(0.0, variance))
        return max(-1.0, kappa - reach), min(1.0, kappa + reach)

    @property
    def _observed(self) -> float:
        return (self.both + self.neither) / self.total if self.total else 1.0

    @property
    def _rates(self) -> tuple[float, float]:
        return (self.both + self.model_only) / self.total, (self.both + self.reader_only) / self.total

    @property
    def _by_chance(self) -> float:
        if not self.total:
            return 1.0
        model, reader = self._rates
        return model * reader + (1 - model) * (1 - reader)


@dataclass
class Tally:
    """What was counted over some reports."""

    decisions: Counter[str] = field(default_factory=Counter)
    """How many were confirmed as they were, edited, rejected."""
    both: Counter[str] = field(default_factory=Counter)
    model_only: Counter[str] = field(default_factory=Counter)
    reader_only: Counter[str] = field(default_factory=Counter)

    def add(self, decision: str, by_model: set[str], by_reader: set[str]) -> None:
        """Count one report; of one that was rejected no statement."""
        self.decisions[decision] += 1
        if decision != "reject":
            self.both.update(by_model & by_reader)
            self.model_only.update(by_model - by_reader)
            self.reader_only.update(by_reader - by_model)

    @property
    def confirmed(self) -> int:
        """How many a person made final."""
        return self.decisions["confirm"] + self.decisions["edit"]

    def rate(self, decision: str) -> float | None:
        """Tell the share of one decision; None where there was none."""
        total = self.decisions.total()
        return self.decisions[decision] / total if total else None

    def table(self, code: str) -> Table:
        """Give the four fields of a statement."""
        counts = (self.both[code], self.model_only[code], self.reader_only[code])
        return Table(*counts, self.confirmed - sum(counts))

    def pooled(self) -> Table:
        """Give the four fields of all statements together."""
        counts = (self.both.total(), self.model_only.total(), self.reader_only.total())
        return Table(*counts, self.confirmed * len(STATEMENT_CODES) - sum(counts))


@dataclass
class Agreement:
    """The figures of a time."""

    all: Tally = field(default_factory=Tally)
    months: dict[str, Tally] = field(default_factory=dict)
    """By the month in which the model read, such as 2026-11."""


def agreement(
    application: Application,
    since: datetime | None,
    until: datetime | None,
    begin: Callable[[int], Callable[[int], object]],
) -> Agreement:
    """Compare the model's version of each report with what a person last decided about it.

    Args:
        application: The parts of the service.
        since: Only what the model read from then on.
        until: Only what it read before.
        begin: Is told how many there are, and gives what is told how many more are done.
    """
    found = Agreement()
    with application.store.transaction(writes=False) as work:
        advance = begin(work.confirmations.count(since, until))
        for confirmation in work.confirmations.last_of_each_report(since, until):
            by_model, by_reader = (set(codes_of(r)) for r in (confirmation.by_machine, confirmation.by_person))
            month = found.months.setdefault(f"{confirmation.read_at:%Y-%m}", Tally())
            for tally in (found.all, month):
                tally.add(confirmation.decision, by_model, by_reader)
            advance(1)
    detail = {name: moment.isoformat() for name, moment in (("since", since), ("until", until)) if moment}
    with application.store.transaction() as work:
        work.audit.add(AuditEntry("agreement", detail=detail | {"reports": found.all.decisions.total()}), now())
    return found
