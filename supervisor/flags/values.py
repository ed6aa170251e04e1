"""The values of flags: readers whose errors name what was expected, and what was found."""

import argparse
import ipaddress
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

_MAX_INTEGER: Final = 2**63 - 1
# sun_path of Linux holds 108 bytes with its terminating zero.
_MAX_SOCKET_PATH_BYTES: Final = 107


def socket_path(text: str) -> str:
    """Return an absolute path that fits into the address of a Unix socket."""
    if not text.startswith("/") or len(os.fsencode(text)) > _MAX_SOCKET_PATH_BYTES:
        raise argparse.ArgumentTypeError(
            f"expected an absolute path of at most {_MAX_SOCKET_PATH_BYTES} bytes, found {text!r}"
        )
    return text


class OnceSwitch(argparse.Action):
    """Is given once or not at all."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: Any) -> None:
        """Turn it on."""
        if getattr(namespace, self.dest):
            parser.error(f"argument {self.option_strings[0]}: given twice")
        setattr(namespace, self.dest, True)


class Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print it and exit."""
        from importlib import metadata

        sys.stdout.write(f"{parser.prog} {metadata.version('sondad')}\n")
        parser.exit()


def integer(low: int, high: int = _MAX_INTEGER) -> Callable[[str], int]:
    """Return a reader of whole numbers within bounds."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 20 and low <= int(text) <= high):
            bounds = f"{low} or more" if high == _MAX_INTEGER else f"{low} to {high}"
            raise argparse.ArgumentTypeError(f"expected a whole number, {bounds}, found {text!r}")
        return int(text)

    return parse


def log_filter(text: str) -> str:
    """Return a text that says which log lines are shown."""
    from common.logs import is_filter

    if not is_filter(text):
        raise argparse.ArgumentTypeError(f"expected a level such as info, or TARGET=LEVEL,…, found {text!r}")
    return text


def origin(text: str) -> str:
    """Return scheme and authority of a URL, as browsers send them."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query:
        raise argparse.ArgumentTypeError(f"expected scheme, host and port such as https://dash:3000, found {text!r}")
    return f"{parts.scheme}://{parts.netloc}".lower()


def address(text: str) -> str:
    """Return an IP address, without brackets."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(
            f"expected an IP address such as 127.0.0.1, 0.0.0.0 or [::1], found {text!r}"
        ) from exc


def directory(text: str) -> Path:
    """Return the absolute path of a directory that exists."""
    path = Path(text).absolute()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"expected a directory that exists, found {text!r}")
    return path


def variable(text: str) -> str:
    """Return the name of a variable, or a pattern of names."""
    if not re.fullmatch(r"[A-Za-z0-9_*?\[\]-]+", text):
        raise argparse.ArgumentTypeError(f"expected the name of a variable, or a pattern such as APP_*, found {text!r}")
    return text
