"""Encoders: a batch to bytes, one wire format per module, built through one table. In a worker; no I/O, no clock."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from common.plan import EntryPlan
from common.specs import InfluxLp, JsonLines, OtlpEncoder, PrometheusText, RemoteWriteEncoder, Spec, Syslog
from worker.encoders import influx_lp, json_lines, otlp, prometheus_text, remote_write, syslog
from worker.encoders.refusal import MisreadEncoder, RefusingEncoder
from worker.ticks.batch import Batch, Encoded


class Encoder(Protocol):
    """One wire format for one entry."""

    def encode(self, batch: Batch) -> Encoded:
        """Return the bytes of the batch, identical to encoding its ticks one by one.

        Raises:
            EncoderError: this encoder can never take such an event.
        """
        ...


BUILDERS: Final[dict[type[Spec], Callable[[EntryPlan, Any], Encoder]]] = {
    PrometheusText: prometheus_text.build,
    InfluxLp: influx_lp.build,
    JsonLines: json_lines.build,
    Syslog: syslog.build,
    RemoteWriteEncoder: remote_write.build,
    OtlpEncoder: otlp.build,
}
"""Specification type to `build(plan, spec)`."""


def build(plan: EntryPlan) -> Encoder:
    """Return the encoder of `plan`; one that refuses every event when it is not for the plan's signal or sink."""
    spec = plan.encoder
    if plan.signal_type not in spec.signals:
        return RefusingEncoder(plan)
    encoder = BUILDERS[type(spec)](plan, spec)
    asked = plan.sink.record
    return encoder if asked in (None, spec.record(plan.signal_type)) else MisreadEncoder(encoder, asked)
