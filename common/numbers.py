"""Numbers as the text formats spell them, a column at a time.

A column is float64[n]; its text is n numbers separated by commas, which no number contains. All digits of a column
come from one call of msgspec, which writes the shortest decimal as JSON does; what a format spells differently is
then put right, and only where the column has such values.

Source: encoder contract, section 4.
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
    """Shortest decimals without exponent: `7`, `0.00001`, `NaN`, `-inf`. Source: encoder contract, section 4.1."""

    def one(self, value: float) -> bytes:
        """Return the text of one number."""
        return number_text(value).encode()

    def column(self, values: Column) -> bytes:
        """Return the texts of `values`, separated by commas."""
        numbers = values.tolist()
        points_to_drop = False
        with np.errstate(all="ignore"):
            scaled = values * 2.0**25
            dyadic = scaled == np.rint(scaled)
            if dyadic.any():
                integral = values == np.rint(values)
                if integral.all() and np.abs(values).max() < 2.0**53 and not np.signbit(values[values == 0]).any():
                    return _json(values.astype(np.int64).tolist())[1:-1]
                points_to_drop = bool(integral.any())
                _respell(numbers, values, _possible_ties(values, np.flatnonzero(dyadic & ~integral)))
            texts = _json(numbers)
            if b"e" in texts or b"n" in texts:
                magnitudes = np.abs(values)
                positional = (magnitudes < 1e16) & (magnitudes >= 1e-4) | (magnitudes == 0)
                _respell(numbers, values, np.flatnonzero(~positional))
                texts = _json(numbers)
        if points_to_drop:
            return texts[1:-1].replace(b".0,", b",").removesuffix(b".0")
        return texts[1:-1]


def _respell(numbers: list[Any], values: Column, places: NDArray[np.intp]) -> None:
    for place in places.tolist():
        numbers[place] = _raw(values.item(place))


@lru_cache(maxsize=1024)
def _raw(value: float) -> msgspec.Raw:
    # The values are never zero, whose two signs the cache would confuse.
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
    """`decimals` digits after the point, ties to even: `2.50`, `-0`, `NaN`. Source: encoder contract, section 4.2."""

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
    """JSON numbers, `null` where there is none: `7.0`, `1e+16`, `1e-6`. Source: encoder contract, section 4.3."""

    def one(self, value: float) -> bytes:
        """Return the text of one number."""
        return _signed_exponents(_json(value))

    def column(self, values: Column) -> bytes:
        """Return the texts of `values`, separated by commas."""
        return _signed_exponents(_json(values.tolist())[1:-1])


def _signed_exponents(texts: bytes) -> bytes:
    return texts.replace(b"e", b"e+").replace(b"e+-", b"e-") if b"e" in texts else texts


class RoundedJson:
    """JSON numbers rounded to `decimals`, half away from zero. Source: encoder contract, section 4.4."""

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
