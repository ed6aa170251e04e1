"""A file that says what flags say: a key for each, without its dashes and with `_` for `-`.

A switch is `true` or `false`, a flag that may be repeated takes a list. What stands on the command line wins.
Source: docs/operating.md, "Configuration file".
"""

import argparse
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from common.errors import DecodeError, FlagFileError, SondadError, os_error_text
from supervisor.reading.messages import did_you_mean
from supervisor.reading.nodes import MappingNode, Node, ScalarNode, SequenceNode
from supervisor.reading.scalars import bool_of, is_null
from supervisor.reading.yaml_text import read_yaml

MAX_FILE_BYTES: Final = 1024 * 1024
_NO_KEYS: Final = frozenset({"help", "version", "config"})
_KEY: Final = "api_key"


class _WrongValueError(SondadError):
    """What the parser says of a value."""


def words_of(path: Path, parser: argparse.ArgumentParser, given: Collection[str] = ()) -> list[str]:
    """Return what a file says, as words of a command line.

    Args:
        path: of the file.
        parser: of the flags; its errors are caught, so it is good for nothing else afterwards.
        given: flags of the command line, such as `--port`; the file does not count for them.

    Raises:
        FlagFileError: it cannot be read, or something in it is no flag or has no value that the flag takes.
    """
    root = _read(path)
    named = {action.option_strings[-1][2:].replace("-", "_"): action for action in parser._actions}
    flags = {key: action for key, action in named.items() if key not in _NO_KEYS}
    decided = _decided(parser, given)
    words: list[str] = []
    faults: list[str] = []
    seen: set[str] = set()
    for key, value in root.items:
        name = key.text if isinstance(key, ScalarNode) else ""
        place = f"{path}:{key.line}:{key.column}"
        if name not in flags:
            faults.append(f"{place}: unknown key `{name}`{_hint(name, flags)}")
            continue
        if name in seen:
            faults.append(f"{place}: `{name}` stands twice")
        seen.add(name)
        action = flags[name]
        try:
            said = list(_words(action, value))
            _check(parser, said)
        except _WrongValueError as exc:
            faults.append(f"{path}:{value.line or key.line}:{value.column or key.column}: {name}: {exc}")
        else:
            words += [] if action.option_strings[-1] in decided else said
    for group in parser._mutually_exclusive_groups:
        both = [key for key in seen if key in flags and flags[key] in group._group_actions]
        if len(both) > 1:
            faults.append(f"{path}: `{'` and `'.join(sorted(both))}` exclude each other")
    if faults:
        raise FlagFileError(faults)
    return words


def exposed_secret(path: Path) -> str | None:
    """Return what is wrong with the mode of a file that has the key, or None."""
    if _KEY not in {key.text for key, _ in _read(path).items if isinstance(key, ScalarNode)}:
        return None
    if not path.stat().st_mode & stat.S_IROTH:
        return None
    return f"{path} has the API key and every user can read it; chmod 640 it, with the group of the daemon"


def _read(path: Path) -> MappingNode:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise FlagFileError([f"{path}: the configuration file cannot be read: {os_error_text(exc)}"]) from exc
    if len(content) > MAX_FILE_BYTES:
        raise FlagFileError([f"{path}: the configuration file has more than {MAX_FILE_BYTES} bytes"])
    try:
        root = read_yaml(content.decode())
    except UnicodeDecodeError as exc:
        raise FlagFileError([f"{path}: the configuration file is no UTF-8"]) from exc
    except DecodeError as exc:
        place = f":{exc.line}:{exc.column}" if exc.line else ""
        raise FlagFileError([f"{path}{place}: {exc.problem}"]) from exc
    if is_null(root):
        return MappingNode([])
    if not isinstance(root, MappingNode):
        raise FlagFileError([f"{path}: expected keys with values, such as `port: 9000`"])
    return root


def _decided(parser: argparse.ArgumentParser, given: Collection[str]) -> set[str]:
    """Return the flags that the command line decides: those given, and what none of them may stand beside."""
    decided = set(given)
    for group in parser._mutually_exclusive_groups:
        options = {option for action in group._group_actions for option in action.option_strings}
        decided |= options if options & set(given) else set()
    return decided


def _words(action: argparse.Action, value: Node) -> Iterator[str]:
    option = action.option_strings[-1]
    is_switch = action.nargs == 0
    may_repeat = isinstance(action, argparse._AppendAction)
    if may_repeat and isinstance(value, SequenceNode):
        for item in value.items:
            yield f"{option}={_text(item)}"
    elif is_switch:
        said = bool_of(value.text) if isinstance(value, ScalarNode) and value.plain else None
        if said is None:
            raise _WrongValueError("expected true or false")
        yield from [option] if said else []
    else:
        yield f"{option}={_text(value)}"


def _text(value: Node) -> str:
    if not isinstance(value, ScalarNode) or is_null(value):
        raise _WrongValueError("expected one value")
    return value.text


def _check(parser: argparse.ArgumentParser, words: list[str]) -> None:
    def refuse(message: str) -> None:
        raise _WrongValueError(message.partition(": ")[2] or message)

    parser.error = refuse  # type: ignore[method-assign,assignment]
    parser.parse_args(words)


def _hint(name: str, known: Collection[str]) -> str:
    hint = did_you_mean(name.replace("-", "_"), known)
    return f"; {hint}" if hint else ""
