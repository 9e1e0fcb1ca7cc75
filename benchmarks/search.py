"""What reading and searching cost with few and with many reports stored, on SQLite and PostgreSQL.

    python benchmarks/search.py [--few 2000] [--many 200000] [--rounds 60] [--databases sqlite,postgresql]

Requests go through the whole application, with few and many in turns, so that what else the machine does falls on both.
Ends with 1 if reading, searching by patient or the first page by date takes more than 1.5 times as long with many.
"""  # noqa: INP001 -- a folder of scripts, no package

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from databases import empty_databases
from flask.testing import FlaskClient
from sqlalchemy import Engine, insert
from tqdm import tqdm

from fhir_ecg.api.app import create_app
from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.settings import Settings
from fhir_ecg.store.engine import WRITES
from fhir_ecg.store.migrations import upgrade
from fhir_ecg.store.search_index import INDEX_VERSION, index_rows
from fhir_ecg.store.tables import ResourceRow, ResourceVersionRow

LIMIT = 1.5
PROMISED = ("read", "by patient", "_sort=-date")
_BATCH = 2000
_FIRST, _DAYS = datetime(2016, 11, 22, tzinfo=UTC), 3650
_STATEMENTS = [f"S{number:02}" for number in range(70)]
_SCP = "http://fhir-ecg.org/fhir/CodeSystem/scp-ecg-statements"
_PATIENTS = 5  # reports of one patient, on average


def report(number: int, chance: random.Random) -> tuple[dict[str, Any], datetime]:
    """Build a report as the service writes it, without its long texts; returns when it was written."""
    taken = _FIRST + timedelta(seconds=chance.randrange(_DAYS * 86400))
    written = taken + timedelta(seconds=chance.randrange(60, 600))
    status = chance.choices(("partial", "final", "registered", "cancelled"), (70, 20, 5, 5))[0]
    found = chance.sample(_STATEMENTS, 2) + (["RARE"] if number % 1000 == 7 else [])
    instant = written.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "resourceType": "DiagnosticReport",
        "id": f"report-{number}",
        "meta": {
            "versionId": "1",
            "lastUpdated": instant,
            "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "AIAST"}],
        },
        "identifier": [
            {"use": "official", "system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{number}"},
            {"use": "secondary", "system": "http://hospital.example/ecg", "value": str(number)},
        ],
        "status": status,
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "EC"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "11524-6"}]},
        "subject": {"reference": f"Patient/{number // _PATIENTS}"},
        "effectiveDateTime": taken.isoformat(),
        "issued": instant,
        "result": [{"reference": f"Observation/ecg-{number}"}, {"reference": f"Observation/scores-{number}"}],
        "conclusion": "UNCONFIRMED MACHINE READING of a 12-lead ECG. " * 20,
        "conclusionCode": [{"coding": [{"system": _SCP, "code": code}]} for code in found],
    }, written


def fill(engine: Engine, count: int, name: str) -> None:
    """Store reports through the service's own index, many at a time."""
    chance = random.Random(0)
    with tqdm(total=count, desc=f"{name}: {count} reports", mininterval=1) as bar:
        for start in range(0, count, _BATCH):
            rows: dict[Any, list[dict[str, Any]]] = {ResourceRow: [], ResourceVersionRow: []}
            for number in range(start, min(start + _BATCH, count)):
                resource, moment = report(number, chance)
                key = {"type": resource["resourceType"], "id": resource["id"], "version": 1, "last_updated": moment}
                rows[ResourceRow].append(key | {"created": moment, "deleted": False, "index_version": INDEX_VERSION})
                rows[ResourceVersionRow].append(key | {"deleted": False, "content": serialise(resource)})
                for table, added in index_rows(resource).items():
                    rows.setdefault(table, []).extend(added)
            _insert(engine, {table: added for table, added in rows.items() if added})
            bar.update(min(_BATCH, count - start))
    if engine.dialect.name == "postgresql":  # what its autovacuum does after a while
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def _insert(engine: Engine, rows: dict[Any, list[dict[str, Any]]]) -> None:
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        for table, added in rows.items():
            if engine.dialect.name != "postgresql":
                connection.execute(insert(table), added)
                continue
            columns = list(added[0])
            cursor = connection.connection.cursor()
            statement = f"COPY {table.__tablename__} ({', '.join(columns)}) FROM STDIN"
            with cursor.copy(statement) as copy:  # type: ignore[attr-defined]
                for row in added:
                    copy.write_row([row[column] for column in columns])


