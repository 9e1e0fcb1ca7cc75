"""The 31 source attributes of predictive decision support, each where the model card answers it.

https://www.ecfr.gov/current/title-45/section-170.315 (b)(11)(iv)(B)
"""

import json
import re
import tomllib
from importlib.resources import files

import pytest
from locations import REPOSITORY

ATTRIBUTES = {
    "(1)(i)": "Developer",
    "(1)(ii)": "Funding of the implementation",
    "(1)(iii)": "Output",
    "(1)(iv)": "Kind of output",
    "(2)(i)": "Intended use",
    "(2)(ii)": "Intended patients",
    "(2)(iii)": "Intended users",
    "(2)(iv)": "Role in decisions",
    "(3)(i)": "Cautioned out-of-scope use",
    "(3)(ii)": "Known risks and limitations",
    "(4)(i)": "Inclusion and exclusion in training",
    "(4)(ii)": "Demographic, social and health variables as input",
    "(4)(iii)": "Demographic representativeness of the training data",
    "(4)(iv)": "Relevance of the training data to the place of use",
    "(5)(i)": "Approach to fairness in development",
    "(5)(ii)": "Management of bias",
    "(6)(i)": "External validation: data",
    "(6)(ii)": "External validation: party",
    "(6)(iii)": "External validation: representativeness",
    "(6)(iv)": "External validation: process",
    "(7)(i)": "Validity in data of the same source",
    "(7)(ii)": "Fairness in data of the same source",
    "(7)(iii)": "Validity in external data",
    "(7)(iv)": "Fairness in external data",
    "(7)(v)": "Evaluation of outcomes",
    "(8)(i)": "Monitoring of validity",
    "(8)(ii)": "Validity in local data",
    "(8)(iii)": "Monitoring of fairness",
    "(8)(iv)": "Fairness in local data",
    "(9)(i)": "Updates",
    "(9)(ii)": "Correction",
}
CARD = (REPOSITORY / "docs" / "model-card.md").read_text(encoding="utf-8")


def test_there_are_31_and_no_other() -> None:
    assert len(ATTRIBUTES) == 31
    text = tomllib.loads(files("fhir_ecg.classifier.training").joinpath("card_text.toml").read_text(encoding="utf-8"))
    data = json.loads((REPOSITORY / "docs" / "model-card.json").read_text(encoding="utf-8"))
    assert set(text["source_attributes"]) == set(data["source_attributes"]) == set(ATTRIBUTES.values())


@pytest.mark.parametrize("paragraph", ATTRIBUTES)
def test_each_is_answered_and_where_it_points_to_there_is_something(paragraph: str) -> None:
    _, _, table = CARD.partition("## Source attributes\n")
    [answer] = re.findall(rf"^\| {re.escape(ATTRIBUTES[paragraph])} \| (.+) \|$", table, re.MULTILINE)
    headings = {
        re.sub(r"[^a-z -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^## (.+)$", CARD, re.MULTILINE)
    }
    assert set(re.findall(r"\(#([^)]+)\)", answer)) <= headings
