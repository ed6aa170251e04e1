"""Bodies on their way to the engine, from several threads at once."""

import gc
import threading

import pytest

from common.clock import SystemClock
from common.errors import CompileError
from supervisor.compiler.language.document import BodyFormat
from supervisor.intake import intake
from supervisor.reading.nodes import MappingNode
from supervisor.settings import parse_settings
from tests.support.memory_plane import MemoryControlPlane


@pytest.fixture
def bodies() -> intake.Intake:
    return intake.Intake(MemoryControlPlane(), parse_settings("sondad", [], {}), SystemClock())


def test_one_body_is_compiled_at_a_time(bodies: intake.Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are brought at once, they do not compete with each other and the probes for the interpreter."""
    compiling, most, all_brought = 0, 0, threading.Barrier(6)

    def slow(*_: object) -> None:
        nonlocal compiling, most
        compiling += 1
        most = max(most, compiling)
        # Whoever could come in as well would come in now.
        threading.Event().wait(0.01)
        compiling -= 1

    monkeypatch.setattr(intake, "compile_scenario", slow)

    def bring() -> None:
        all_brought.wait(20)
        bodies.compile(b"", BodyFormat.YAML)

    threads = [threading.Thread(target=bring) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == 1


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_collector_is_as_it_was(bodies: intake.Intake, is_enabled: bool) -> None:
    """It rests while a body is compiled, and afterwards it is what it was, also when the body is wrong."""
    assert gc.isenabled()
    if not is_enabled:
        gc.disable()
    try:
        with pytest.raises(CompileError):
            bodies.compile(b"nothing: at all", BodyFormat.YAML)
        assert gc.isenabled() is is_enabled
    finally:
        gc.enable()


def test_a_refused_body_is_forgotten(bodies: intake.Intake) -> None:
    """A refusal holds its faults, and none of the objects that the body was read into."""

    def nodes() -> int:
        # In some versions of Python an error that was caught is a cycle with its frames.
        gc.collect()
        return sum(isinstance(one, MappingNode) for one in gc.get_objects())

    before = nodes()
    wrong = ",".join(f'"field{index}":{{}}' for index in range(500))
    refusals = []
    for _ in range(5):
        with pytest.raises(CompileError) as caught:
            bodies.compile(f'{{"version":2,"scenarios":[{{{wrong}}}]}}'.encode(), BodyFormat.JSON)
        refusals.append(caught.value)
    assert all(refusal.faults for refusal in refusals)
    assert nodes() <= before