class Stored:
    """An application with so many reports."""

    def __init__(self, url: str, folder: Path, count: int, name: str) -> None:
        settings = Settings(data_dir=folder, database_url=url)
        application = bootstrap(settings)
        upgrade(application.store.engine)
        fill(application.store.engine, count, name)
        self.count = count
        self.client: FlaskClient = create_app(application, settings).test_client()

    def get(self, path: str) -> Any:
        """Ask for something that must be there."""
        answer = self.client.get(f"/fhir/{path}")
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.get_data(as_text=True)[:500]}")
        return answer.json

    def next_of(self, path: str) -> str:
        """Give the path of the page after one."""
        links = {link["relation"]: link["url"] for link in self.get(path)["link"]}
        return str(links["next"]).partition("/fhir/")[2]


def paths(stored: Stored) -> dict[str, Callable[[random.Random], str]]:
    """What is asked for: each time for another patient, ECG or day."""

    def any_report(chance: random.Random) -> int:
        return chance.randrange(stored.count)

    def day(chance: random.Random) -> str:
        return f"{_FIRST + timedelta(days=chance.randrange(_DAYS)):%Y-%m-%d}"

    late = stored.next_of("DiagnosticReport?_sort=-date")
    second = stored.next_of("DiagnosticReport")
    kind = "DiagnosticReport"
    return {
        "read": lambda c: f"{kind}/report-{any_report(c)}",
        "vread": lambda c: f"{kind}/report-{any_report(c)}/_history/1",
        "by patient": lambda c: f"{kind}?patient=Patient/{any_report(c) // _PATIENTS}",
        "by patient, _sort=-date": lambda c: f"{kind}?patient={any_report(c) // _PATIENTS}&_sort=-date",
        "by identifier": lambda c: f"{kind}?identifier=http://hospital.example/ecg|{any_report(c)}",
        "result=Observation/x": lambda c: f"{kind}?result=Observation/ecg-{any_report(c)}",
        "no criterion": lambda _: kind,
        "no criterion, page 2": lambda _: second,
        "_sort=-date": lambda _: f"{kind}?_sort=-date",
        "_sort=-date, page 2": lambda _: late,
        "date=ge (last year), _sort=-date": lambda _: f"{kind}?date=ge2025-11-22&_sort=-date",
        "date=ge (last year)": lambda _: f"{kind}?date=ge2025-11-22",
        "date=le (first year)": lambda _: f"{kind}?date=le2017-11-22&_sort=-date",
        "date= (a day)": lambda c: f"{kind}?date={day(c)}",
        "status=partial, _sort=-date": lambda _: f"{kind}?status=partial&_sort=-date",
        "conclusion= (one in 1000)": lambda _: f"{kind}?conclusion=RARE",
        "conclusion=, status=, _sort=date": lambda _: f"{kind}?conclusion=S07&status=partial&_sort=date",
    }


def compare(few: Stored, many: Stored, rounds: int) -> dict[str, tuple[float, float]]:
    """Median milliseconds of each request, with few and with many."""
    asked = [(stored, paths(stored)) for stored in (few, many)]
    medians = {}
    for name in tqdm(asked[0][1], desc="requests"):
        times: list[list[float]] = [[], []]
        chance = random.Random(1)
        for number in range(rounds + 5):
            for (stored, ways), taken in zip(asked, times, strict=True):
                path = ways[name](chance)
                start = time.perf_counter()
                stored.get(path)
                if number >= 5:  # the first ones fill caches
                    taken.append((time.perf_counter() - start) * 1000)
        medians[name] = (statistics.median(times[0]), statistics.median(times[1]))
    return medians


def show(database: str, medians: dict[str, tuple[float, float]], few: int, many: int) -> bool:
    """Print a table; returns whether what is promised is kept."""
    print(f"\n{database}: median ms of a request\n{'':34}{few:>10,}{many:>10,}{'ratio':>8}")
    for name, (first, second) in medians.items():
        mark = " promised" if name in PROMISED else ""
        print(f"{name:34}{first:10.2f}{second:10.2f}{second / first:8.2f}{mark}")
    return all(medians[name][1] <= LIMIT * medians[name][0] for name in PROMISED)


def main() -> int:
    """Measure; the exit status tells whether the promise is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=2000)
    parser.add_argument("--many", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--databases", default="sqlite,postgresql")
    arguments = parser.parse_args()
    kept = True
    for database in arguments.databases.split(","):
        with empty_databases(database, "few", "many") as (folder, [few_url, many_url]):
            few = Stored(few_url, folder, arguments.few, database)
            many = Stored(many_url, folder, arguments.many, database)
            medians = compare(few, many, arguments.rounds)
            kept = show(database, medians, arguments.few, arguments.many) and kept
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
