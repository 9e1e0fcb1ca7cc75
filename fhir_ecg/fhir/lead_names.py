"""Leads in texts: which a text names in which order, and what it says of their side and their sign.

A text is read in two ways. To contradict a code any name will do, also IEC's (C1 is V1), Spanish or Portuguese ones
(DI or D1 is I) and numbers (lead 1 is I). To tell which lead it is, only the lead's own name will.
"""

import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fhir_ecg.ecg.leads import TWELVE_LEADS, ExtraLead, Lead

LEAD_NAME = r"(?:III|II|I|aVR|aVL|aVF|V[1-9]|V[2-9]R)"
"""X, Y and Z are too short to be taken from a text."""
LEAD_BY_NAME: dict[str, Lead | ExtraLead] = {lead.upper(): lead for lead in (*TWELVE_LEADS, *ExtraLead)}

_WORD = r"(?:lead|Ableitung|d[eé]rivation|derivaci[oó]n|deriva[cç][aã]o|derivazione|afleiding)"
# A text that says nothing but the lead.
_WHOLE = re.compile(
    rf"(?:MDC ECG (?:LEAD|ELEC POTL) |(?:(?:ECG|EKG)(?:\s+|-))?(?:(?:{_WORD}|channel)(?:\s+|-))?)({LEAD_NAME})",
    re.IGNORECASE,
)
_NAME = re.compile(
    rf"""(?<![A-Za-z0-9]) (?:
        (?P<limb>III|II|I|aVR|aVL|aVF)
        | (?P<right_before>R[\s-]?)? [VC](?P<chest>[1-9])
          (?P<right_after>[\s.(-]*R(?![\s-]?(?:waves?|peak|zacke)\b|/)\)?)?
        | D[\s-]?(?P<einthoven>III|II|I|1|2|3)
        | (?<!\d[\s-])(?<!chest\s)(?<!precordial\s){_WORD}[\s-]?(?P<numbered>[123])
        | (?:LEAD|POTL)\s(?P<frank>[XYZ])
    ) (?:neg)? (?![A-Za-z0-9])""",
    re.IGNORECASE | re.VERBOSE,
)
_EINTHOVEN = {"1": "I", "2": "II", "3": "III"}
_CHEST = re.compile(r"V(\d)(R?)")
_RANGE = re.compile(r"\s*(?:-|\.{2,3}|to|through|bis)\s*", re.IGNORECASE)
# How many leads there are is no numbering of them.
_COUNT = re.compile(r"\b(?:[89]|1\d)[\s-](?:leads?|channels?|Kanal)\b", re.IGNORECASE)

_RIGHT = re.compile(
    r"\b(?:right|rechts\w*|rechte[rnsm]?|droite?s?|derech[oa]s?|direit[oa]s?|destr[aeio])\b"
    r"(?!\W+(?:arm|leg|foot|bundle)\b)",
    re.IGNORECASE,
)
# Of a whole ECG. A right bundle branch or a right arm does not make it one of the right side.
_RIGHT_SIDED = re.compile(
    r"\bright[\s-]*sided?\b|\bright\W+(?:half|chest|hemithorax|thora\w+|precordi\w+)|\brechts\b"
    r"|\brechts(?:seit|thora|präk)\w*|\brechte[rnsm]?\s+(?:thorax|brust|seite)"
    r"|\b(?:côté|pr[eé]cordiales?|d[eé]rivations?)\s+droite?s?|\b(?:lado|derivaciones)\s+derech[oa]s?"
    r"|\b(?:lado|derivações)\s+direit[oa]s?|\b(?:lato|derivazioni)\s+destr[aeio]",
    re.IGNORECASE,
)

