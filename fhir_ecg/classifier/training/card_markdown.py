"""The model card as Markdown: it writes what the data holds and computes nothing."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]

PICTURE_FOLDER = "model-card"
_CAPTIONS = {
    "reliability.svg": "All statements together: the share of records that have a statement, over the probability that "
    "was given. Bars are 95 % intervals.",
    "statements.svg": "The twelve most frequent statements, with their positives.",
    "training.svg": "Training loss and macro AUC on the validation folds, by part of the network.",
}
_FIGURE_NAMES = {
    "reference_f_max": "Reference F-max",
    "cafa_f_max": "CAFA F-max",
    "sample_f1_at_thresholds": "Sample F1 at the thresholds",
    "mean_calibration_error": "Calibration error, mean of the statements",
    "pooled_calibration_error": "Calibration error, all answers pooled",
    "negative_log_likelihood": "Negative log-likelihood",
}


def card_as_markdown(card: Row) -> str:
    """Write a whole card."""
    model = card["model"]
    parts = [
        f"# Model card: {model['name']} {model['version']}",
        f"`{card['evaluation']['command']}` wrote this page, its pictures and [its data](model-card.json).",
        *_model(card),
        *_validity(card),
        *_statements(card),
        *_calibration(card),
        *_answers(card),
        *_robustness(card),
        *_failures(card),
        *_use(card),
        "## How the figures are measured",
        _table(("figure", "meaning"), card["figures"].items()),
    ]
    return "\n\n".join(parts) + "\n"


def _model(card: Row) -> list[str]:
    model, training, architecture = card["model"], card["training"], card["architecture"]
    low, high = card["input"]["band_hz"]
    reads = (
        f"leads {', '.join(card['input']['leads'])}; the first {card['input']['seconds']:g} s, brought to "
        f"{card['input']['sampling_rate_hz']:g} samples a second, {low:g} to {high:g} Hz "
        f"(`{card['input']['preprocessing']}`)"
    )
    says = f"for {len(card['statements'])} SCP-ECG statements a probability, and `present`, `absent` or `indeterminate`"
    branches = "; ".join(_branch(branch) for branch in architecture["branches"])
    settings = ", ".join(f"`{name}` {_value(value)}" for name, value in training["settings"].items())
    rows = [
        ("Weights, SHA-256", f"`{model['weights_sha256']}`"),
        ("Reads", reads),
        ("Says", says),
        ("Network", f"{architecture['name']}, {architecture['parameters']:,} parameters: {branches}"),
        ("Trained on", f"{_folds(training['training_folds'])}: {training['records']:,} ECGs"),
        ("Calibrated on", _folds(training["validation_folds"])),
        ("Data", f"{training['source']} ({training['licence']})"),
        ("Origin of the data", training["origin"]),
        ("Labels", training["labels"]),
        ("Exclusions", training["exclusions"]),
        ("Settings of the run", settings),
    ]
    return ["## The model", _table(("", ""), rows)]


def _branch(branch: Row) -> str:
    made_of = ""
    if "widths" in branch:
        within = f"{_list(branch['within_leads'])} within leads, then " if branch.get("within_leads") else ""
        widths = within + _list(branch["widths"])
        stopped = f", stopped after {branch['stop_after']}" if branch.get("stop_after") else ""
        kernel = "" if branch.get("within_leads") else f" and kernel {branch['kernel']}"
        made_of = f" of widths {widths}{kernel}, {_value(branch['epochs'])} epochs{stopped}"
        if "layers" in branch:
            made_of += f", {branch['layers']} layers, read in windows of {branch['window_seconds']:g} s"
        if branch.get("teacher_share"):
            made_of += f", targets {100 * branch['teacher_share']:g} % from branches trained before it"
    return f"{branch['kind']}{made_of} ({branch['parameters']:,})"


def _validity(card: Row) -> list[str]:
    measured = card["evaluation"]
    cross_fitted = measured["cross_fitted"]
    rows = [
        (
            "Macro AUC",
            *(f"{_value(f['macro_auc'])} ({_span(f['macro_auc_interval'])})" for f in (measured, cross_fitted)),
        )
    ]
    rows += [(title, _value(measured[name]), _value(cross_fitted[name])) for name, title in _FIGURE_NAMES.items()]
    measured_on = (
        f"Measured on {_folds(measured['folds'])} of PTB-XL: {measured['records']:,} ECGs; "
        f"{measured['statements_with_both_classes']} of the {len(card['statements'])} statements occur."
    )
    parts = [
        "## Validity",
        measured_on,
        _table(("figure", "as stored", "cross-fitted"), rows),
    ]
    if measured["trained_on_these_folds"]:
        parts.append("**The model was trained with some of these records: all figures are too good.**")
    if measured["calibrated_on_these_folds"]:
        parts.append(
            "Calibration and thresholds were fitted on these records, so what is said as stored is too good; the "
            "cross-fitted figures are not. Designs, and after which epoch to stop, were chosen on them too, which may "
            "favour all figures a little."
        )
    looked_at = "Fold 10 was evaluated here." if measured["test_fold_looked_at"] else "Fold 10 was not looked at."
    return [*parts, looked_at]


def _statements(card: Row) -> list[str]:
    rows = card["statements"]
    training = any("training" in row for row in rows)
    counted = ("code", "statement", *(("training",) if training else ()), "positives")
    here = card["evaluation"]["calibrated_on_these_folds"]
    cross_fitted = "AUCs, and figures from sensitivity on," if here else "Figures from sensitivity on"
    header = (*counted, "AUC", "threshold", "absent below", "sensitivity", "specificity", "PPV", "NPV")
    parts = [
        "## Each statement",
        f"{cross_fitted} are cross-fitted; from sensitivity on with counts. What is not asserted counts as negative.",
        _table(header, (_statement(row, training) for row in rows)),
        "## Never asserted",
    ]
    if card["never_asserted"]:
        parts.append(
            f"Fewer than {card['fewest_positives_to_assert']} records of the calibration folds have these statements. "
            "They are always `indeterminate`: " + ", ".join(f"`{code}`" for code in card["never_asserted"]) + "."
        )
    else:
        parts.append("None: every statement can be asserted.")
    return parts


def _statement(row: Row, training: bool) -> tuple[str, ...]:
    hits, misses = row["true_positives"], row["false_negatives"]
    false_alarms, rejections = row["false_positives"], row["true_negatives"]
    interval = "" if row["auc_interval"][0] is None else f" ({_span(row['auc_interval'])})"
    decided = (_value(row["threshold"]), _value(row["ruled_out_below"])) if row["assertable"] else ("never", "never")
    return (
        f"`{row['code']}`",
        row["display"],
        *((_value(row.get("training")),) if training else ()),
        _value(row["positives"]),
        _value(row["auc"]) + interval,
        *decided,
        _ratio(row["sensitivity"], hits, hits + misses),
        _ratio(row["specificity"], rejections, rejections + false_alarms),
        _ratio(row["positive_predictive_value"], hits, hits + false_alarms),
        _ratio(row["negative_predictive_value"], rejections, rejections + misses),
    )


def _calibration(card: Row) -> list[str]:
    parts = ["## Calibration"]
    for name in card["pictures"]:
        parts += [f"![{_CAPTIONS[name]}]({PICTURE_FOLDER}/{name})", _CAPTIONS[name]]
    return parts


def _answers(card: Row) -> list[str]:
    answers = card["answers"]
    shown = {name: _value(value) for name, value in (answers | answers["indeterminate_because"]).items()}
    rules = [
        (f"`{r['name']}`", r["text"], *(_value(r[n]) for n in ("records", "withheld", "withheld_though_listed")))
        for r in card["rules"]
    ]
    shares = (
        f"Of all answers a share of {shown['indeterminate_share']} is `indeterminate`: {shown['between_limits']} as "
        f"the probability lies between the two limits, {shown['too_little_evidence']} as the statement is never "
        f"asserted, {shown['rule']} because of a rule. Decisions are those that are stored."
    )
    effect = (
        f"Sample F1 is {shown['sample_f1_without_rules']} without the rules and {shown['sample_f1_with_rules']} with "
        "them. Pacing spikes, which the service looks for in faster signals, were not looked for here."
    )
    return [
        "## Indeterminate answers and rules",
        shares,
        "A rule withholds a statement that contradicts another of the same report.",
        _table(("rule", "why", "records", "withheld", "of these listed in PTB-XL"), rules),
        effect,
    ]


def _robustness(card: Row) -> list[str]:
    rows = [("as recorded", _value(card["evaluation"]["macro_auc"]), "")]
    rows += [
        (r["change"], _value(r["macro_auc"]), f"{_value(r['difference'])} ({_span(r['difference_interval'])})")
        for r in card["robustness"]
    ]
    return [
        "## Robustness",
        "The same ECGs, changed before the model reads them; AUCs are as stored. Intervals are of a paired bootstrap.",
        _table(("change", "macro AUC", "difference"), rows),
        "PTB-XL packed by fold holds I, II and V1 to V6 only: the other four leads are derived there in any case.",
    ]


def _failures(card: Row) -> list[str]:
    rows = {row["code"]: row for row in card["statements"]}
    modes, normal = card["failure_modes"], card["answers"]["called_normal"]
    missed = (f"`{c}` {rows[c]['false_negatives']} of {rows[c]['positives']}" for c in modes["most_missed"])
    wrong = (
        f"`{c}` {rows[c]['false_positives']} of {rows[c]['false_positives'] + rows[c]['true_positives']}"
        for c in modes["most_wrongly_asserted"]
    )
    worst = (f"`{c}` {_value(rows[c]['auc'])}" for c in modes["lowest_auc"])
    lines = [
        f"Most often missed (cross-fitted, of all that have it): {', '.join(missed)}.",
        f"Most often asserted wrongly (cross-fitted, of all that were asserted): {', '.join(wrong)}.",
        f"Told apart worst, of those with 20 positives or more (AUC): {', '.join(worst) or 'none'}.",
    ]
    if normal:
        lines.append(
            f"Called normal: {normal['records']} ECGs. Of these {normal['not_listed_as_normal']} are not listed as "
            f"normal, and {normal['with_infarction']} are listed with a myocardial infarction."
        )
    return ["## Where it fails", _bullets(lines)]


def _use(card: Row) -> list[str]:
    return [
        "## What it is for",
        card["intended_use"],
        "## What it must not be used for",
        _bullets(card["not_for"]),
        "## Known limits",
        _bullets(card["limits"]),
        "## Source attributes",
        "As 45 CFR 170.315(b)(11) (HTI-1) asks of predictive decision support, where we can answer.",
        _table(("attribute", "answer"), card["source_attributes"].items()),
    ]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _list(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))


def _folds(folds: Sequence[int]) -> str:
    return f"fold{'s' if len(folds) > 1 else ''} {_list(folds)}"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{_list(value)}]"
    if isinstance(value, float):
        return np.format_float_positional(value, trim="0")
    return "-" if value is None else str(value)


def _span(interval: Sequence[float | None]) -> str:
    low, high = (_value(end) for end in interval)
    return f"{low} to {high}"


def _ratio(share: float | None, part: int, whole: int) -> str:
    return "-" if share is None else f"{_value(share)} ({part}/{whole})"
