"""The error tree.

::

    SondadError
    ├── TextError               something wrong in a text that somebody wrote, and where
    │   ├── CompileError        the posted text is wrong: an HTTP 4xx, nothing launched
    │   └── DecodeError         a text that does not read as its format or language (the caller translates it)
    │       ├── Told            a part that cannot be built; why was recorded (supervisor.reading.recording)
    │       └── UnlistableError a catalog of packs that cannot be listed (supervisor.compiler.packs.catalog)
    ├── DurationError           a duration text outside the grammar (the caller translates it)
    ├── EncoderError            this encoder can never take this event: the scenario ends
    ├── SinkError               the other side failed: counted, the scenario lives under `on_sink_error: warn`
    │   └── SinkOpenError       the destination could not be opened: the scenario ends
    ├── WireError               the peer of a control pipe is gone or sent something that is not a message
    ├── StartupError            the daemon cannot start: `Error: …` on stderr, exit code 1
    │   ├── FlagFileError       a configuration file that is wrong: exit code 2
    │   └── DirectoryTakenError another daemon has the state directory: exit code 3
    │
    │   supervisor.journal.journal
    ├── JournalError            the journal cannot be opened or written
    ├── DamagedJournalError     the file is no journal of this version
    ├── OtherLayoutError        the checkpoints are of another version (common.checkpoints)
    │
    │   supervisor.engine.control_plane: what a launch or an event may meet, with what only the supervisor knows
    ├── NameConflict            the name is taken: 409
    ├── CapacityError           no place for so many scenarios: 503
    ├── LaunchError             no worker took the scenario: 500
    ├── NotRunningError         a scenario that cannot be changed, for it has ended: 409
    ├── EventError              an event was not delivered, and by whose fault
    ├── CallTimeoutError        the main loop did not answer in time: 503
    │
    │   supervisor.http.errors: requests that are answered with an error
    ├── Unauthorized, Forbidden, UnknownScenario, BadQuery, UnresolvedReferences, BodyTooLarge, MethodNotAllowed
    ├── Unreadable              the catalog cannot be read: 500
    │
    │   the other processes and commands
    ├── CommandError            a command line that failed (supervisor.cli.failures)
    │   └── FaultyScenarioError a scenario file that cannot run
    ├── FetchError              no answer to a request of a command (supervisor.cli.fetch)
    ├── QueryError              no usable answer of a Prometheus or Alertmanager (supervisor.cli.queries)
    ├── ActionError             what a host of a fleet could not do (supervisor.fleet.actions)
    ├── RefusedRunError         a run that its hosts did not agree to (supervisor.fleet.agreement)
    ├── FleetError              a scheduler that cannot be used (supervisor.fleet.place)
    ├── RoundtripError          no answer of a server on this machine (supervisor.host.roundtrip)
    ├── RelayUnavailableError   the relay does not answer (supervisor.relay_link.client)
    ├── RefusedRequestError     a request that the relay answers with an error (supervisor.relay.net.answer)
    ├── DaemonRefusedError      an answer of the daemon that is none of those asked for (supervisor.cli.daemon.client)
    ├── SocketPathError         a socket that cannot be bound (supervisor.relay.net.unixsock)
    ├── LockHeldError           another relay has the directory (supervisor.relay.config.directories)
    ├── ConfigError             a relay configuration that is wrong (supervisor.relay.config.reader)
    └── StoreError              the relay's ledger cannot be read or written (supervisor.relay.ledger.files)

A subclass exists only because a caller decides something by it. Between processes a failure travels as its cause and
its text, never as a class: see `common.messages.Fault`.
"""

from dataclasses import dataclass
from typing import Literal

Cause = Literal["encoder", "sink", "runtime"]
"""Whose failure it was: the event did not suit its encoder, the destination did not take it, or anything else."""


class SondadError(Exception):
    """Base of every error raised on purpose.

    Attributes:
        cause: whose failure it is, when it ends a scenario or an event.
    """

    cause: Cause = "runtime"


