"""The text of a SampledData to numbers, eight characters at a time. https://hl7.org/fhir/R4/datatypes.html#SampledData

The last characters of each token are loaded as one 64-bit word, the first of them in the lowest byte. Arithmetic on
the words checks and reads eight characters at once; numbers of more digits than a double holds are left to `float`.
"""

import re
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

LONGEST_TOKEN = 32
LARGEST_MAGNITUDE = 10**12

_Words = NDArray[np.uint64]
_Marks = NDArray[np.bool_]

# The pattern of the R4 XSD, which the JSON form shares: no exponent, no plus sign, digits after a point.
_NUMBER = re.compile(rb"-?[0-9]*\.?[0-9]+")
# What some senders write between numbers, or in them.
_SEPARATORS = {
    ",": "comma",
    ";": "semicolon",
    "\n": "line break",
    "\r": "line break",
    "\t": "tab",
    "\u00a0": "no-break space",
}
_SEPARATOR = re.compile(f"[{''.join(_SEPARATORS)}]")
_IS_LETTER = np.zeros(256, np.bool_)
_IS_LETTER[list(b"EUL")] = True
# Up to 22 float64 holds the powers exactly: one division of exact numbers is rounded once, as float() rounds.
_POWERS_OF_TEN = np.array([float(10**power) for power in range(23)])
_EXACT_INTEGERS = 2**53

# So many spaces before the text let the words of the first token reach back, from the last of them.
_PADDING = LONGEST_TOKEN + 1
# About so many tokens are worked on at a time, each with 35 to 80 bytes of working arrays. More were faster, as each
# call to numpy has its price; with so many, 5000 samples and all it takes to read them stay within 6 times their text.
_CHUNK = 1300
_SPACE = ord(" ")
_MINUS = ord("-")


def _constant(number: int) -> _Words:
    # Of no dimension: numpy takes it into arithmetic in half the time that a scalar needs.
    return np.array(number, np.uint64)


_ONE, _SEVEN, _EIGHT = _constant(1), _constant(7), _constant(8)
_BYTE, _LAST_BYTE = _constant(0xFF), _constant(56)
_ZEROS = _constant(0x3030303030303030)
# A point's byte in a word from which the zeros were taken by exclusive or.
_POINT = _constant(ord(".") ^ ord("0"))
_ABOVE_NINE = _constant(0x7676767676767676)
_HIGH_BITS = _constant(0x8080808080808080)
# Times 256**place, the byte 7 - place comes to the top: how many characters of the word stand behind that place.
_CHARACTERS_BEHIND = _constant(0x0706050403020100)
_SEVEN_PLACES, _EIGHT_PLACES = _constant(10**7), _constant(10**8)
# The first and third of four pairs, their weights and those of the pairs behind them, as they add up in the upper half.
_TEN, _HALF, _SECOND_PAIR = _constant(10), _constant(32), _constant(16)
_ODD_PAIRS = _constant(0x000000FF000000FF)
_ODD_WEIGHTS = _constant((10**6 << 32) + 10**2)
_EVEN_WEIGHTS = _constant((10**4 << 32) + 1)


@dataclass(frozen=True, eq=False)
class ParsedSamples:
    """The tokens of one text."""

    values: NDArray[np.float64]
    """(samples,) the raw numbers, without unit; nan where a letter stands."""
    letters: NDArray[np.uint8]
    """(samples,) the code of `E`, `U` or `L` and 0 for numbers; (0,) where all are numbers."""

    def places(self, letter: str) -> NDArray[np.intp]:
        """The indices at which `E`, `U` or `L` stands."""
        return np.flatnonzero(self.letters == ord(letter))


class SampleTextError(ValueError):
    """A text that cannot be parsed."""


class TooManySamplesError(SampleTextError):
    """The text has more tokens than the caller takes."""

    def __init__(self, samples: int, most: int) -> None:
        super().__init__(f"{samples} samples; at most {most} are taken")
        self.samples = samples


class TokenError(SampleTextError):
    """A token that is no sample.

    Attributes:
        offset: The characters before it; bytes, where bytes were parsed.
        token: The token, at most 32 characters of it.
        rule: What it breaks, a sentence.
    """

    def __init__(self, data: str | bytes, offset: int, rule: str) -> None:
        beginning = data[offset : offset + LONGEST_TOKEN]
        text = beginning if isinstance(beginning, str) else beginning.decode("ascii", "replace")
        self.offset, self.token, self.rule = offset, text.split(" ")[0], rule
        super().__init__(f"at character {offset} ({self.token!r}). {rule}")


