"""No report makes two statements that exclude each other; what is withheld says by which rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_ecg.ecg.contradictions import EXCLUSIONS, NORMAL, RULES, apply_rules
from fhir_ecg.ecg.prediction import Answer, StatementScore
from fhir_ecg.ecg.statements import STATEMENT_BY_CODE, STATEMENT_CODES


def scores(**probabilities: float) -> tuple[StatementScore, ...]:
    return tuple(StatementScore(code, 0.0, probability, 0.5) for code, probability in probabilities.items())


def present(found: tuple[StatementScore, ...]) -> list[str]:
    return [score.code for score in found if score.present]


@pytest.mark.parametrize(
    ("probabilities", "remaining", "rules"),
    [
        ({"NORM": 0.99, "IMI": 0.51}, ["IMI"], {"NORM": "normal-is-not-abnormal"}),
        ({"NORM": 0.99, "IMI": 0.49}, ["NORM"], {}),
        ({"NORM": 0.9, "PVC": 0.9, "IRBBB": 0.9, "1AVB": 0.6, "SR": 0.9}, ["NORM", "PVC", "IRBBB", "1AVB", "SR"], {}),
        ({"SR": 0.9, "AFIB": 0.8}, ["SR"], {"AFIB": "one-rhythm"}),
        ({"SR": 0.8, "AFIB": 0.9}, ["AFIB"], {"SR": "one-rhythm"}),
        ({"AFIB": 0.9, "AFLT": 0.8}, ["AFIB", "AFLT"], {}),
        ({"STACH": 0.8, "SBRAD": 0.7, "SARRH": 0.6}, ["STACH"], {"SBRAD": "one-rhythm", "SARRH": "one-rhythm"}),
        ({"1AVB": 0.9, "3AVB": 0.8}, ["1AVB"], {"3AVB": "one-av-conduction"}),
        ({"CLBBB": 0.9, "CRBBB": 0.8, "LAFB": 0.7}, ["CLBBB"],
         {"CRBBB": "one-bundle-branch-block", "LAFB": "one-bundle-branch-block"}),
        ({"CRBBB": 0.9, "LAFB": 0.8}, ["CRBBB", "LAFB"], {}),
        ({"LVOLT": 0.6, "LVH": 0.7}, ["LVH"], {"LVOLT": "one-voltage"}),
        ({"PACE": 0.9, "IMI": 0.8, "LVH": 0.7, "PVC": 0.6}, ["PACE"],
         dict.fromkeys(("IMI", "LVH", "PVC"), "paced-rhythm")),
        # AFIB is withheld first, so that NORM stays.
        ({"NORM": 0.9, "SR": 0.9, "AFIB": 0.6}, ["NORM", "SR"], {"AFIB": "one-rhythm"}),
    ],
)  # fmt: skip
def test_what_excludes_each_other(probabilities: dict[str, float], remaining: list[str], rules: dict[str, str]) -> None:
    found = apply_rules(scores(**probabilities))

    assert present(found) == remaining
    assert {score.code: score.rule for score in found if score.rule} == rules
    assert all(score.answer is Answer.INDETERMINATE for score in found if score.rule)


def test_the_surer_one_is_told_by_its_own_threshold() -> None:
    rare = StatementScore("AFIB", 0.0, 0.3, 0.1)
    common = StatementScore("SR", 0.0, 0.55, 0.5)
    assert present(apply_rules([common, rare])) == ["AFIB"]


def test_pacing_spikes_in_the_signal_gate_forms_but_no_rhythms() -> None:
    said = scores(SR=0.9, IMI=0.9, NDT=0.9, NORM=0.9)
    assert present(apply_rules(said, {"pacing-spikes"})) == ["SR"]
    assert present(apply_rules(said, {"baseline-wander"})) == ["SR", "IMI", "NDT"]


everything = st.tuples(*(st.sampled_from([0.0, 0.4, 0.5, 0.7, 0.9, 1.0]) for _ in STATEMENT_CODES))


@given(everything)
def test_no_report_contradicts_itself_and_a_rule_never_asserts(probabilities: tuple[float, ...]) -> None:
    before = scores(**dict(zip(STATEMENT_CODES, probabilities, strict=True)))
    after = apply_rules(before)

    asserted = set(present(after))
    assert asserted <= set(present(before))
    assert not [pair for rule in (*EXCLUSIONS, NORMAL) for pair in rule.pairs if pair <= asserted]
    assert [(s.code, s.probability, s.logit) for s in after] == [(s.code, s.probability, s.logit) for s in before]
    assert apply_rules(after) == after
    withheld = {score.code for score in after if score.rule}
    assert bool(asserted) or not present(before)
    assert withheld | asserted == set(present(before))


def test_every_rule_is_of_known_statements_and_has_a_text() -> None:
    assert {code for rule in RULES.values() for pair in rule.pairs for code in pair} <= set(STATEMENT_BY_CODE)
    assert all(rule.text and len(pair) == 2 for rule in RULES.values() for pair in rule.pairs)
