"""Which files a scenario may name. Source: docs/operating.md, "Start"."""

from pathlib import Path

from common.errors import DecodeError
from common.units import clip, quote
from supervisor.reading.messages import Steps


def check_path(path: str, allowed_paths: tuple[Path, ...], at: Steps = ()) -> None:
    """Raise DecodeError when `path`, links followed, lies outside every allowed root."""
    said = f"path {quote(clip(path))}"
    if "\0" in path:
        raise DecodeError(f"{said} holds a NUL character", at=at)
    if not allowed_paths:
        return
    try:
        resolved = Path(path).resolve()
    except (OSError, RuntimeError) as exc:
        raise DecodeError(f"{said} cannot be resolved: {exc}", at=at) from exc
    if not any(resolved.is_relative_to(root) for root in allowed_paths):
        roots = ", ".join(str(root) for root in allowed_paths)
        raise DecodeError(
            f"{said} is outside the allowed roots {roots}; start the daemon with --allow-path DIR to permit another",
            at=at,
        )
