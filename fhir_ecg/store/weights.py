"""The models that have read, kept by their digests."""

from contextlib import suppress
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fhir_ecg.ecg.prediction import ModelIdentity
from fhir_ecg.store.tables import WeightsRow


class WeightsArchive:
    """The weights that are kept, in one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def holds(self, sha256: str) -> bool:
        """Tell whether a model is kept; its bytes are not fetched."""
        return self._session.scalar(select(WeightsRow.sha256).where(WeightsRow.sha256 == sha256)) is not None

    def put_once(self, model: ModelIdentity, manifest_sha256: str, body: bytes, moment: datetime) -> bool:
        """Keep a model, unless it is kept; another process may do so just now, which the primary key decides."""
        if self.holds(model.weights_sha256):
            return False
        row = WeightsRow(
            sha256=model.weights_sha256,
            name=model.name,
            version=model.version,
            manifest_sha256=manifest_sha256,
            added_at=moment,
            body=body,
        )
        with suppress(IntegrityError), self._session.begin_nested():
            self._session.add(row)
            self._session.flush()
            return True
        return False

    def get(self, sha256: str) -> bytes | None:
        """Fetch a model's file; None where it is not kept."""
        return self._session.scalar(select(WeightsRow.body).where(WeightsRow.sha256 == sha256))