def parse_samples(data: str | bytes, max_samples: int) -> ParsedSamples:
    """Parse decimals and the letters E, U, L with one space between; each number equals `float` of its token.

    Args:
        data: The text, `data` of a SampledData.
        max_samples: The most tokens to take; they are counted before any is read.

    Raises:
        TooManySamplesError: There are more tokens.
        TokenError: A token breaks the pattern of the XSD, is longer than 32 characters or beyond 10^12.
    """
    text = _padded(data)
    codes = np.frombuffer(text, np.uint8)
    count = int(np.count_nonzero(codes[_PADDING:] == _SPACE))
    if count > max_samples:
        raise TooManySamplesError(count, max_samples)
    values, letters = np.empty(count), np.empty(0, np.uint8)
    chunk_length = len(text) * _CHUNK // count
    start, done = _PADDING, 0
    while start < len(text):
        stop = text.rfind(b" ", start, start + chunk_length) + 1
        if not stop:
            raise _fault(data, start - _PADDING)
        chunk = _Chunk(codes, start, stop)
        here = slice(done, done + len(chunk.sizes))
        if len(faults := chunk.read_into(values[here])):
            raise _fault(data, chunk.offset(faults[0]) - _PADDING)
        if len(chunk.is_letter):
            letters = letters if len(letters) else np.zeros(count, np.uint8)
            letters[here] = chunk.first * chunk.is_letter
        start, done = stop, here.stop
        del chunk  # before the next one takes its memory
    return ParsedSamples(values, letters)


def separator_fault(token: str) -> str | None:
    """Say which separator stands in a token, where numbers are joined by anything but a space; None where none is."""
    if found := _SEPARATOR.search(token):
        return f"Between numbers belongs one space, and in decimals a point; a {_SEPARATORS[found[0]]} stands there."
    return None


def _padded(data: str | bytes) -> bytes:
    if isinstance(data, bytes) and not data.isascii():
        data = data.decode("ascii", "replace")
    # A character that is not ASCII becomes a question mark: one byte, and as illegal.
    raw = data.encode("ascii", "replace") if isinstance(data, str) else data
    return b"%*s%s " % (_PADDING, b"", raw)


def _fault(data: str | bytes, offset: int) -> TokenError:
    """Name what is wrong with the token that begins at an offset."""
    beginning = data[offset : offset + LONGEST_TOKEN + 1]
    text = beginning if isinstance(beginning, str) else beginning.decode("ascii", "replace")
    text = text.split(" ")[0]
    token = text.encode("ascii", "replace")
    rule = "A sample lies within 10^12."
    if separator := separator_fault(text):
        rule = separator
    elif len(token) > LONGEST_TOKEN:
        rule = f"A sample has at most {LONGEST_TOKEN} characters."
    elif not _NUMBER.fullmatch(token):
        rule = "Decimals without exponent, E, U or L belong there, with one space between."
    return TokenError(data, offset, rule)


