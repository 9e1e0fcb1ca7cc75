"""The order of leads that are interlaced in one SampledData, which only texts declare."""

from typing import Any

from fhir_ecg.fhir.lead_coding import AnyLead
from fhir_ecg.fhir.lead_names import LEAD_BY_NAME, Names, changes_sign, read_names, says_right_sided, texts_of
from fhir_ecg.fhir.outcome import Problem

DIMENSIONS = "value.ofType(SampledData).dimensions"


def leads_in_order(concepts: list[dict[str, Any]], dimensions: int) -> tuple[AnyLead, ...] | Problem:
    """Read a list of different leads, such as `I, II, V1-V6`, out of the texts of codes.

    Returns:
        As many leads as dimensions, or a problem whose expression is relative to what holds the SampledData.
    """
    named = {text: read_names(text) for concept in concepts for text in texts_of(concept)}
    if inverted := [text for text in named if changes_sign(text)]:
        text = f"{inverted[0][:80]!r} means a lead with its sign changed. Send each lead with its own sign."
        return Problem("value", text, DIMENSIONS)
    if right := [text for text, names in named.items() if says_right_sided(text) and not names.leads]:
        text = f"{right[0][:80]!r} means leads of the right side. Name each as such: V3R, V4R, ..."
        return Problem("value", text, "code")
    lists = {text: names for text, names in named.items() if len(names.leads) == len(set(names.leads)) == dimensions}
    orders = {names.leads: text for text, names in lists.items()}
    if len(orders) > 1:
        sides = " but ".join(f"{text[:200]!r} means {', '.join(leads)}" for leads, text in orders.items())
        return Problem("value", f"The leads are declared in two ways: {sides}. Correct the wrong one.", "code")
    if numbered := [text for text, names in lists.items() if names.numbered]:
        text = f"{numbered[0][:200]!r} has numbers beside the leads. Name the leads alone, in their order: I, II, ..."
        return Problem("value", text, DIMENSIONS)
    if not any(names.plain for names in lists.values()):
        return _undeclared(dimensions, [names for names in named.values() if names.plain])
    return tuple(LEAD_BY_NAME[lead.upper()] for leads in orders for lead in leads)


def several_leads(concepts: list[dict[str, Any]]) -> tuple[str, ...]:
    """Give the different leads that a text lists, none where each names one at most."""
    named = (read_names(text).leads for concept in concepts for text in texts_of(concept))
    return next((leads for leads in named if len(set(leads)) > 1), ())


def _undeclared(dimensions: int, plain: list[Names]) -> Problem:
    declared = max((len(set(names.leads)) for names in plain), default=0)
    text = (
        f"The SampledData has {dimensions} dimensions, but no text of its code lists {dimensions} different leads by "
        f"their names (the longest lists {declared}). Name them in their order: I, II, III, ...; or send each lead as "
        "a component, with dimensions 1."
    )
    return Problem("value", text, DIMENSIONS)
