"""Which files a scenario may name. Source: docs/operating.md, "Files of scenarios"."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from common.errors import DecodeError, os_error_text
from common.files import is_beneath
from common.plan import FileAccess
from common.units import clip, quote
from supervisor.reading.messages import Steps

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)


def file_access(allowed_paths: Sequence[Path], catalog: Path | None, state: Path | None) -> FileAccess:
    """Return where files may be now.

    Args:
        allowed_paths: roots as given; none allows every path.
        catalog: directory that scenarios may not write to.
        state: directory that they may not use at all.
    """
    return FileAccess(
        roots=tuple(os.path.realpath(root) for root in allowed_paths),
        protected=() if catalog is None else (os.path.realpath(catalog),),
        hidden=() if state is None else (os.path.realpath(state),),
    )


def check_path(path: str, access: FileAccess, at: Steps = (), *, writes: bool = False) -> None:
    """Refuse a path that leads, links followed, where files may not be.

    Args:
        path: as written.
        access: where they may be.
        at: where the path is written, for the fault.
        writes: whether the file is to be written.

    Raises:
        DecodeError: with the path and the remedy.
    """
    said = f"path {quote(clip(path))}"
    if "\0" in path:
        raise DecodeError(f"{said} holds a NUL character", at=at)
    try:
        # Only this finds circles of links in every version of Python.
        Path(path).stat()
    except OSError as exc:
        if exc.errno not in _NOT_THERE:
            raise DecodeError(f"{said} cannot be resolved: {os_error_text(exc)}", at=at) from exc
    try:
        resolved = os.path.realpath(path)
    except OSError as exc:
        # A link on the way went while it was being followed.
        raise DecodeError(f"{said} cannot be resolved: {os_error_text(exc)}", at=at) from exc
    if writes and any(is_beneath(resolved, place) for place in access.protected):
        raise DecodeError(f"{said} is in the catalog, which scenarios may not write to", at=at)
    if any(is_beneath(resolved, place) for place in access.hidden):
        raise DecodeError(f"{said} is in the daemon's state directory, which scenarios may not use", at=at)
    if access.roots and not any(is_beneath(resolved, root) for root in access.roots):
        raise DecodeError(
            f"{said} is outside the allowed roots {', '.join(access.roots)}; start the daemon with --allow-path DIR to "
            "permit another",
            at=at,
        )