@dataclass(frozen=True, slots=True)
class BodyFault:
    """One mistake in a posted text, as clients read it.

    Attributes:
        path: keys and indexes from the root, e.g. ``scenarios[2].sink.url``; empty for the text as a whole.
        line: 1-based, in the text as it was posted; None where the mistake has no place.
        column: 1-based, in characters.
        message: what is wrong, without its place.
        hint: one sentence that may help, or None.
    """

    path: str
    line: int | None
    column: int | None
    message: str
    hint: str | None = None


class TextError(SondadError):
    """Something wrong in a text that somebody wrote.

    Attributes:
        status: the HTTP status that it is answered with when it stands in a posted body.
        problem: what is wrong, without its place.
        at: the keys and indexes that lead to it from where the reader stood.
        on_key: whether it is the last key of `at` that is wrong, and not its value.
        line: 1-based; 0 where only `at` tells the place.
        column: 1-based, in characters; 0 as `line`.
        hint: one sentence that may help.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        *,
        problem: str | None = None,
        at: tuple[str | int, ...] = (),
        on_key: bool = False,
        line: int = 0,
        column: int = 0,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problem = message if problem is None else problem
        self.at = at
        self.on_key = on_key
        self.line = line
        self.column = column
        self.hint = hint


class CompileError(TextError):
    """A scenario text that cannot be launched; 400 when it does not compile, 422 when a value is unusable at run time.

    Attributes:
        faults: everything that was found, the one of the message first; empty until the whole text was looked at.
    """

    faults: tuple[BodyFault, ...] = ()

    @property
    def detail(self) -> str:
        """The text for the client, complete with its phase prefix."""
        return str(self)


class DecodeError(TextError):
    """A text that cannot be read, or a value that does not fit the language it is written in."""


class DurationError(SondadError):
    """A text that is not a duration; the message gives the reason and quotes the text.

    Attributes:
        hint: one sentence that may help.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class EncoderError(SondadError):
    """An event that the encoder can never take; ends the scenario under both sink policies."""

    cause = "encoder"


class SinkError(SondadError):
    """A write, flush or close that failed.

    Attributes:
        retriable: whether the same bytes may succeed later.
        delivered_bytes: how many leading bytes of the failed payload reached the destination, always whole events.
        one_event: whether only the event behind those failed, so that the ones after it may succeed.
        delivered_events: how many events of a failed request reached the destination all the same.
        in_doubt: whether the destination may have the bytes nevertheless: they were sent, and no answer came.
        retry_after_secs: how long the destination asked to be left alone.
    """

    cause = "sink"

    def __init__(
        self,
        message: str,
        *,
        retriable: bool = False,
        delivered_bytes: int = 0,
        one_event: bool = False,
        delivered_events: int = 0,
        in_doubt: bool = False,
        retry_after_secs: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.retriable = retriable
        self.delivered_bytes = delivered_bytes
        self.one_event = one_event
        self.delivered_events = delivered_events
        self.in_doubt = in_doubt
        self.retry_after_secs = retry_after_secs

    def without_frames(self) -> "SinkError":
        """Return it as a value to keep: without the frames that it has passed, which hold what was being delivered."""
        self.__traceback__ = self.__cause__ = self.__context__ = None
        return self


class SinkOpenError(SinkError):
    """A destination that could not be opened; ends the scenario with the reason in `last_sink_error`."""


class WireError(SondadError):
    """End of file, truncation or an undecodable message on a control pipe."""


class StartupError(SondadError):
    """A reason why the daemon cannot start, in one line for stderr."""


class FlagFileError(StartupError):
    """A configuration file that is wrong.

    Attributes:
        faults: a line for each, with the place.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class DirectoryTakenError(StartupError):
    """Another daemon has the state directory; the text names both."""


def os_error_text(error: OSError) -> str:
    """Return ``<strerror> (os error <errno>)``, the form of every operating-system reason shown to users.

    Source: docs/sinks.md, "How to see it".
    """
    return f"{error.strerror or error} (os error {error.errno})"
