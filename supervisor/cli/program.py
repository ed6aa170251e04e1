"""From `sys.argv` to an exit code: reading, running, and one form for everything that goes wrong.

Source: docs/command-line.md, "Exit codes" and "Streams".
"""

import os
import sys
from collections.abc import Sequence

import click

from common.errors import SondadError
from supervisor.cli.failures import ABANDONED, FAILED, MISUSED, OK, CommandError, FaultyScenarioError
from supervisor.cli.grammar import Program
from supervisor.cli.options import similar
from supervisor.cli.table import PROGRAMS

_SUMMARIES = {
    "sonda": "Synthetic telemetry: runs scenario files, and tests alert rules with them.",
    "sondad": "Synthetic telemetry at the speed of the hardware, and a local check relay.",
}


def program(name: str) -> Program:
    """Return the grammar of `sonda` or `sondad`."""
    return Program(name, _SUMMARIES[name], PROGRAMS[name])


def run(name: str, arguments: Sequence[str]) -> int:
    """Run a command line; returns the exit code.

    Args:
        name: of the program.
        arguments: without the program's name.
    """
    _open_standard_descriptors()
    _be_lenient_with_encodings()
    grammar = program(name)
    try:
        # Not by click's own `main`, which ends with 1 when the reader of standard output has left.
        with grammar.make_context(name, list(arguments)) as context:
            code = grammar.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.UsageError as exc:
        _say(_usage_text(exc))
        return MISUSED
    except FaultyScenarioError as exc:
        # The texts of `sonda` are those that its users know.
        _say(f"error: {exc if name == 'sonda' else _tell_all(exc)}")
        return exc.code
    except CommandError as exc:
        _say(f"error: {exc}")
        return exc.code
    except SondadError as exc:
        _say(f"error: {exc}")
        return FAILED
    except BrokenPipeError:
        # The reader has what it wanted; what is still buffered must not be tried again at exit.
        _discard_stdout()
        return OK
    except (KeyboardInterrupt, EOFError, click.Abort):
        return ABANDONED
    except OSError as exc:
        _say(f"error: runtime error: {exc}")
        return FAILED
    except Exception as exc:
        if os.environ.get("RUST_LOG") in ("debug", "trace"):
            raise
        _say(f"error: runtime error: unexpected fault: {exc}; RUST_LOG=debug shows where")
        return FAILED
    return OK if code is None else int(code)


def _tell_all(error: FaultyScenarioError) -> str:
    """Print every fault with its place; returns what to say of all of them."""
    if not error.faults:
        return str(error)
    from dataclasses import asdict

    from supervisor.cli.faults import print_faults

    print_faults(error.reference, [asdict(fault) for fault in error.faults])
    number = len(error.faults)
    return f"{error.reference} has {number} fault{'s' if number > 1 else ''}; nothing was started"


def _usage_text(error: click.UsageError) -> str:
    context = error.ctx
    if context is None:
        return f"error: {_message(error)}"
    # What is wrong with a value is not to be seen in the usage.
    shows_usage = type(error) is not click.BadParameter
    usage = context.get_usage().replace("Usage:", "\nUsage:", 1) + "\n" if shows_usage else ""
    return f"error: {_message(error)}\n{usage}\nFor more information, try '--help'."


def _message(error: click.UsageError) -> str:
    match error:
        case click.NoSuchOption(option_name=name, possibilities=known):
            return f"unexpected argument '{name}' found{similar(name, known or (), 'argument')}"
        case click.BadOptionUsage():
            return f"a value is required for '{error.option_name}' but none was supplied"
        case click.MissingParameter(param=click.Argument() as param):
            return f"the following required arguments were not provided:\n  <{param.human_readable_name}>"
        case click.BadParameter(param=click.Argument() as param):
            return f"invalid value for <{param.human_readable_name}>: {error.message.removesuffix('.')}"
    return error.message.removesuffix(".")


def _say(text: str) -> None:
    try:
        sys.stdout.flush()
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OSError:
        _discard_stdout()


def _discard_stdout() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _open_standard_descriptors() -> None:
    # A closed descriptor 0, 1 or 2 would be handed out to the next file, which everything printed would then go to.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - a descriptor, for the life of the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - as above
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as above


def _be_lenient_with_encodings() -> None:
    # Without a locale Python takes ASCII; what we print is UTF-8 whatever the environment says.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
