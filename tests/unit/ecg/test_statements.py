"""The table of the 71 statements."""

from collections import Counter

from fhir_ecg.ecg.statements import STATEMENT_BY_CODE, STATEMENT_CODES, STATEMENTS, Statement


def test_there_are_71_in_alphabetical_order_without_repetition() -> None:
    assert len(STATEMENT_CODES) == 71
    assert list(STATEMENT_CODES) == sorted(set(STATEMENT_CODES))
    assert STATEMENT_CODES[:3] == ("1AVB", "2AVB", "3AVB")
    assert STATEMENT_CODES[-1] == "WPW"


def test_kinds_and_classes_are_those_of_ptbxl() -> None:
    """PTB-XL counts 44 diagnostic, 19 form and 12 rhythm statements; 4 are both diagnostic and form."""
    kinds = Counter(part for statement in STATEMENTS for part in statement.kind.split("+"))
    assert kinds == {"diagnostic": 44, "form": 19, "rhythm": 12}
    classes = Counter(statement.diagnostic_class for statement in STATEMENTS if "diagnostic" in statement.kind)
    assert classes == {"NORM": 1, "CD": 11, "HYP": 5, "MI": 14, "STTC": 13}
    assert {s.diagnostic_class for s in STATEMENTS if "diagnostic" not in s.kind} == {""}


def test_every_statement_has_a_display_and_is_found_by_its_code() -> None:
    assert all(statement.display.strip() == statement.display != "" for statement in STATEMENTS)
    assert [STATEMENT_BY_CODE[code] for code in STATEMENT_CODES] == list(STATEMENTS)
    assert STATEMENT_BY_CODE["AFIB"] == Statement("AFIB", "atrial fibrillation", "rhythm", "")
