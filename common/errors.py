"""The error tree.

::

    SondadError
    ├── CompileError            the posted text is wrong: an HTTP 4xx, nothing launched
    ├── DecodeError             a text that does not read as its format or language (the caller translates it)
    │   └── UnlistableError     a catalog of packs that cannot be listed (supervisor.compiler.packs.catalog)
    ├── DurationError           a duration text outside the grammar (the caller translates it)
    ├── EncoderError            this encoder can never take this event: the scenario ends
    ├── SinkError               the other side failed: counted, the scenario lives under `on_sink_error: warn`
    │   └── SinkOpenError       the destination could not be opened: the scenario ends
    ├── WireError               the peer of a control pipe is gone or sent something that is not a message
    ├── StartupError            the daemon cannot start: `Error: …` on stderr, exit code 1
    │
    │   supervisor.engine.control_plane: what a launch or an event may meet, with what only the supervisor knows
    ├── NameConflict            the name is taken: 409
    ├── CapacityError           no place for so many scenarios: 503
    ├── LaunchError             no worker took the scenario: 500
    ├── EventError              an event was not delivered, and by whose fault
    ├── CallTimeoutError        the main loop did not answer in time: 503
    │
    │   supervisor.http.errors: requests that are answered with an error
    ├── Unauthorized, Forbidden, UnknownScenario, BadQuery, UnresolvedReferences, BodyTooLarge, MethodNotAllowed
    │
    │   the other processes and commands
    ├── CommandError            a command line that failed (supervisor.cli.failures)
    ├── RoundtripError          no answer of a server on this machine (supervisor.host.roundtrip)
    ├── RelayUnavailableError   the relay does not answer (supervisor.relay_link.client)
    ├── RefusedError            a request that the relay answers with an error (supervisor.relay.net.answer)
    ├── SocketPathError         a socket that cannot be bound (supervisor.relay.net.unixsock)
    ├── LockHeldError           another relay has the directory (supervisor.relay.config.directories)
    ├── ConfigError             a relay configuration that is wrong (supervisor.relay.config.reader)
    └── StoreError              the relay's ledger cannot be read or written (supervisor.relay.ledger.store)

A subclass exists only because a caller decides something by it. Between processes a failure travels as its cause and
its text, never as a class: see `common.messages.Fault`.
"""

from typing import Literal

Cause = Literal["encoder", "sink", "runtime"]
"""Whose failure it was: the event did not suit its encoder, the destination did not take it, or anything else."""


class SondadError(Exception):
    """Base of every error raised on purpose.

    Attributes:
        cause: whose failure it is, when it ends a scenario or an event.
    """

    cause: Cause = "runtime"


class CompileError(SondadError):
    """A scenario text that cannot be launched.

    Attributes:
        detail: the text for the client, complete with its phase prefix.
        status: 400 when the text does not compile, 422 when a value is unusable at run time.
    """

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


class DecodeError(SondadError):
    """A text that cannot be read, or a value that does not fit the scenario language.

    Attributes:
        status: the HTTP status that this fault is answered with when it stands in a posted body.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class DurationError(SondadError):
    """A text that is not a duration; the message gives the reason and quotes the text."""


class EncoderError(SondadError):
    """An event that the encoder can never take; ends the scenario under both sink policies."""

    cause = "encoder"


class SinkError(SondadError):
    """A write, flush or close that failed.

    Attributes:
        retriable: whether the same bytes may succeed later.
        delivered_bytes: how many leading bytes of the failed payload reached the destination, always whole events.
        one_event: whether only the event behind those failed, so that the ones after it may succeed.
    """

    cause = "sink"

    def __init__(
        self, message: str, *, retriable: bool = False, delivered_bytes: int = 0, one_event: bool = False
    ) -> None:
        super().__init__(message)
        self.retriable = retriable
        self.delivered_bytes = delivered_bytes
        self.one_event = one_event


class SinkOpenError(SinkError):
    """A destination that could not be opened; ends the scenario with the reason in `last_sink_error`."""


class WireError(SondadError):
    """End of file, truncation or an undecodable message on a control pipe."""


class StartupError(SondadError):
    """A reason why the daemon cannot start, in one line for stderr."""


def os_error_text(error: OSError) -> str:
    """Return ``<strerror> (os error <errno>)``, the form of every operating-system reason shown to users.

    Source: docs/sinks.md, "How to see it".
    """
    return f"{error.strerror or error} (os error {error.errno})"
