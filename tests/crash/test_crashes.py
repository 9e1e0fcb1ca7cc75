"""Short crashes; the long ones are commands of tests/crash/run.py."""

import sys
from collections.abc import Iterator
from itertools import islice

import pytest
from flush import flush
from kills import ATTEMPTS, Campaign, Tally
from poison import poison
from service import Service
from steps import KINDS, Case, Kind, Step, Victim, cases, matrix

SEED = 5

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="limits and kills processes as Linux does"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module", params=KINDS)
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with Service(request.param, workers=2, supervised=frozenset({1}), maximum_attempts=ATTEMPTS) as running:
        yield running
        assert running.end() == [], "did not end within 30 s of SIGTERM"


def few(kind: Kind) -> list[Case]:
    """Draw cases until each victim and each step was there."""
    left: set[Victim | Step] = {part for cell in matrix(kind) for part in cell}
    chosen = []
    for case in islice(cases(kind, SEED), len(matrix(kind))):
        if {case.victim, case.step} & left:
            chosen.append(case)
            left -= {case.victim, case.step}
    assert not left
    return chosen


def test_nothing_is_lost_and_nothing_is_twice(service: Service) -> None:
    tally = Tally()
    chosen = few(service.kind)
    campaign = Campaign(service, tally, lambda _: None)
    try:
        campaign.round(chosen)
    finally:
        campaign.close()

    assert tally.violations == []
    assert tally.kills == sum(map(service.can_do, chosen))


def test_lost_wake_ups_are_found_again(service: Service) -> None:
    assert flush(service, 20, "flush") == []


def test_a_deadly_ecg_is_given_up_while_others_pass_it_by() -> None:
    with Service("files", workers=2) as service:
        assert poison(service, 20, "poison") == []
