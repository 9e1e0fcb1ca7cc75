"""The figures of agreement, against values from the literature and by resampling."""

from math import isnan

import numpy as np
import pytest

from fhir_ecg.ecg.statements import STATEMENT_CODES
from fhir_ecg.service.agreement import Table, Tally


def test_kappa_is_that_of_a_published_table() -> None:
    """Of 50 proposals two reviewers accept 20 alike and refuse 15 alike (the textbook example of Cohen's kappa)."""
    table = Table(both=20, model_only=5, reader_only=10, neither=15)
    assert table.kappa == pytest.approx(0.4)
    assert table.positive_agreement == pytest.approx(40 / 55)
    assert table.confirmed == pytest.approx(0.8)
    low, high = table.confirmed_interval or (0, 0)
    # https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval, solved for 20 of 25.
    assert (low, high) == (pytest.approx(0.6087, abs=1e-4), pytest.approx(0.9114, abs=1e-4))


@pytest.mark.parametrize("counts", [(20, 5, 10, 15), (60, 20, 5, 400), (5, 30, 2, 300)])
def test_the_interval_of_kappa_is_that_of_resampled_tables(counts: tuple[int, int, int, int]) -> None:
    low, high = Table(*counts).kappa_interval or (0, 0)
    drawn = np.random.default_rng(7).multinomial(sum(counts), np.array(counts) / sum(counts), size=4000)
    kappas = np.array([Table(*map(int, row)).kappa or np.nan for row in drawn])
    spread = float(np.nanstd(kappas))
    assert not isnan(spread)
    assert (high - low) / (2 * 1.959964) == pytest.approx(spread, rel=0.08)


def test_where_nothing_varies_there_is_no_kappa() -> None:
    for table in (Table(0, 0, 0, 0), Table(0, 0, 0, 9), Table(9, 0, 0, 0)):
        assert (table.kappa, table.kappa_interval) == (None, None)
    assert Table(0, 0, 0, 9).positive_agreement is None
    assert (Table(0, 0, 3, 9).confirmed, Table(0, 0, 3, 9).confirmed_interval) == (None, None)
    assert Table(4, 0, 0, 4).kappa == 1
    assert Table(0, 4, 4, 0).kappa == -1


def test_a_tally_counts_each_statement_and_leaves_out_what_was_rejected() -> None:
    tally = Tally()
    tally.add("confirm", {"AFIB", "LVH"}, {"AFIB", "LVH"})
    tally.add("edit", {"AFIB"}, {"NORM"})
    tally.add("reject", {"AFIB"}, set())
    assert tally.table("AFIB") == Table(1, 1, 0, 0)
    assert tally.table("NORM") == Table(0, 0, 1, 1)
    assert tally.table("CLBBB") == Table(0, 0, 0, 2)
    assert tally.pooled() == Table(2, 1, 1, 2 * len(STATEMENT_CODES) - 4)
    assert (tally.rate("edit"), tally.rate("reject"), Tally().rate("edit")) == (1 / 3, 1 / 3, None)
