"""What verification finds."""

from dataclasses import dataclass
from typing import Literal

What = Literal["changed", "removed", "inserted", "disagrees", "unreadable", "outdated"]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as the service left it; it holds nothing of the patient."""

    table: str
    key: str
    """What the chain calls the row, or the columns that name it."""
    what: What
    text: str
    """What is wrong, for people."""
