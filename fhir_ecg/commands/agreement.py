"""`audit agreement`: how far the model and its readers agree, for an operator."""

from datetime import datetime
from typing import Any

import orjson
from tqdm import tqdm

from fhir_ecg.commands.opened_application import opened_application
from fhir_ecg.ecg.statements import STATEMENT_BY_CODE, STATEMENT_CODES
from fhir_ecg.service.agreement import Agreement, Interval, Table, Tally, agreement
from fhir_ecg.settings import Settings

_DECISIONS = {"confirm": "confirmed as they were", "edit": "edited", "reject": "rejected"}


def agreement_figures(settings: Settings, since: datetime | None, until: datetime | None, *, as_json: bool) -> str:
    """Compare model and readers, and write the figures as text or JSON."""
    with opened_application(settings) as application, tqdm(unit="report", desc="Comparing") as bar:

        def begin(total: int) -> Any:
            bar.reset(total)
            return bar.update

        found = agreement(application, since, until, begin)
    return orjson.dumps(_document(found)).decode() if as_json else _text(found)


def _document(found: Agreement) -> dict[str, Any]:
    return _tally_document(found.all) | {
        "months": {month: _tally_document(tally) for month, tally in sorted(found.months.items())}
    }


def _tally_document(tally: Tally) -> dict[str, Any]:
    return {
        "reports": tally.decisions.total(),
        "decisions": {decision: tally.decisions[decision] for decision in _DECISIONS},
        "edited": tally.rate("edit"),
        "rejected": tally.rate("reject"),
        "all": {name: v for name, v in _table_document(tally.pooled()).items() if not name.endswith("interval")},
        "statements": {code: _table_document(tally.table(code)) for code in _seen(tally)},
    }


def _table_document(table: Table) -> dict[str, Any]:
    return {
        "both": table.both,
        "model_only": table.model_only,
        "reader_only": table.reader_only,
        "neither": table.neither,
        "positive_agreement": table.positive_agreement,
        "confirmed": table.confirmed,
        "confirmed_interval": table.confirmed_interval,
        "kappa": table.kappa,
        "kappa_interval": table.kappa_interval,
    }


def _seen(tally: Tally) -> list[str]:
    """List the statements that model or readers found, those that they found most often first."""
    counts = {c: tally.both[c] + tally.model_only[c] + tally.reader_only[c] for c in STATEMENT_CODES}
    return sorted((code for code in STATEMENT_CODES if counts[code]), key=lambda code: -counts[code])


def _text(found: Agreement) -> str:
    tally = found.all
    if not tally.decisions:
        return "No report that the model read in that time was confirmed, edited or rejected by a person."
    shares = ", ".join(f"{tally.decisions[d]} {text}" for d, text in _DECISIONS.items())
    lines = [f"{tally.decisions.total()} reports were decided about: {shares}."]
    lines += ["In brackets, intervals at 95 %: Wilson's of the share, the large-sample one of kappa.", ""]
    lines += [_row("statement", "both", "model", "reader", "neither", "pos.agr.", "kept of model's", "kappa")]
    lines += [_row("all statements", *_counts(tally.pooled()), *_pooled_shares(tally))]
    lines += [_table_row(f"{code} {STATEMENT_BY_CODE[code].display}", tally.table(code)) for code in _seen(tally)]
    lines += ["", "By the month in which the model read:"]
    lines += [_row("month", "reports", "edited", "rejected", "", "pos.agr.", "kept of model's", "kappa")]
    return "\n".join(lines + [_month_row(month, each) for month, each in sorted(found.months.items())])


def _table_row(name: str, table: Table) -> str:
    kept = f"{_share(table.confirmed)} {_interval(table.confirmed_interval)}"
    kappa = f"{_share(table.kappa)} {_interval(table.kappa_interval)}"
    return _row(name, *_counts(table), _share(table.positive_agreement), kept, kappa)


def _month_row(month: str, tally: Tally) -> str:
    rates = (_share(tally.rate("edit")), _share(tally.rate("reject")))
    return _row(month, tally.decisions.total(), *rates, "", *_pooled_shares(tally))


def _counts(table: Table) -> tuple[int, int, int, int]:
    return table.both, table.model_only, table.reader_only, table.neither


def _pooled_shares(tally: Tally) -> tuple[str, str, str]:
    """Without intervals: the statements of one report do not vary independently of each other."""
    table = tally.pooled()
    return _share(table.positive_agreement), _share(table.confirmed), _share(table.kappa)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f"({interval[0]:.2f} to {interval[1]:.2f})"


def _row(name: str, *columns: object) -> str:
    widths = (8, 8, 8, 8, 9, 21, 22)
    shown = "".join(f"{column!s:>{width}}" for column, width in zip(columns, widths, strict=True))
    return f"{name[:40]:<40}{shown}".rstrip()
