"""Numbers as the text formats spell them, a column at a time.

A column is float64[n]; its text is n numbers separated by commas, which no number contains. All digits of a column
come from one call of orjson, which reads the array itself and writes the shortest decimals; what a format spells
differently is then put right, and only where the column has such values.

Source: docs/formats.md, "Numbers".
"""

from functools import lru_cache
from typing import Final, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from common.units import number_text

Column = NDArray[np.float64]

_POWERS_OF_TEN: Final = 10.0 ** np.arange(26)
_BITS_OF_2_53: Final = int(np.float64(2.0**53).view(np.uint64))
_LARGEST_BELOW_HALF: Final = 0.49999999999999994


class NumberFormat(Protocol):
    """One spelling of numbers."""

    def one(self, value: float) -> bytes:
        """Return the text of one number."""
        ...

    def column(self, values: Column) -> bytes:
        """Return the texts of `values`, at least one, separated by commas."""
        ...


def json_column(numbers: NDArray[np.float64] | NDArray[np.int64]) -> bytes:
    """Return the JSON of numbers, separated by commas; they may be a column of a table."""
    return orjson.dumps(np.ascontiguousarray(numbers), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]


class Text:
    """Shortest decimals without exponent: `7`, `0.00001`, `NaN`, `-inf`. Source: docs/formats.md, "Numbers"."""

    def one(self, value: float) -> bytes:
        """Return the text of one number."""
        return number_text(value).encode()

    def column(self, values: Column) -> bytes:
        """Return the texts of `values`, separated by commas."""
        if values.item(0).is_integer() and _all_counts(values):
            return json_column(values.astype(np.int64))
        texts = json_column(values)
        with np.errstate(all="ignore"):
            scaled = values * 2.0**25
            dyadic = scaled == np.rint(scaled)
            has_dyadic = dyadic.any()
            if has_dyadic or b"e" in texts or b"n" in texts:
                texts = _respelled(texts, values, _places_of_others(values, dyadic))
        return _without_zero_decimals(texts) if has_dyadic else texts


def _all_counts(values: Column) -> bool:
    """Whether all are whole numbers from 0, without a sign, to where integers have gaps."""
    return bool(values.view(np.uint64).max() < _BITS_OF_2_53 and (values == np.rint(values)).all())


def _places_of_others(values: Column, dyadic: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return where JSON has an exponent or no number, or where two shortest decimals may be equally near."""
    magnitudes = np.abs(values)
    others = np.flatnonzero(~(((magnitudes >= 1e-4) & (magnitudes < 2.0**53)) | (magnitudes == 0)))
    fractions = np.flatnonzero(dyadic & (values != np.rint(values)))
    return np.concatenate((others, _possible_ties(values, fractions))) if len(fractions) else others


def _respelled(texts: bytes, values: Column, places: NDArray[np.intp]) -> bytes:
    if not len(places):
        return texts
    cells = texts.split(b",")
    for place in places.tolist():
        cells[place] = _spelled(values.item(place))
    return b",".join(cells)


@lru_cache(maxsize=1024)
def _spelled(value: float) -> bytes:
    # Zeros, two of which the cache would confuse, never come here.
    return number_text(value).encode()


def _without_zero_decimals(texts: bytes) -> bytes:
    return texts.replace(b".0,", b",").removesuffix(b".0")


def _possible_ties(values: Column, places: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return those of `places` where two shortest decimals may be equally near the value.

    At all of them the value has 1 to 25 fractional bits, which are as many decimals of its exact text. In the middle
    between two decimals is one with a digit more, and a shortest one has 16 or 17 digits, or is exact.
    """
    magnitudes = np.abs(values[places])
    mantissas, exponents = np.frexp(magnitudes)
    bits = (mantissas * 2.0**53).astype(np.int64)
    _, lowest_bit = np.frexp((bits & -bits).astype(np.float64))
    fraction_bits = 54 - exponents - lowest_bit
    digits = magnitudes * _POWERS_OF_TEN[fraction_bits]
    possible: NDArray[np.intp] = places[(digits >= 0.9e16) & (digits < 1.1e18)]
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


class JsonNumbers:
    """JSON numbers, `null` where there is none: `7.0`, `1e+16`, `1e-6`. Source: docs/formats.md, "Numbers"."""

    def one(self, value: float) -> bytes:
        """Return the text of one number."""
        return orjson.dumps(value)

    def column(self, values: Column) -> bytes:
        """Return the texts of `values`, separated by commas."""
        return json_column(values)


class RoundedJson:
    """JSON numbers rounded to `decimals`, half away from zero. Source: docs/formats.md, "Numbers"."""

    def __init__(self, decimals: int) -> None:
        self._scale = 10.0**decimals
        self._json = JsonNumbers()

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
    return JsonNumbers() if precision is None else RoundedJson(precision)