# A negative electrode belongs to every lead.
_INVERTED = (
    r"(?:inver[st]\w*|reversed|n[eé]gat\w*\b(?!\W+(?:electrode|elektrode|pole?|terminal|input)\b)|neg\b|negiert"
    r"|umgekehrt|umgepolt|omgekeerd|geïnverteerd|flipped|upside[\s-]down)"
)
_WAVE = r"\b(?:QRS|[PTU])(?:[\s-]?(?:waves?|wellen?))?"
_INVERTED_WAVE = re.compile(rf"{_WAVE}[\s:-]+(?:(?:is|are)\s+)?{_INVERTED}|\b{_INVERTED}\s+{_WAVE}\b", re.IGNORECASE)
# An electrode has a polarity without changing the sign of its lead, and what is not inverted is not.
_POLARITY = r"(?:neg\w*|pos\w*|[-+])"
_ELECTRODE = r"(?:RA|LA|LL|RL|LF|WCT|(?:right|left)\s(?:arm|leg|foot)|(?:rechter|linker)\s(?:Arm|Fuß)|terminal)"
_NO_SIGN = re.compile(
    rf"\b{_ELECTRODE}(?:\s*\(\s*{_POLARITY}\s*\)|:?\s+{_POLARITY})|\b{_POLARITY}\W{{0,3}}{_ELECTRODE}\b"
    rf"|\b(?:not|non|nicht)[\s-]*{_INVERTED}",
    re.IGNORECASE,
)
# -aVR, as in Cabrera's order, is another signal than aVR. In `V1-V6` and `ECG-II` the sign only joins.
_ANY_NAME = r"(?:III|II|I|aVR|aVL|aVF|R?[VC][1-9]R?|D(?:III|II|I|[123]))(?![A-Za-z0-9])"
_SIGN_CHANGED = re.compile(
    rf"\b{_INVERTED}|(?<=[IRLF1-9])neg\b|(?<![A-Za-z0-9])-{_ANY_NAME}|(?<![IRLF1-9]\s)\b(?:minus|moins|menos|meno)\s+{_ANY_NAME}"
    r"|\(\s*-\s*\)|(?<!\w)[x\u00d7*]\s*\(?-\s?1(?!\d)|(?<!\w)-\s?1\s*[x\u00d7*](?!\w)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Names:
    """The leads that a text names."""

    leads: tuple[str, ...]
    """In its order. One that is none of those known, such as V1R, is among them."""
    plain: bool
    """Whether each is known and written by its own name, so that it can tell the lead."""
    numbered: bool
    """Whether other numbers stand in the text, which may mean another order."""


def texts_of(concept: dict[str, Any]) -> list[str]:
    """Give the text of a CodeableConcept and the displays of its codings, each once."""
    texts = (concept.get("text"), *(coding.get("display") for coding in concept.get("coding") or []))
    return list(dict.fromkeys(text for text in texts if text))


def whole_name(text: str) -> Lead | ExtraLead | None:
    """Give the lead of a text that says nothing else."""
    whole = _WHOLE.fullmatch(_folded(text).strip())
    return LEAD_BY_NAME[whole[1].upper()] if whole else None


def read_names(text: str) -> Names:
    """Read every lead that a text names; a range, such as `V1-V6`, is all leads in it."""
    text = _folded(text)
    tokens, turned_right = list(_NAME.finditer(text)), _turned_right(text)
    leads = [_lead_of(token, turned_right) for token in tokens]
    plain = all(lead in LEAD_BY_NAME.values() and token[0].upper() == lead.upper()
                for lead, token in zip(leads, tokens, strict=True))  # fmt: skip
    numbered = any(character.isdigit() for character in _COUNT.sub("", _NAME.sub("", text)))
    gaps = [text[token.end() : following.start()] for token, following in pairwise(tokens)]
    return Names(_with_ranges(leads, gaps), plain, numbered)


def changes_sign(text: str) -> bool:
    """Tell whether a text calls a lead inverted, such as `-aVR`; an inverted T wave is none."""
    return _SIGN_CHANGED.search(_NO_SIGN.sub(" ", _INVERTED_WAVE.sub(" ", _folded(text)))) is not None


def says_right_sided(text: str) -> bool:
    """Tell whether a text speaks of the right side of the chest, where V3 is V3R."""
    return _RIGHT_SIDED.search(_folded(text)) is not None


def _folded(text: str) -> str:
    """Write characters that look alike as one: all dashes, NFKC's, and _ as a space."""
    return re.sub(r"[\u2010-\u2015\u2212]", "-", unicodedata.normalize("NFKC", text)).replace("_", " ")


def _turned_right(text: str) -> str:
    """Give the numbers of the chest leads that a text turns right: not V1, which is right of the sternum anyway."""
    return "23456789" if _RIGHT.search(text) else ""


def _lead_of(token: re.Match[str], turned_right: str) -> str:
    if number := token["chest"]:
        right = token["right_before"] or token["right_after"] or number in turned_right
        return f"V{number}R" if right else f"V{number}"
    name = (token["limb"] or token["einthoven"] or token["numbered"] or token["frank"]).upper()
    return LEAD_BY_NAME[_EINTHOVEN.get(name, name)]


def _with_ranges(leads: list[str], gaps: list[str]) -> tuple[str, ...]:
    filled = leads[:1]
    for (first, last), gap in zip(pairwise(leads), gaps, strict=True):
        if _RANGE.fullmatch(gap):
            filled += _between(first, last)
        filled.append(last)
    return tuple(filled)


def _between(first: str, last: str) -> list[str]:
    start, end = _CHEST.fullmatch(first), _CHEST.fullmatch(last)
    if not start or not end or start[2] != end[2]:
        return []
    return [f"V{number}{end[2]}" for number in range(int(start[1]) + 1, int(end[1]))]
