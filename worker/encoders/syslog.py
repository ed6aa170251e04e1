"""`syslog`: one RFC 5424 message a log event. Source: RFC 5424, section 6; docs/formats.md, "Syslog"."""

from collections.abc import Iterator
from typing import Final

from common.labels import label_space
from common.own_ticks import own_ticks
from common.plan import EntryPlan, ReplayRows
from common.specs import LogTemplate, Syslog
from worker.encoders.label_text import LabelSyntax, LabelText, may_hold_line_feed
from worker.encoders.lines import LINE_FEED, NOT_UTF8, joined, lines
from worker.encoders.log_text import LogMessage, LogText, Severity
from worker.encoders.stamps import millisecond_runs, rfc3339
from worker.ticks.batch import Batch, Encoded

_PRIORITIES: Final = tuple(b"<%d>1 " % (8 + severity) for severity in (7, 7, 6, 4, 3, 0))
"""Facility 1 (user) and the syslog severities of trace, debug, info, warn, error, fatal; then the version."""

_ESCAPES: Final = str.maketrans({"\\": "\\\\", "]": "\\]", '"': '\\"'})


class SyslogEncoder:
    """`<PRI>1 timestamp hostname app - - [sonda label="…"] message`."""

    def __init__(self, plan: EntryPlan, source: LogTemplate | ReplayRows, hostname: str, app_name: str) -> None:
        head = f" {hostname} {app_name} - - "
        syntax = LabelSyntax(
            opening=f"{head}[sonda ",
            closing="] ",
            empty=f"{head}- ",
            between=" ",
            key='{}="'.format,
            after_value='"',
            escape=lambda text: text.translate(_ESCAPES),
        )
        breaks = may_hold_line_feed(plan) or any("\n" in text for text in (head, *_messages(source)))
        self._line_end = NOT_UTF8 if breaks else LINE_FEED
        self._priorities = LogText(source, [Severity(_PRIORITIES)], own_ticks(plan))
        self._labels = LabelText(label_space(plan), syntax)
        self._messages = LogText(source, [LogMessage(str.encode)], own_ticks(plan))

    def encode(self, batch: Batch) -> Encoded:
        """Return one line per event.

        Raises:
            EncoderError: a stamp lies before the epoch.
        """
        runs = []
        for start, stop, stamp in millisecond_runs(batch.stamps_ns, rfc3339):
            first_tick, choices = batch.first_tick + start, batch.values[start:stop]
            runs.append(
                lines(
                    stop - start,
                    *self._priorities.pieces(first_tick, choices),
                    stamp,
                    self._labels.piece(first_tick, stop - start, batch.spike_mask),
                    *self._messages.pieces(first_tick, choices),
                    self._line_end,
                )
            )
        return joined(runs, len(batch), 1, self._line_end)


def _messages(source: LogTemplate | ReplayRows) -> Iterator[str]:
    """Yield every text that a message can have parts of."""
    if isinstance(source, ReplayRows):
        yield from source.messages
        return
    for template in source.templates:
        yield template.message
        for values in template.field_pools.values():
            yield from values


def build(plan: EntryPlan, spec: Syslog) -> SyslogEncoder:
    """Return the encoder of `plan` under `spec`."""
    assert isinstance(plan.generator, LogTemplate | ReplayRows)  # noqa: S101 - it takes logs alone
    return SyslogEncoder(plan, plan.generator, spec.hostname, spec.app_name)
