"""`db reindex`: let what older versions have stored be found by every search parameter, and each audit entry."""

from tqdm import tqdm

from fhir_ecg.settings import Settings
from fhir_ecg.store.engine import open_engine
from fhir_ecg.store.reindex import count_audit_index, outdated, reindex, reindex_audit


def reindex_all(settings: Settings) -> str:
    """Index what is left to be indexed; ended with Ctrl-C, the same command has only the rest to write."""
    engine = open_engine(settings.database_url)
    indexed = added = removed = 0
    try:
        with tqdm(total=outdated(engine), unit="resource", desc="Indexing") as bar:
            for done in reindex(engine):
                indexed += done
                bar.update(done)
        with tqdm(total=count_audit_index(engine), unit="row", desc="Audit index") as bar:
            for step in reindex_audit(engine):
                added += step.added
                removed += step.removed
                bar.update(step.seen)
    finally:
        engine.dispose()
    return (
        f"{indexed} resources were indexed; every resource is found by every search parameter now.\n"
        f"{added} rows that audit entries are found by were missing and written, {removed} wrong ones were removed."
    )


def reindex_hint(settings: Settings) -> str | None:
    """Say that resources are to be indexed; None where none is."""
    count = outdated(open_engine(settings.database_url))
    if not count:
        return None
    return (
        f"{count} resources are found by the search parameters of older versions alone: "
        "run `fhir-ecg db reindex` when no process of an older version runs any more."
    )
