"""What the command line changes of every entry. Source: docs/command-line.md, "Overrides"."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from common.specs import (
    EncoderSpec,
    File,
    HttpPush,
    InfluxLp,
    JsonLines,
    Loki,
    OnSinkError,
    OtlpEncoder,
    OtlpGrpc,
    OtlpHttp,
    PrometheusText,
    RemoteWriteEncoder,
    RemoteWriteSink,
    SinkSpec,
    Stdout,
    Syslog,
    Tcp,
    Udp,
)
from supervisor.cli.failures import CommandError
from supervisor.compiler import Compiled, CompiledEntry

_SINKS: Final[dict[str, tuple[str, Callable[[str], SinkSpec]]]] = {
    "file": ("path", lambda place: File(path=place)),
    "tcp": ("address", lambda place: Tcp(address=place)),
    "udp": ("address", lambda place: Udp(address=place)),
    "http_push": ("url", lambda place: HttpPush(url=place)),
    "remote_write": ("url", lambda place: RemoteWriteSink(url=place)),
    "loki": ("url", lambda place: Loki(url=place)),
    "otlp_grpc": ("url", lambda place: OtlpGrpc(endpoint=place, signal_type="metrics")),
    "otlp_http": ("url", lambda place: OtlpHttp(url=place, signal_type="metrics")),
}
"""Sinks that need no more than a destination, and what that is called."""

_IN_FILE_ONLY: Final = frozenset({"memory", "kafka", "snmp_trap", "snmp_agent", "gnmi_target"})
_SINK_NAMES: Final = (
    "stdout, file, tcp, udp, memory, http_push, remote_write, kafka, loki, otlp_grpc, otlp_http, gnmi_target, "
    "snmp_agent, snmp_trap"
)
_ENCODERS: Final[dict[str, type[EncoderSpec]]] = {
    "prometheus_text": PrometheusText,
    "influx_lp": InfluxLp,
    "json_lines": JsonLines,
    "syslog": Syslog,
    "remote_write": RemoteWriteEncoder,
    "otlp": OtlpEncoder,
}


@dataclass(frozen=True, slots=True)
class Overrides:
    """What was typed; None and empty leave an entry as it is.

    Attributes:
        endpoint: destination of `sink`; alone it changes nothing.
        output: path of a file sink.
    """

    duration: str | None = None
    rate: float | None = None
    sink: str | None = None
    endpoint: str | None = None
    output: str | None = None
    encoder: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    on_sink_error: OnSinkError | None = None

    def apply(self, compiled: Compiled) -> Compiled:
        """Return the entries as they are to run.

        Raises:
            CommandError: a sink or encoder that cannot be chosen so.
        """
        sink = File(path=self.output) if self.output is not None else _sink(self.sink, self.endpoint)
        encoder = _encoder(self.encoder)
        entries = tuple(self._changed(entry, sink, encoder) for entry in compiled.entries)
        return msgspec.structs.replace(compiled, entries=entries)

    def _changed(self, entry: CompiledEntry, sink: SinkSpec | None, encoder: EncoderSpec | None) -> CompiledEntry:
        if isinstance(sink, OtlpGrpc | OtlpHttp):
            signal_type = "logs" if entry.signal_type == "logs" else "metrics"
            sink = msgspec.structs.replace(sink, signal_type=signal_type)
        return msgspec.structs.replace(
            entry,
            duration=self.duration if self.duration is not None else entry.duration,
            rate=self.rate if self.rate is not None else entry.rate,
            sink=sink or entry.sink,
            encoder=encoder or entry.encoder,
            labels=entry.labels | dict(self.labels),
            on_sink_error=self.on_sink_error or entry.on_sink_error,
        )


def _sink(kind: str | None, endpoint: str | None) -> SinkSpec | None:
    if kind is None:
        return None
    if kind == "stdout":
        return Stdout()
    if kind in _IN_FILE_ONLY:
        raise CommandError(
            f"--sink {kind} cannot be set from the command line; configure it under sink: in the scenario file"
        )
    if kind not in _SINKS:
        raise CommandError(f'unknown sink "{kind}"; expected one of: {_SINK_NAMES}')
    place, build = _SINKS[kind]
    if endpoint is None:
        raise CommandError(f"--sink {kind} requires --endpoint <{place}>")
    return build(endpoint)


def _encoder(kind: str | None) -> EncoderSpec | None:
    if kind is None:
        return None
    if kind in ("gnmi", "snmp"):
        raise CommandError(
            f"--encoder {kind} cannot be set from the command line: it needs what only encoder: in the scenario file "
            "can say"
        )
    if kind not in _ENCODERS:
        raise CommandError(f'unknown encoder "{kind}": expected one of {", ".join(_ENCODERS)}, gnmi, snmp')
    return _ENCODERS[kind]()
