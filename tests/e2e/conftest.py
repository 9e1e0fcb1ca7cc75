"""Deployments of both kinds, for every test of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from deployed_service import Deployment, as_composed, on_files


@pytest.fixture(params=["sqlite and files", "postgresql and redis"])
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    """A migrated deployment of each kind, nothing started."""
    if request.param == "sqlite and files":
        made = on_files(tmp_path)
    else:
        made = as_composed(
            tmp_path, request.getfixturevalue("postgres_database"), request.getfixturevalue("redis_database")
        )
    migration = made.run(["db", "upgrade"])
    assert migration.wait(60) == 0, made.logs()
    yield made
    made.stop()


@pytest.fixture
def service(deployment: Deployment) -> Deployment:
    """A deployment with its web process and two workers."""
    deployment.start_worker()
    deployment.start_worker()
    deployment.start_web()
    return deployment