class _Chunk:
    """The tokens in codes[start:stop], where start begins a token and stop follows a space.

    Attributes:
        first: (tokens,) the code of each token's first character, or of the space behind an empty one.
        sizes: (tokens,) the number of characters behind the sign.
        is_letter: (tokens,), or (0,) where no letter stands.
    """

    def __init__(self, codes: NDArray[np.uint8], start: int, stop: int) -> None:
        # The space before the first token, then those behind each, counted from the former.
        self._spaces = np.flatnonzero(codes[start - 1 : stop] == _SPACE)
        self.first = codes[start:stop].take(self._spaces[:-1])
        self._is_negative = self.first == _MINUS
        self.sizes = np.subtract(self._spaces[1:], self._spaces[:-1])
        self.sizes -= 1
        self.sizes -= self._is_negative
        self.is_letter: _Marks = np.empty(0, np.bool_)
        self._codes, self._start = codes, start

    def offset(self, index: int) -> int:
        """Where a token begins in codes."""
        return self._start + int(self._spaces[index])

    def read_into(self, values: NDArray[np.float64]) -> list[int]:
        """Write (tokens,) numbers, nan for letters; return the indices of tokens that are neither."""
        word = self._words(8)
        only_digits = not _odd_characters(word).any() or self._take_letters(word)
        faults: list[int] = []
        # A size of 0 wraps around to the largest number.
        if only_digits and (self.sizes - 1).view(np.uint64).max() < 8:
            values[:] = _join(word).view(np.int64)
        else:
            faults = np.flatnonzero(self._read_decimals_into(values, word)).tolist()
        values *= np.where(self._is_negative, -1.0, 1.0)
        if len(self.is_letter):
            values[self.is_letter] = np.nan
        return faults

    def _words(self, reach: int) -> _Words:
        """(tokens,) the eight characters from `reach` before the end, digits as 0 to 9; 0 for what is not theirs."""
        before = self._start - 1 - reach
        anywhere = np.ndarray((len(self._codes) - before - 7,), "<u8", self._codes.data, before, (1,))
        word: _Words = anywhere[self._spaces[1:]].astype(np.uint64, copy=False)
        word ^= _ZEROS
        foreign = self.sizes * -8
        foreign += 8 * reach
        np.maximum(foreign, 0, out=foreign)
        word >>= foreign.view(np.uint64)
        word <<= foreign.view(np.uint64)
        return word

    def _take_letters(self, word: _Words) -> bool:
        """Mark the letters and put 0 in their place; return whether that leaves only digits."""
        is_letter = _IS_LETTER.take(self.first)
        is_letter &= self.sizes == 1
        if is_letter.any():
            self.is_letter = is_letter
            word[is_letter] = 0
        return not _odd_characters(word).any()

    def _read_decimals_into(self, values: NDArray[np.float64], word: _Words) -> _Marks:
        """Write the numbers without their signs; return where there are none."""
        longest = int(self.sizes.max())
        point, wrong = _take_point(word)
        wrong |= point >> _LAST_BYTE != 0
        wrong |= self.sizes == 0
        mantissa, decimals = _join(word), _characters_behind(point)
        if longest > 8:
            word = self._words(16)
            earlier_point, earlier_wrong = _take_point(word)
            wrong |= earlier_wrong
            wrong |= (point != 0) & (earlier_point != 0)
            mantissa += _join(word) * np.where(point != 0, _SEVEN_PLACES, _EIGHT_PLACES)
            decimals += _characters_behind(earlier_point)
            decimals += (earlier_point != 0) * _EIGHT
            point |= earlier_point
        # Where more than one point stands, the number of decimals is void.
        powers = _POWERS_OF_TEN.take(decimals.view(np.int64), mode="clip")
        np.divide(mantissa.view(np.int64), powers, out=values)
        if longest > 15:
            wrong |= self._wrong_beyond_16(point, longest)
            self._read_slowly_into(values, ~wrong & ((self.sizes > 16) | (mantissa > _EXACT_INTEGERS)))
        wrong |= values > LARGEST_MAGNITUDE
        return wrong

    def _wrong_beyond_16(self, point: _Words, longest: int) -> _Marks:
        wrong: _Marks = self.sizes > LONGEST_TOKEN - self._is_negative
        has_point = point != 0
        for reach in range(24, min(longest + 7, LONGEST_TOKEN) + 1, 8):
            earlier_point, earlier_wrong = _take_point(self._words(reach))
            wrong |= earlier_wrong
            wrong |= has_point & (earlier_point != 0)
            has_point |= earlier_point != 0
        return wrong

    def _read_slowly_into(self, values: NDArray[np.float64], selected: _Marks) -> None:
        tokens = self._codes[self._start : self._start + self._spaces[-1] - 1].tobytes().split(b" ")
        values[selected] = np.abs(np.fromiter(map(float, compress(tokens, selected.tolist())), np.float64))


def _odd_characters(word: _Words) -> _Words:
    """The high bit of each byte that is no digit."""
    odd = word + _ABOVE_NINE
    odd &= _HIGH_BITS
    return odd


def _take_point(word: _Words) -> tuple[_Words, _Marks]:
    """Take the decimal point out of each word, in place, by moving up what stands before it.

    Returns:
        The lowest bit of the byte where the point stood, 0 without one; and where anything but one point and digits
        stood.
    """
    point = _odd_characters(word)
    wrong: _Marks = (point & (point - _ONE)) != 0
    point >>= _SEVEN
    character = point * _POINT
    wrong |= (word & (point * _BYTE)) != character
    word -= character
    before = point - (point != 0)
    before &= word
    # 255 times what stands before, and itself, is that one byte higher.
    before *= _BYTE
    word += before
    return point, wrong


def _characters_behind(point: _Words) -> _Words:
    behind = point * _CHARACTERS_BEHIND
    behind >>= _LAST_BYTE
    return behind


def _join(word: _Words) -> _Words:
    """Turn eight digits, the first in the lowest byte, into their number, in place."""
    later = word >> _EIGHT
    word *= _TEN
    word += later
    # Each even byte holds a pair now: 0 to 99.
    np.right_shift(word, _SECOND_PAIR, out=later)
    word &= _ODD_PAIRS
    word *= _ODD_WEIGHTS
    later &= _ODD_PAIRS
    later *= _EVEN_WEIGHTS
    word += later
    word >>= _HALF
    return word
