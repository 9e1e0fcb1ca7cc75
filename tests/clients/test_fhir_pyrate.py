"""fhir-pyrate, which makes tables of what research asks for."""

import warnings

import pytest
from e2e.deployed_service import Deployment

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fhir_pyrate import Pirate

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:We detected multiple pages")


@pytest.mark.parametrize("order", [{}, {"_sort": "-date"}], ids=["its own order", "by date"])
def test_reports_become_a_table(service: Deployment, patient_of_five: str, order: dict[str, str]) -> None:
    with Pirate(service.base, auth=None) as pirate:
        table = pirate.steal_bundles_to_dataframe(
            "DiagnosticReport",
            {"subject": patient_of_five, "_count": 2, **order},
            fhir_paths=["id", "status", ("code", "conclusionCode.coding.code")],
        )

    assert len(set(table["id"])) == len(table) == 5
    assert set(table["status"]) == {"partial"}
    assert all("NORM" in codes or "SR" in codes for codes in table["code"])


def test_patients_become_rows(service: Deployment, patient_of_five: str) -> None:
    import pandas as pd

    with Pirate(service.base, auth=None) as pirate:
        table = pirate.trade_rows_for_dataframe(
            pd.DataFrame({"patient": [patient_of_five]}),
            "DiagnosticReport",
            df_constraints={"subject": "patient"},
            request_params={"_count": 2, "_sort": "date"},
            fhir_paths=["id", "status"],
        )

    assert len(set(table["id"])) == 5
