"""The 71 SCP-ECG statements of PTB-XL, in the alphabetical order that models of ours put them out.

Source: PTB-XL 1.0.3 `scp_statements.csv` (Wagner et al., PhysioNet, CC BY 4.0).
"""

import csv
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Statement:
    """One SCP-ECG statement: a diagnosis, a form or a rhythm."""

    code: str
    display: str
    kind: str
    """`diagnostic`, `form`, `rhythm` or `diagnostic+form`."""
    diagnostic_class: str
    """NORM, CD, HYP, MI or STTC where the statement is diagnostic, else empty."""


def _read() -> tuple[Statement, ...]:
    with files(__package__).joinpath("statements.csv").open(encoding="utf-8") as lines:
        return tuple(Statement(**row) for row in csv.DictReader(lines))


STATEMENTS: tuple[Statement, ...] = _read()
STATEMENT_CODES: tuple[str, ...] = tuple(statement.code for statement in STATEMENTS)
STATEMENT_BY_CODE: dict[str, Statement] = {statement.code: statement for statement in STATEMENTS}
