"""CSV files as replays read them: which lines count, what a number is, how header cells are split.

Source: docs/scenarios.md, "Replays".
"""

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from typing import Final

from common.errors import DecodeError, os_error_text
from common.files import open_parent
from common.plan import FileAccess
from common.units import clip, quote

MAX_CSV_BYTES: Final = 128 * 1024 * 1024
"""Of all files that the entries of one body replay: a few seconds of reading."""

MAX_LINE_CHARS: Final = 65_536

WHITE_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f"
    "\u205f\u3000"
)
"""Unicode White_Space, which is less than `str.strip` removes."""

_NUMBER: Final = re.compile(r"[+-]?(?:inf|infinity|nan|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)", re.ASCII | re.IGNORECASE)
# What `float` takes and the grammar does not: underscores, other digits, other blanks around the number.
_FLOAT_DIFFERS: Final = re.compile(rb"[_\x1c-\x1f\x80-\xff]")
_UNQUOTED: Final = re.compile(r'[^",]*')
_QUOTED: Final = re.compile(r'[^"]*(?:""[^"]*)*')
_CHUNK_BYTES: Final = 1024 * 1024


def read_csv(path: str, access: FileAccess, budget_bytes: int) -> bytes:
    """Return the content of a regular UTF-8 file of at most `budget_bytes`, without a byte order mark.

    Raises:
        DecodeError: the file cannot be opened, is no file, is too large, or is not UTF-8 (naming line and byte).
    """
    said = f"generator error: cannot read file {quote(clip(path))}"
    try:
        # Without O_NONBLOCK a named pipe would block the opening until a writer comes.
        descriptor = open_parent(path, access, writes=False).open(os.O_RDONLY | os.O_NONBLOCK)
        try:
            content = _read(descriptor, budget_bytes + 1)
        finally:
            os.close(descriptor)
    except OSError as exc:
        # That it cannot be read says it all when it is not there.
        reason = "" if exc.errno == errno.ENOENT else f": {os_error_text(exc)}"
        raise DecodeError(f"{said}{reason}") from exc
    if content is None:
        raise DecodeError(f"{said}: it is not a regular file")
    if len(content) > budget_bytes:
        raise DecodeError(
            f"{said}: the files of one body may have {MAX_CSV_BYTES} bytes together, and this one exceeds what is left"
        )
    for first_line, chunk in _chunks(content):
        try:
            chunk.decode()
        except UnicodeDecodeError as exc:
            line = first_line + chunk.count(b"\n", 0, exc.start)
            byte = exc.start - chunk.rfind(b"\n", 0, exc.start)
            raise DecodeError(f"{said}: line {line}, byte {byte} is not UTF-8 ({exc.reason})") from exc
    return content.removeprefix(b"\xef\xbb\xbf")


def counted_lines(path: str, content: bytes) -> Iterator[tuple[int, str]]:
    """Yield the 1-based number and the text of every line that is neither blank nor a comment, untrimmed.

    The path is for messages.

    Raises:
        DecodeError: a line is too long.
    """
    for first_line, chunk in _chunks(content):
        for number, line in enumerate(chunk.decode().split("\n"), first_line):
            if len(line) > MAX_LINE_CHARS:
                raise DecodeError(
                    f"generator error: cannot read file {quote(clip(path))}: line {number} has more than "
                    f"{MAX_LINE_CHARS} characters"
                )
            trimmed = line.strip(WHITE_SPACE)
            if trimmed and not trimmed.startswith("#"):
                yield number, line.removesuffix("\r")


def number_parser(content: bytes) -> Callable[[str], float]:
    """Return the function that reads a cell of this file as a number, raising ValueError for another text."""
    return _careful_number if _FLOAT_DIFFERS.search(content) else float


def is_number(cell: str) -> bool:
    """Say whether a cell holds a number, `nan` and `inf` included."""
    return _NUMBER.fullmatch(cell.strip(WHITE_SPACE)) is not None


def is_header(line: str) -> bool:
    """Say whether the first line that counts is a header: some cell other than the time is no number."""
    cells = line.split(",")
    return not all(is_number(cell) for cell in (cells[1:] or cells))


def split_quoted(line: str) -> list[str]:
    """Return the cells of a line: a quote opens and closes quoting and is dropped, `""` inside it is a quote.

    A comma inside quotes does not separate; quotes left open reach to the end of the line.
    """
    if '"' not in line:
        return line.split(",")
    cells: list[str] = []
    parts: list[str] = []
    place = 0
    while place <= len(line):
        plain = _UNQUOTED.match(line, place)
        parts.append(plain[0] if plain else "")
        place += len(parts[-1])
        if line[place : place + 1] == '"':
            quoted = _QUOTED.match(line, place + 1)
            parts.append((quoted[0] if quoted else "").replace('""', '"'))
            place = quoted.end() + 1 if quoted else place + 1
        else:
            cells.append("".join(parts))
            parts.clear()
            place += 1
    if parts:
        cells.append("".join(parts))
    return cells


def _careful_number(cell: str) -> float:
    text = cell.strip(WHITE_SPACE)
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text)


def _read(descriptor: int, limit: int) -> bytes | None:
    """Return the first `limit` bytes of a regular file; None for anything else."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return None
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(limit)


def _chunks(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the content in pieces of whole lines, each with the number of its first line and without its last feed."""
    begin, line = 0, 1
    while begin < len(content):
        end = content.find(b"\n", begin + _CHUNK_BYTES)
        end = len(content) if end < 0 else end
        chunk = content[begin:end]
        yield line, chunk
        line += chunk.count(b"\n") + 1
        begin = end + 1
