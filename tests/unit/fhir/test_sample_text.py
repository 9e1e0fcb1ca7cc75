"""The text of a SampledData: what the pattern matches reads as float() does, the rest is refused with its place."""

import re
import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhir_ecg.fhir.sample_text import (
    LARGEST_MAGNITUDE,
    LONGEST_TOKEN,
    SampleTextError,
    TokenError,
    TooManySamplesError,
    parse_samples,
)

MANY = 1_000_000
# Of the XSD, where \d is meant for ASCII.
POINT = r"((-{0,1}[0-9]*\.{0,1}[0-9]+)|[EUL])"
PATTERN = re.compile(f"{POINT}( {POINT})*")
LETTERS = ("E", "U", "L")


def expected(tokens: list[str]) -> tuple[bytes, list[int]]:
    """The bytes of the numbers, and the letters, by the plain way."""
    values = np.array([np.nan if token in LETTERS else float(token) for token in tokens])
    return values.tobytes(), [ord(token) if token in LETTERS else 0 for token in tokens]


def parsed(text: str | bytes) -> tuple[bytes, list[int]]:
    samples = parse_samples(text, MANY)
    return samples.values.tobytes(), samples.letters.tolist() or [0] * len(samples.values)


def first_fault(text: str) -> tuple[int, str] | None:
    """Offset and beginning of the first token that breaks the pattern or a cap."""
    offset = 0
    for token in text.split(" "):
        legal = re.fullmatch(POINT, token) and len(token) <= LONGEST_TOKEN
        if not legal or (token not in LETTERS and abs(float(token)) > LARGEST_MAGNITUDE):
            return offset, token[:LONGEST_TOKEN]
        offset += len(token) + 1
    return None


def assert_read_or_refused(text: str) -> None:
    if (fault := first_fault(text)) is None:
        assert parsed(text) == expected(text.split(" "))
        return
    with pytest.raises(TokenError) as caught:
        parse_samples(text, MANY)
    assert (caught.value.offset, caught.value.token) == fault


def digits(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=least, max_size=most) | st.text("09", min_size=least, max_size=most)


@st.composite
def decimals(draw: st.DrawFn) -> str:
    """Any number that the pattern matches, up to 32 characters."""
    whole = draw(digits(0, 12) | digits(0, 3))
    point = draw(st.sampled_from(["", "."]))
    fraction = draw(digits(1, 18) | digits(1, 4) if point else digits(0 if whole else 1, 0 if whole else 12))
    return draw(st.sampled_from(["", "-"])) + whole + point + fraction


ODDITIES = ["-0", "0", ".5", "-.5", "-.0", "007", "-0000000000000000000000000000.00", "0.1", "-1.005", "1000000000000"]
NUMBERS = decimals() | st.integers(-32768, 32767).map(str) | st.sampled_from(ODDITIES)
TOKENS = NUMBERS | st.sampled_from(LETTERS)


@given(st.lists(TOKENS, min_size=1, max_size=40))
def test_every_legal_text_reads_as_float_reads_its_tokens(tokens: list[str]) -> None:
    assert parsed(" ".join(tokens)) == expected(tokens)
    assert parsed(" ".join(tokens).encode()) == expected(tokens)


@given(st.lists(st.integers(-99_999_999, 99_999_999).map(str), min_size=1, max_size=40))
def test_integers(tokens: list[str]) -> None:
    assert parsed(" ".join(tokens)) == expected(tokens)
    assert len(parse_samples(" ".join(tokens), MANY).letters) == 0


@given(st.lists(TOKENS, min_size=1, max_size=8), st.lists(TOKENS, min_size=1, max_size=8), st.integers(1000, 3000))
def test_long_texts_are_read_in_chunks_that_join(some: list[str], others: list[str], times: int) -> None:
    tokens = some * times + others * times
    assert parsed(" ".join(tokens)) == expected(tokens)


@pytest.mark.parametrize(
    "token",
    [
        "9007.199254740991", "9007.199254740992", "9007.199254740993", "-9007.199254740995", "90071992547.40993",
        "0.30000000000000004", "0.100000000000000005551115123125", "123456789012.1234567890123456789",
        "-0.00000000000000000000000000001", "00000000000000000000000000000001", "-0000000000000000000000000000000",
        "999999999999.9999", "999999999999.99999999", "1000000000000.000000000000000000", ".0000000000000000000000001",
    ],
)  # fmt: skip
def test_more_digits_than_a_double_holds_are_rounded_as_float_rounds(token: str) -> None:
    assert parsed(token) == expected([token])
    assert parsed(f"1 {token} E -{token.removeprefix('-')[:31]}") == expected(
        ["1", token, "E", "-" + token.removeprefix("-")[:31]]
    )


def test_the_places_of_letters() -> None:
    samples = parse_samples("E 1 U U -.5 L", 6)
    assert samples.letters.tobytes() == b"E\0UU\0L"
    assert [samples.places(letter).tolist() for letter in LETTERS] == [[0], [2, 3], [5]]
    assert np.isnan(samples.values).tolist() == [True, False, True, True, False, True]
    assert parse_samples("1 2", 2).places("E").tolist() == []


