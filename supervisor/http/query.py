"""Query parameters that are read the same way everywhere; what cannot be used is refused in words.

Source: docs/http.md, "Answers".
"""

import re
from collections.abc import Callable
from typing import Final, TypeVar

import falcon

from supervisor.http.errors import BadQuery

T = TypeVar("T")

_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}
_DIGITS: Final = re.compile(r"0*([0-9]{1,20})", re.ASCII)


def flag(req: falcon.Request, name: str) -> bool:
    """Return whether a parameter is true; false when it is not there.

    Raises:
        BadQuery: it is neither true nor false.
    """
    value = req.params.get(name, "false")
    if not isinstance(value, str) or value not in _FLAGS:
        raise BadQuery(f"{name}: expected true or false")
    return _FLAGS[value]


def count(req: falcon.Request, name: str, default: int, most: int) -> int:
    """Return a parameter that is a whole number from 0 to `most`.

    Raises:
        BadQuery: it is something else.
    """
    text = req.params.get(name, str(default))
    digits = _DIGITS.fullmatch(text) if isinstance(text, str) else None
    if digits is None or int(digits[1]) > most:
        raise BadQuery(f"query parameter {name}: expected one decimal integer from 0 to {most}")
    return int(digits[1])


def parsed(req: falcon.Request, name: str, read: Callable[[str], T]) -> T | None:
    """Return what `read` makes of a parameter; None when it is not there.

    Raises:
        BadQuery: it is given twice, or `read` refuses it with a ValueError.
    """
    text = req.params.get(name)
    if text is None:
        return None
    if not isinstance(text, str):
        raise BadQuery(f"{name}: given more than once")
    try:
        return read(text)
    except ValueError as exc:
        raise BadQuery(f"{name}: {exc}") from exc
