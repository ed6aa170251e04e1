"""Everything that is wrong with one body: collected in the order in which it is met, told all at once.

A stage raises what it finds inside `with faults.at(…)`; the block is left, the stage goes on. The first fault gives the
answer its text and its status, as if it were the only one. Source: docs/http.md, "Faults".
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final, ParamSpec, TypeVar, cast

from common.errors import BodyFault, CompileError, DecodeError
from supervisor.compiler.origin import Origin
from supervisor.reading.messages import Steps
from supervisor.reading.recording import MAX_FAULTS

V1_HINT: Final = (
    "body is not a v2 scenario. Sonda only accepts v2 scenario bodies (`version: 2` at the top level). "
    "Migrate this body to v2 — see docs/configuration/v2-scenarios.md for the migration guide."
)
_P = ParamSpec("_P")
_T = TypeVar("_T")


def compile_fault(
    phase: str, message: str, status: int = 400, *, at: Steps = (), hint: str | None = None
) -> CompileError:
    """Return the error of a body that does not compile in `phase`, e.g. `normalize`."""
    return CompileError(
        f"v2 scenario body failed to compile: {phase} error: {message}", status, problem=message, at=at, hint=hint
    )


def parse_fault(error: DecodeError) -> CompileError:
    """Return the error of a body whose text or fields cannot be read."""
    return reworded(error, compile_fault("parse", f"YAML parse error: {error}", error.status))


def runtime_fault(index: int, error: DecodeError) -> CompileError:
    """Return the 422 of compiled entry `index` (0-based, packs expanded) with a value that cannot run."""
    return reworded(error, CompileError(f"configuration error: scenario[{index}]: {error}", 422))


def reworded(error: DecodeError, whole: CompileError) -> CompileError:
    """Return `whole`, the answer's text, with the problem and the place of `error`."""
    whole.problem, whole.hint = error.problem, error.hint or getattr(error.__cause__, "hint", None)
    whole.at = error.at or whole.at
    whole.on_key, whole.line, whole.column = error.on_key, error.line, error.column
    return whole


class Faults:
    """The faults of one body.

    Args:
        origin: where the parts of the body stand.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._first: CompileError | None = None
        self._found: list[tuple[CompileError | DecodeError, Steps]] = []
        self._recorded = 0
        self._base: Steps = ()
        self._word: Callable[[DecodeError], CompileError] = parse_fault

    def __bool__(self) -> bool:
        return self._first is not None

    @contextmanager
    def at(
        self, *steps: str | int, word: Callable[[DecodeError], CompileError] | None = None
    ) -> Iterator[Callable[[], bool]]:
        """Record what is raised in the block; it stands at `steps` from the place of the enclosing block.

        Args:
            steps: keys and indexes.
            word: makes the answer's text of a DecodeError; without one that of the enclosing block does.

        Yields:
            tells whether nothing was recorded since the block was entered.
        """
        outer, known = (self._base, self._word), self._recorded
        self._base, self._word = (*self._base, *steps), word or self._word
        try:
            yield lambda: self._recorded == known
        except (CompileError, DecodeError) as exc:
            # What `close` raised passes by on its way out.
            if exc is not self._first:
                self.add(exc)
        finally:
            self._base, self._word = outer

    def entry(
        self, index: int, word: Callable[[DecodeError], CompileError] | None = None
    ) -> AbstractContextManager[Callable[[], bool]]:
        """Return the block for what is wrong with entry `index`, counted after packs once they are expanded."""
        return self.at(*self._origin.entries[index], word=word)

    def try_at(self, steps: Steps, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return what `function` returns. After a fault the value is None, and nobody uses it before `close` raises."""
        with self.at(*steps):
            return function(*args, **kwargs)
        return cast("_T", None)

    def add(self, error: CompileError | DecodeError, told: Sequence[CompileError | DecodeError] = ()) -> None:
        """Record `error`; where it speaks of several faults, `told` has them one by one."""
        if self._first is None:
            self._first = error if isinstance(error, CompileError) else self._word(error)
        # Also what finds no room: whoever asks must not go on with an entry that has a fault.
        self._recorded += 1
        room = MAX_FAULTS - len(self._found)
        self._found += [(fault, (*self._base, *fault.at)) for fault in (told or [error])[:room]]

    def close(self) -> None:
        """Raise CompileError when anything was recorded: the first, which carries all of them."""
        if self._first is None:
            return
        self._first.faults = tuple(dict.fromkeys(self._shown()))[:MAX_FAULTS]
        raise self._first

    def _shown(self) -> list[BodyFault]:
        places = self._origin.locate([(steps, fault.on_key) for fault, steps in self._found])
        shown: list[BodyFault] = []
        for (fault, _), place in zip(self._found, places, strict=True):
            line, column = self._origin.posted(fault.line, fault.column) if fault.line else (place.line, place.column)
            hint = fault.hint or getattr(fault.__cause__, "hint", None)
            shown.append(BodyFault(place.path, line or None, column or None, fault.problem, hint))
        return shown