@given(
    tokens=st.lists(TOKENS, min_size=1, max_size=12),
    edits=st.lists(
        st.tuples(
            st.integers(0, 300),
            st.integers(0, 2),
            st.text("0123456789.-EUL  +e\n\t?,_x\0\x7f\u0661\u00a0\u00b2\U0001f600\ud800", max_size=2)
            | st.text(max_size=2),
        ),
        min_size=1,
        max_size=3,
    ),
    times=st.sampled_from([1, 1, 1, 1000]),
)
@example(tokens=["1"], edits=[(0, 1, "")], times=1)
def test_a_damaged_text_is_still_legal_or_refused_at_its_first_bad_token(
    tokens: list[str], edits: list[tuple[int, int, str]], times: int
) -> None:
    text = " ".join(tokens)
    for position, removed, inserted in edits:
        place = position % (len(text) + 1)
        text = text[:place] + inserted + text[place + removed :]
    text = " ".join([*tokens * (times - 1), text])
    assert_read_or_refused(text)
    if first_fault(text) is None:
        assert PATTERN.fullmatch(text)


@pytest.mark.parametrize("before", ["", "-", "1" * 5, "0" * 6, "-" + "0" * 13, "0" * 13 + ".", "0" * 21, "0" * 28])
def test_all_short_texts_at_the_seams_between_words(before: str) -> None:
    for size in range(5):
        for characters in product("7.-E +", repeat=size):
            assert_read_or_refused(before + "".join(characters))


@pytest.mark.parametrize("code", range(256))
def test_every_byte(code: int) -> None:
    text = bytes([code])
    for token in (text, b"1" + text, text + b"1", b"12345678" + text + b"1", b"1" * 20 + text):
        legal = PATTERN.fullmatch(token.decode("latin-1")) and len(token) < 20
        if legal:
            assert parsed(token) == expected(token.decode().split(" "))
        else:
            with pytest.raises(TokenError):
                parse_samples(token, MANY)


@pytest.mark.parametrize(
    ("text", "offset", "token", "rule"),
    [
        ("", 0, "", "Decimals"),
        (" ", 0, "", "Decimals"),
        ("1 ", 2, "", "Decimals"),
        ("1  2", 2, "", "Decimals"),
        ("1 5. 2", 2, "5.", "Decimals"),
        ("1 - 2", 2, "-", "Decimals"),
        ("1 1e3", 2, "1e3", "Decimals"),
        ("1 nan x", 2, "nan", "Decimals"),
        (b"1 \xd9\xa1", 2, "\ufffd\ufffd", "Decimals"),
        ("\u0661 1", 0, "\u0661", "Decimals"),
        ("\ud800 1", 0, "\ud800", "Decimals"),
        ("1 " + "0" * 33, 2, "0" * 32, "at most 32 characters"),
        ("1 -" + "0" * 32, 2, "-" + "0" * 31, "at most 32 characters"),
        ("1 " * 3000 + "x" * 100_000, 6000, "x" * 32, "at most 32 characters"),
        ("1,2,3", 0, "1,2,3", "a comma stands there"),
        ("1 2,5 3", 2, "2,5", "in decimals a point; a comma"),
        ("1," * 5000, 0, "1," * 16, "a comma stands there"),
        (b"1;" * 5000, 0, "1;" * 16, "a semicolon stands there"),
        ("1\n" * 5000, 0, "1\n" * 16, "one space, and in decimals a point; a line break"),
        ("1\r\n2", 0, "1\r\n2", "a line break"),
        ("1\t2", 0, "1\t2", "a tab"),
        ("1\u00a02", 0, "1\u00a02", "a no-break space"),
        ("1 1000000000000.1 x", 2, "1000000000000.1", "within 10^12"),
        ("-1000000000001 x", 0, "-1000000000001", "within 10^12"),
        ("1 " + "9" * 32, 2, "9" * 32, "within 10^12"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_is_refused(text: str | bytes, offset: int, token: str, rule: str) -> None:
    with pytest.raises(TokenError, match=re.escape(rule)) as caught:
        parse_samples(text, MANY)
    assert (caught.value.offset, caught.value.token) == (offset, token)
    assert f"at character {offset} ({token!r})." in str(caught.value)


def test_samples_are_counted_before_any_is_read() -> None:
    assert len(parse_samples("1 2 3", 3).values) == 3
    with pytest.raises(TooManySamplesError, match="4 samples; at most 3") as caught:
        parse_samples("1 x 3 4", 3)
    assert caught.value.samples == 4
    assert isinstance(caught.value, SampleTextError)


@pytest.mark.parametrize("token", ["1", "E", "-115", "-0.115", "0.30000000000000004", "x"])
def test_memory_stays_within_six_times_a_long_text(token: str) -> None:
    text = " ".join([token] * 200_000)
    tracemalloc.start()
    try:
        if token == "x":
            with pytest.raises(TokenError):
                parse_samples(text, MANY)
        else:
            parse_samples(text, MANY)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * len(text)
