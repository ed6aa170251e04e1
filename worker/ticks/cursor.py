"""The position of a run in its schedule, as a value: small, frozen, and nothing but numbers.

A cursor says which tick is next and what holds there. Undoing is keeping the old one; going on elsewhere is sending it
there: `msgspec` encodes it as it is. Exact offsets are counted in periods, so they survive the journey exactly.
"""

import msgspec


class StretchOrigin(msgspec.Struct, frozen=True):
    """Where a stretch begins, and the rate of its ticks.

    Attributes:
        base_ticks: how many periods of the base rate it lies behind the start of the segment.
        burst_ticks: how many periods of the burst rate on top of them.
        in_burst: whether the stretch's own ticks come at the burst rate.
    """

    base_ticks: int = 0
    burst_ticks: int = 0
    in_burst: bool = False

    def behind(self, ticks: int, *, in_burst: bool) -> "StretchOrigin":
        """Return where a stretch begins that takes over from this one after `ticks` of its ticks."""
        if self.in_burst:
            return StretchOrigin(self.base_ticks, self.burst_ticks + ticks, in_burst)
        return StretchOrigin(self.base_ticks + ticks, self.burst_ticks, in_burst)


class Quiet(msgspec.Struct, frozen=True):
    """A silence that the next tick lies in.

    Attributes:
        start_ns: where it begins, offset of the segment.
        end_ns: where it ends.
        rows: how many rows of a replay it suppresses from the next tick on; None for a silence not of a row.
    """

    start_ns: int
    end_ns: int
    rows: int | None = None

    def seen_from(self, offset_ns: int) -> "Quiet":
        """Return the same silence, with offsets that count from `offset_ns`."""
        if not offset_ns:
            return self
        return Quiet(self.start_ns - offset_ns, self.end_ns - offset_ns, self.rows)


class LeftOff(msgspec.Struct, frozen=True):
    """Where emission stopped for a silence: the tick that would have been next, and the stretch that it begins."""

    tick: int
    origin: StretchOrigin


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """The position of a run.

    Attributes:
        segment_ns: the scenario-clock instant at which the segment began.
        segment_tick: the number of the segment's first tick.
        cycle_shift_ns: how long before the segment the cycles of its windows began.
        tick: the number of the next tick.
        origin: where the stretch of the next tick begins.
        place: the place of the next tick in its stretch, from 0.
        offset_ns: its offset from the start of the segment.
        edge: the first place in the stretch at which something else may hold than at the next tick.
        spike_mask: the label spikes active until then, bit i for `cardinality_spikes[i]`.
        quiet: the silence that the next tick lies in, or None.
        left_off: where the silence began that was entered and no tick was taken since, or None.
        began_left_off: what `left_off` was when the segment began.
    """

    segment_ns: int
    segment_tick: int
    tick: int
    origin: StretchOrigin
    place: int
    offset_ns: int
    edge: int = 0
    spike_mask: int = 0
    quiet: Quiet | None = None
    left_off: LeftOff | None = None
    began_left_off: LeftOff | None = None
    cycle_shift_ns: int = 0

    @property
    def in_gap(self) -> bool:
        """Whether a silence was entered and no tick was taken since."""
        return self.left_off is not None
