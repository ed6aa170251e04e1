"""Numbers as the text formats spell them, a column at a time.

A column is float64[n]; its text is n numbers separated by commas, which no number contains. All digits of a column
come from one call of msgspec, which writes the shortest decimal as JSON does; what a format spells differently is
then put right, and only where the column has such values.

Source: docs/formats.md, "Numbers".
"""

from functools import lru_cache
from typing import Any, Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from common.units import number_text

Column = NDArray[np.float64]

_json = msgspec.json.Encoder().encode
_POWERS_OF_TEN: Final = 10.0 ** np.arange(26)
_MINUS_ZERO_BITS: Final = -(2**63)
_LARGEST_BELOW_HALF: Final = 0.49999999999999994


class NumberFormat(Protocol):
    """One spelling of numbers."""

    def one(self, value: float) -> bytes:
        """Return the text of one number."""
        ...

    def column(self, values: Column) -> bytes:
        """Return the texts of `values`, at least one, separated by commas."""
        ...


class Text:
    """Shortest decimals without exponent: `7`, `0.00001`, `NaN`, `-inf`. Source: docs/formats.md, "Numbers"."""

    def one(self, value: float) -> bytes:
        """Return the text of one number."""
        return number_text(value).encode()

    def column(self, values: Column) -> bytes:
        """Return the texts of `values`, separated by commas."""
        with np.errstate(all="ignore"):
            scaled = values * 2.0**25
            dyadic = scaled == np.rint(scaled)
            numbers = _with_integers(values, dyadic) if dyadic.any() else values.tolist()
            texts = _json(numbers)
            if b"e" in texts or b"n" in texts:
                magnitudes = np.abs(values)
                _respell(numbers, values, np.flatnonzero(~((magnitudes >= 1e-4) | (magnitudes == 0))))
                texts = _json(numbers)
        return texts[1:-1]


def _with_integers(values: Column, dyadic: NDArray[np.bool_]) -> list[Any]:
    """Return the values, the whole ones as integers, which JSON spells without `.0`.

    Above 2^53 the shortest decimal is not the integer's own, and no integer is -0: those are respelled.
    """
    integral = values == np.rint(values)
    whole = integral & (np.abs(values) < 2.0**53) & (values.view(np.int64) != _MINUS_ZERO_BITS)
    whole_count, integral_count = np.count_nonzero(whole), np.count_nonzero(integral)
    most, places = values, np.flatnonzero(whole)
    few: NDArray[Any] = values.astype(np.int64)
    if 2 * whole_count > len(values):
        most, few, places = few, values, np.flatnonzero(~whole)
    numbers: list[Any] = most.tolist()
    for place, number in zip(places.tolist(), few[places].tolist(), strict=True):
        numbers[place] = number
    if integral_count > whole_count:
        _respell(numbers, values, np.flatnonzero(integral & ~whole))
    if np.count_nonzero(dyadic) > integral_count:
        _respell(numbers, values, _possible_ties(values, np.flatnonzero(dyadic & ~integral)))
    return numbers


def _respell(numbers: list[Any], values: Column, places: NDArray[np.intp]) -> None:
    for place in places.tolist():
        numbers[place] = _raw(values.item(place))


@lru_cache(maxsize=1024)
def _raw(value: float) -> msgspec.Raw:
    # Of the two zeros, which the cache would confuse, only -0 ever comes here.
    return msgspec.Raw(number_text(value).encode())


def _possible_ties(values: Column, places: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return those of `places` where two shortest decimals may be equally near the value.

    At all of them the value has 1 to 25 fractional bits, which are as many decimals of its exact text. Only an exact
    text of 17 or more digits is longer than a shortest one.
    """
    magnitudes = np.abs(values[places])
    mantissas, exponents = np.frexp(magnitudes)
    bits = (mantissas * 2.0**53).astype(np.int64)
    _, lowest_bit = np.frexp((bits & -bits).astype(np.float64))
    fraction_bits = 54 - exponents - lowest_bit
    possible: NDArray[np.intp] = places[magnitudes * _POWERS_OF_TEN[fraction_bits] >= 0.9e16]
    return possible


class FixedText:
    """`decimals` digits after the point, ties to even: `2.50`, `-0`, `NaN`. Source: docs/formats.md, "Numbers"."""

    def __init__(self, decimals: int) -> None:
        self._pattern = f"%.{decimals}f"

    def one(self, value: float) -> bytes:
        """Return the text of one number."""
        return (self._pattern % value).replace("nan", "NaN").encode()

    def column(self, values: Column) -> bytes:
        """Return the texts of `values`, separated by commas."""
        pattern = ",".join([self._pattern] * len(values))
        return (pattern % tuple(values.tolist())).replace("nan", "NaN").encode()


class Json:
    """JSON numbers, `null` where there is none: `7.0`, `1e+16`, `1e-6`. Source: docs/formats.md, "Numbers"."""

    def one(self, value: float) -> bytes:
        """Return the text of one number."""
        return _signed_exponents(_json(value))

    def column(self, values: Column) -> bytes:
        """Return the texts of `values`, separated by commas."""
        return _signed_exponents(_json(values.tolist())[1:-1])


def _signed_exponents(texts: bytes) -> bytes:
    return texts.replace(b"e", b"e+").replace(b"e+-", b"e-") if b"e" in texts else texts


class RoundedJson:
    """JSON numbers rounded to `decimals`, half away from zero. Source: docs/formats.md, "Numbers"."""

    def __init__(self, decimals: int) -> None:
        self._scale = 10.0**decimals
        self._json = Json()

    def one(self, value: float) -> bytes:
        """Return the text of one number."""
        return self.column(np.array([value]))

    def column(self, values: Column) -> bytes:
        """Return the texts of `values`, separated by commas."""
        with np.errstate(all="ignore"):
            scaled = values * self._scale
            rounded = np.trunc(scaled + np.copysign(_LARGEST_BELOW_HALF, scaled)) / self._scale
        return self._json.column(rounded)


def text_format(precision: int | None) -> NumberFormat:
    """Return the spelling of the text formats: `precision` decimals, or full for None."""
    return Text() if precision is None else FixedText(precision)


def json_format(precision: int | None) -> NumberFormat:
    """Return the spelling of JSON: rounded to `precision` decimals, or full for None."""
    return Json() if precision is None else RoundedJson(precision)
