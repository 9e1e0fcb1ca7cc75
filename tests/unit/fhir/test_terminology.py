"""That a SNOMED code is sent only where it is true of the statement."""

import csv
from importlib.resources import files

import pytest
from readings import statement

from fhir_ecg.ecg.statements import STATEMENT_BY_CODE, STATEMENT_CODES
from fhir_ecg.fhir.terminology import statement_concept

SNOMED = "http://snomed.info/sct"

with files("fhir_ecg.fhir").joinpath("snomed.csv").open(encoding="utf-8", newline="") as lines:
    MAP = {row["statement"]: row for row in csv.DictReader(lines)}


def test_the_map_names_statements_and_known_relationships() -> None:
    assert set(MAP) <= set(STATEMENT_CODES)
    assert {row["relationship"] for row in MAP.values()} == {"equivalent", "wider", "narrower", "inexact"}


@pytest.mark.parametrize("code", STATEMENT_CODES)
def test_a_snomed_code_is_sent_where_it_is_equivalent_or_wider_and_only_there(code: str) -> None:
    row = MAP.get(code)
    true = row is not None and row["relationship"] in {"equivalent", "wider"}
    sent = [row["snomed"]] if row and true else []
    display = STATEMENT_BY_CODE[code].display
    assert statement_concept(code) == statement(code, display, *sent)
    assert statement_concept(code, snomed=False) == statement(code, display)


@pytest.mark.parametrize("code", ["INJAL", "TRIGU", "BIGU", "PRC(S)", "SVARR"])
def test_codes_that_say_more_or_something_else_are_not_sent(code: str) -> None:
    assert code in MAP
    assert [coding["system"] for coding in statement_concept(code)["coding"]] != [SNOMED]
    assert len(statement_concept(code)["coding"]) == 1
