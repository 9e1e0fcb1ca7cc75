"""Jobs on a real database of each kind: one claim wins, leases end, finished is finished."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from fhir_ecg.service.application import Application, now
from fhir_ecg.store.jobs import Job

LEASE = timedelta(seconds=60)
SOON = timedelta(seconds=5)


@pytest.fixture
def job_id(application: Application) -> str:
    with application.store.transaction() as work:
        return work.jobs.add("o", "r", now(), wake_again=SOON)


def claim(application: Application, job_id: str, after: timedelta = timedelta()) -> Job | None:
    with application.store.transaction() as work:
        return work.jobs.claim(job_id, now() + after, lease=LEASE)


def due(application: Application, after: timedelta) -> list[str]:
    with application.store.transaction() as work:
        return work.jobs.take_due(now() + after, wake_again=SOON, limit=10)


def test_of_many_claims_at_once_one_wins(application: Application, job_id: str) -> None:
    with ThreadPoolExecutor(8) as workers:
        claims = list(workers.map(lambda _: claim(application, job_id), range(16)))

    assert [claimed.attempt for claimed in claims if claimed] == [1]


def test_a_lease_that_has_ended_can_be_taken_over_and_the_first_owner_finishes_nothing(
    application: Application, job_id: str
) -> None:
    first = claim(application, job_id)
    assert claim(application, job_id, LEASE / 2) is None
    second = claim(application, job_id, LEASE * 2)

    assert first is not None
    assert second is not None
    assert second.attempt == 2
    with application.store.transaction() as work:
        assert not work.jobs.finish(first, now())
        assert not work.jobs.release(first, now(), error="late")
        assert work.jobs.finish(second, now())
        assert not work.jobs.finish(second, now())
    assert claim(application, job_id, LEASE * 9) is None


def test_a_released_job_waits_for_its_time_and_is_claimed_again(application: Application, job_id: str) -> None:
    claimed = claim(application, job_id)
    assert claimed is not None
    with application.store.transaction() as work:
        assert work.jobs.release(claimed, now() + LEASE, error="no luck")

    assert due(application, LEASE / 2) == []
    assert due(application, LEASE * 2) == [job_id]
    again = claim(application, job_id)
    assert again is not None
    assert again.attempt == 2


def test_a_due_job_is_woken_once_in_a_while(application: Application, job_id: str) -> None:
    assert due(application, timedelta()) == []
    assert due(application, SOON * 2) == [job_id]
    assert due(application, SOON * 2) == []
    assert due(application, SOON * 4) == [job_id]


def test_sweepers_beside_each_other_wake_a_job_once(application: Application) -> None:
    with application.store.transaction() as work:
        ids = {work.jobs.add(f"o{i}", f"r{i}", now(), wake_again=SOON) for i in range(30)}
    with ThreadPoolExecutor(4) as sweepers:
        woken = [job for batch in sweepers.map(lambda _: due(application, SOON * 2), range(12)) for job in batch]

    assert sorted(woken) == sorted(ids)


def test_what_an_exception_interrupts_is_rolled_back(application: Application) -> None:
    def fail() -> None:
        with application.store.transaction() as work:
            work.jobs.add("o", "r", now(), wake_again=SOON)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with application.store.transaction(writes=False) as work:
        assert work.jobs.count_by_state() == {}
