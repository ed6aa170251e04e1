"""The error tree.

::

    SondadError
    ├── CompileError            the posted text is wrong: an HTTP 4xx, nothing launched
    ├── DecodeError             a text that does not read as its format or language (translated by whoever knows which)
    ├── DurationError           a duration text outside the grammar (translated by whoever knows the field)
    ├── EncoderError            this encoder can never take this event: the scenario ends
    ├── SinkError               the other side failed: counted, the scenario lives under `on_sink_error: warn`
    │   └── SinkOpenError       the destination could not be opened: the scenario ends
    ├── WireError               the peer of a control pipe has gone or sent something that is no message
    └── StartupError            the daemon cannot start: `Error: …` on stderr, exit code 1

`supervisor/engine/control_plane.py` adds NameConflict and LaunchError, which carry what only the supervisor knows.
A subclass exists only because a caller decides something by it.
"""


class SondadError(Exception):
    """Base of every error raised on purpose."""


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


class SinkError(SondadError):
    """A write, flush or close that failed.

    Attributes:
        retriable: whether the same bytes may succeed later.
        delivered_bytes: how many leading bytes of the failed payload reached the destination, always whole events.
        one_event: whether only the event behind those failed, so that the ones after it may succeed.
    """

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
