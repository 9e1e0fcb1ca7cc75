"""The tables of the search index; what they hold follows from the resources alone."""

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from fhir_ecg.fhir.search_index import INDEXED_LENGTH
from fhir_ecg.store.base import BY_CODE_POINT, COUNTER, Base


class TokenRow(Base):
    """A token, or URI, of a resource's current version."""

    __tablename__ = "search_token"
    __table_args__ = (
        # The id before the system, so that the index alone answers whether one resource has a code of any system.
        Index(None, "resource_type", "parameter", "code", "resource_id", "system"),
        Index(None, "resource_type", "resource_id", "parameter"),
    )

    key: Mapped[int] = mapped_column(COUNTER, primary_key=True)
    resource_type: Mapped[str] = mapped_column(String(32))
    resource_id: Mapped[str] = mapped_column(String(64))
    parameter: Mapped[str] = mapped_column(String(64))
    system: Mapped[str] = mapped_column(String(INDEXED_LENGTH))
    code: Mapped[str] = mapped_column(String(INDEXED_LENGTH))


class ReferenceRow(Base):
    """A reference of a resource's current version."""

    __tablename__ = "search_reference"
    __table_args__ = (
        Index(None, "resource_type", "parameter", "target", "resource_id"),
        Index(None, "resource_type", "resource_id", "parameter"),
    )

    key: Mapped[int] = mapped_column(COUNTER, primary_key=True)
    resource_type: Mapped[str] = mapped_column(String(32))
    resource_id: Mapped[str] = mapped_column(String(64))
    parameter: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(INDEXED_LENGTH))


class DateRow(Base):
    """A time, from low up to high, of a resource's current version."""

    __tablename__ = "search_date"
    __table_args__ = (
        Index(None, "resource_type", "parameter", "low", "high", "resource_id"),
        Index(None, "resource_type", "parameter", "high", "low", "resource_id"),
        Index(None, "resource_type", "resource_id", "parameter", "low", "high"),
    )

    key: Mapped[int] = mapped_column(COUNTER, primary_key=True)
    resource_type: Mapped[str] = mapped_column(String(32))
    resource_id: Mapped[str] = mapped_column(String(64))
    parameter: Mapped[str] = mapped_column(String(64))
    low: Mapped[datetime]
    high: Mapped[datetime]


class StringRow(Base):
    """A text of a resource's current version."""

    __tablename__ = "search_string"
    __table_args__ = (
        Index(None, "resource_type", "parameter", "folded", "resource_id"),
        Index(None, "resource_type", "resource_id", "parameter", "folded"),
    )

    key: Mapped[int] = mapped_column(COUNTER, primary_key=True)
    resource_type: Mapped[str] = mapped_column(String(32))
    resource_id: Mapped[str] = mapped_column(String(64))
    parameter: Mapped[str] = mapped_column(String(64))
    value: Mapped[str] = mapped_column(String(INDEXED_LENGTH))
    folded: Mapped[str] = mapped_column(BY_CODE_POINT)
    """What begins alike stands side by side."""


class SortRow(Base):
    """Where a resource stands in the order by a date parameter: every resource has a row for each of its type."""

    __tablename__ = "search_sort"
    __table_args__ = (Index(None, "resource_type", "parameter", "value", "resource_id"),)

    resource_type: Mapped[str] = mapped_column(String(32), primary_key=True)
    resource_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    parameter: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[datetime]
    """The date's low end; the earliest moment where there is no date."""
