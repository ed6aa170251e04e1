"""How hosts are asked, whoever carries the questions."""

import time
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from supervisor.fleet.members import Facts

TICK_SECS: Final = 0.05
ANSWER_SECS: Final = 45.0
"""More than a daemon takes for a call, and than the task waits for it."""


class Answer(NamedTuple):
    """What came of a question to a host.

    Attributes:
        done: the result; None when it could not be had.
        fault: why not.
        is_silent: whether nobody answered, so that the host, its daemon or the scheduler may be gone.
        sent_ns: when it was asked, wall clock.
        came_ns: when the host had done it, wall clock.
    """

    done: Facts | None
    fault: str
    is_silent: bool
    sent_ns: int
    came_ns: int


class OpenQuestion(Protocol):
    """A question on its way."""

    def answer(self) -> Answer | None:
        """Return the answer, or None as long as there is none; never waits."""
        ...


class Asking(Protocol):
    """The way to the hosts."""

    def workers(self) -> frozenset[str]:
        """Return the addresses of the Dask workers there are now; none without a scheduler. Tries to find it again."""
        ...

    def ask(self, worker: str, action: str, request: Facts, timeout_secs: float) -> OpenQuestion:
        """Send a question to one Dask worker; asked once, whatever happens."""
        ...


def ask_all(asking: Asking, requests: Mapping[str, tuple[str, Facts]]) -> dict[str, Answer]:
    """Return the answers of Dask workers to their questions, once all have come.

    Args:
        asking: the way to them.
        requests: action and request for each worker.
    """
    asked = {worker: asking.ask(worker, action, request, ANSWER_SECS) for worker, (action, request) in requests.items()}
    answers: dict[str, Answer] = {}
    while True:
        for worker, question in asked.items():
            if worker not in answers and (answer := question.answer()) is not None:
                answers[worker] = answer
        if len(answers) == len(asked):
            return answers
        time.sleep(TICK_SECS)
