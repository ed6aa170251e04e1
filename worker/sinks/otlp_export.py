"""Requests of OpenTelemetry's export services, whatever carries them. Pure.

Source: opentelemetry.io/docs/specs/otlp; opentelemetry-proto, collector/*/v1/*_service.proto.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from common.plan import EntryPlan
from worker.encoders.otlp_parts import attributes
from worker.encoders.protobuf import field, field_head, with_lengths
from worker.sinks.batching import Piece

_SCOPE_NAME: Final = b"sonda"
_ITEMS: Final = 2


class Exports:
    """Requests of one entry: its static labels are the resource, its records the items of one scope.

    Args:
        plan: the entry.
    """

    def __init__(self, plan: EntryPlan) -> None:
        self._resource = field(1, attributes(1, sorted(plan.labels.items())))
        self._scope = field(1, field(1, _SCOPE_NAME) + field(2, version("sondad").encode()))

    def request(self, pieces: Sequence[Piece]) -> bytes:
        """Return the request with all records of `pieces`, in order."""
        items = [with_lengths(piece.payload, piece.record_ends(), _ITEMS) for piece in pieces]
        scope_size = len(self._scope) + sum(map(len, items))
        scope_head = field_head(2, scope_size)
        resource_size = len(self._resource) + len(scope_head) + scope_size
        # PERF: what may be long is copied once.
        return b"".join((field_head(1, resource_size), self._resource, scope_head, self._scope, *items))
