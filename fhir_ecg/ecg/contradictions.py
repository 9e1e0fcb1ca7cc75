"""Statements that one report must not make together, and which of them is then withheld.

A rule only withholds: what it acts on becomes indeterminate, and the report names it. The pairs are medicine's; that
they hold in PTB-XL too was counted on folds 1-8 (for instance: NORM beside IMI once in 2,143, CLBBB beside CRBBB
never). Pairs that cardiologists did write together are left alone, such as NORM beside PVC, IRBBB, IVCD or 1AVB.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import log

from fhir_ecg.ecg.prediction import StatementScore
from fhir_ecg.ecg.statements import STATEMENT_BY_CODE, STATEMENTS

PACING_SPIKES = "pacing-spikes"

_SINUS = ("SR", "STACH", "SBRAD", "SARRH")
_OTHER_RHYTHMS = ("AFIB", "AFLT", "SVTAC", "PSVT", "PACE")
_ABNORMAL_CONDUCTION = ("2AVB", "3AVB", "CLBBB", "CRBBB", "ILBBB", "LAFB", "LPFB", "WPW")
_ABNORMAL = {
    *(s.code for s in STATEMENTS if s.diagnostic_class in {"MI", "HYP", "STTC"}),
    *_ABNORMAL_CONDUCTION,
    *_OTHER_RHYTHMS,
}


@dataclass(frozen=True)
class Rule:
    """A contradiction between statements."""

    name: str
    text: str
    """For the report's reader."""
    pairs: frozenset[frozenset[str]]
    """Two codes each that exclude each other: the one that is less sure is withheld."""


def _among(*codes: str) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in combinations(codes, 2)}


def _between(ones: Collection[str], others: Collection[str]) -> set[frozenset[str]]:
    return {frozenset((one, other)) for one in ones for other in others}


EXCLUSIONS = (
    Rule(
        "one-rhythm",
        "the heart has one leading rhythm",
        frozenset(_among(*_SINUS) | _between(_SINUS, _OTHER_RHYTHMS)),
    ),
    Rule(
        "one-av-conduction",
        "degrees of AV block exclude each other, and without P waves no PR interval is long",
        frozenset(_among("1AVB", "2AVB", "3AVB") | _between(("1AVB", "LPR"), ("AFIB", "AFLT"))),
    ),
    Rule(
        "one-bundle-branch-block",
        "these conduction disturbances exclude each other",
        frozenset(
            _among("CLBBB", "ILBBB", "CRBBB", "IRBBB")
            | _among("LAFB", "LPFB")
            | _between(("CLBBB",), ("LAFB", "LPFB", "WPW"))
        ),
    ),
    Rule(
        "one-voltage",
        "low voltage excludes high voltage",
        frozenset(_between(("LVOLT",), ("HVOLT", "LVH", "VCLVH"))),
    ),
)
NORMAL = Rule(
    "normal-is-not-abnormal",
    "a normal ECG shows none of the other findings",
    frozenset(_between(("NORM",), _ABNORMAL)),
)
PACED = Rule("paced-rhythm", "in a paced rhythm the form of the beats says nothing", frozenset())
RULES = {rule.name: rule for rule in (*EXCLUSIONS, NORMAL, PACED)}


def apply_rules(scores: Sequence[StatementScore], warnings: Collection[str] = ()) -> tuple[StatementScore, ...]:
    """Withhold statements that contradict others, or that a signal like this cannot show.

    Args:
        scores: The model's answers.
        warnings: Codes of the signal's quality findings.

    Returns:
        The same scores; those that are withheld name the rule. No two that a rule excludes are present.
    """
    by_code = {score.code: score for score in scores}
    for rule in EXCLUSIONS:
        _withhold_weaker(by_code, rule)
    if PACING_SPIKES in warnings or _is_present(by_code, "PACE"):
        _withhold_forms(by_code)
    # NORM gives way whatever its probability: to call an abnormal ECG normal is the worse mistake.
    if any(_is_present(by_code, code) for code in _ABNORMAL):
        _withhold(by_code, "NORM", NORMAL)
    return tuple(by_code[score.code] for score in scores)


def _withhold_weaker(by_code: dict[str, StatementScore], rule: Rule) -> None:
    involved = {code for pair in rule.pairs for code in pair}
    strongest_first = sorted((c for c in involved if _is_present(by_code, c)), key=lambda c: (-_margin(by_code[c]), c))
    kept: list[str] = []
    for code in strongest_first:
        if any(frozenset((code, other)) in rule.pairs for other in kept):
            _withhold(by_code, code, rule)
        else:
            kept.append(code)


def _withhold_forms(by_code: dict[str, StatementScore]) -> None:
    for code in by_code:
        if STATEMENT_BY_CODE[code].kind != "rhythm":
            _withhold(by_code, code, PACED)


def _withhold(by_code: dict[str, StatementScore], code: str, rule: Rule) -> None:
    if _is_present(by_code, code):
        by_code[code] = replace(by_code[code], rule=rule.name)


def _is_present(by_code: dict[str, StatementScore], code: str) -> bool:
    return code in by_code and by_code[code].present


def _margin(score: StatementScore) -> float:
    """By how much the log-odds exceed the threshold's, so that statements of unlike thresholds compare."""
    return _log_odds(score.probability) - _log_odds(score.threshold)


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, 1e-12), 1 - 1e-12)
    return log(bounded / (1 - bounded))
