"""Which shape a row of numbers has. A number is a second.

Everything is float64, summed from left to right. Source: docs/command-line.md, "Patterns".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_NEGLIGIBLE: Final = 1e-12
_FLAT: Final = 1e-9
_ROUNDS: Final = 10
_LARGEST: Final = 1e140

Parameters = dict[str, float | str]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A shape.

    Attributes:
        kind: type of the generator that makes it.
        parameters: of that generator, durations in whole seconds as texts, in the order in which they are written.
    """

    kind: str
    parameters: Parameters


def detect(values: Sequence[float]) -> Pattern:
    """Return the first shape that fits."""
    if len(values) < 2:
        return _steady(values[0] if values else 0.0, 0.0)
    numbers = list(values)
    if max(map(abs, numbers)) > _LARGEST:
        # Squares and sums of these are no numbers any more.
        return _steady(min(numbers) / 2 + max(numbers) / 2, max(numbers) / 2 - min(numbers) / 2)
    return (
        _step(numbers)
        or _flap(numbers)
        or _spike(numbers)
        or _climb(numbers)
        or _sawtooth(numbers)
        or _steady(_mean(numbers), _half_range(numbers))
    )


def duration_text(seconds: int) -> str:
    """Return whole minutes from a minute on, else seconds."""
    return f"{seconds // 60}m" if seconds >= 60 and seconds % 60 == 0 else f"{seconds}s"


def _step(values: list[float]) -> Pattern | None:
    slope, r_squared = _regression(values)
    if len(values) < 4 or not (r_squared >= 0.95 and slope > 0):
        return None
    differences = [after - before for before, after in pairwise(values)]
    mean = _mean(differences)
    if abs(mean) < _NEGLIGIBLE or _deviation(differences, mean) / abs(mean) > 0.15:
        return None
    return Pattern("step", {"start": values[0], "step_size": mean})


def _flap(values: list[float]) -> Pattern | None:
    count = len(values)
    if count < 4 or _range(values) < _FLAT:
        return None
    high, low = _centres(values)
    upper = [value for value in values if abs(value - high) <= abs(value - low)]
    lower = [value for value in values if not abs(value - high) <= abs(value - low)]
    if not upper or not lower:
        return None
    width = max(_deviation(upper, high), _deviation(lower, low))
    gap = abs(high - low)
    if (width > 0 and gap < 8 * width) or width > 0.10 * gap:
        return None
    if len(upper) < 0.25 * count or len(lower) < 0.25 * count:
        return None
    up, down = max(high, low), min(high, low)
    middle = (up + down) / 2
    up_runs, down_runs = _runs([value >= middle for value in values])
    return Pattern(
        "flap",
        {
            "up_value": up,
            "down_value": down,
            "up_duration": duration_text(_mean_length(up_runs)),
            "down_duration": duration_text(_mean_length(down_runs)),
        },
    )


def _spike(values: list[float]) -> Pattern | None:
    count = len(values)
    if count < 10 or _range(values) < _FLAT:
        return None
    threshold = _spike_threshold(values)
    if threshold is None:
        return None
    above = [value > threshold for value in values]
    if not 0.03 <= sum(above) / count <= 0.40:
        return None
    baseline = _mean([value for value in values if value <= threshold])
    height = _mean([value for value in values if value > threshold]) - baseline
    runs, _ = _runs(above)
    starts = [index for index, is_above in enumerate(above) if is_above and (index == 0 or not above[index - 1])]
    distances = [after - before for before, after in pairwise(starts)]
    interval = max(_rounded(_mean([float(one) for one in distances])), 1) if distances else count
    return Pattern(
        "spike_event",
        {
            "baseline": baseline,
            "spike_height": height,
            "spike_duration": duration_text(_mean_length(runs)),
            "spike_interval": duration_text(interval),
        },
    )


def _climb(values: list[float]) -> Pattern | None:
    slope, r_squared = _regression(values)
    if len(values) < 4 or not (slope > 0 and r_squared >= 0.7):
        return None
    if slope * (len(values) - 1) < 0.5 * _range(values):
        return None
    return Pattern("leak", {"baseline": values[0], "ceiling": values[-1], "time_to_ceiling": "60s"})


def _sawtooth(values: list[float]) -> Pattern | None:
    if len(values) < 10 or _range(values) < _FLAT:
        return None
    least = 0.4 * _range(values)
    drops = [index for index in range(1, len(values)) if values[index - 1] - values[index] > least]
    if len(drops) < 2:
        return None
    stretches = [values[begin:end] for begin, end in zip([0, *drops], drops, strict=False)]
    rising = sum(1 for stretch in stretches if len(stretch) > 2 and _regression(stretch)[0] > 0)
    if rising < len(drops) // 2:
        return None
    distances = [float(after - before) for before, after in pairwise(drops)]
    period = float(_rounded(_mean(distances)))
    return Pattern("sawtooth", {"min": min(values), "max": max(values), "period_secs": period})


def _steady(center: float, amplitude: float) -> Pattern:
    return Pattern("steady", {"center": center, "amplitude": amplitude, "period": "60s"})


def _regression(values: list[float]) -> tuple[float, float]:
    """Return slope and coefficient of determination over the index."""
    count = float(len(values))
    sum_i = sum_y = sum_iy = sum_ii = sum_yy = 0.0
    for index, value in enumerate(values):
        sum_i += index
        sum_y += value
        sum_iy += index * value
        sum_ii += float(index) * index
        sum_yy += value * value
    divisor = count * sum_ii - sum_i * sum_i
    if abs(divisor) < _NEGLIGIBLE:
        return 0.0, 0.0
    slope = (count * sum_iy - sum_i * sum_y) / divisor
    intercept = (sum_y - slope * sum_i) / count
    total = sum_yy - sum_y * sum_y / count
    if abs(total) < _NEGLIGIBLE:
        return slope, 0.0
    residual = 0.0
    for index, value in enumerate(values):
        difference = value - (slope * index + intercept)
        residual += difference * difference
    return slope, 1 - residual / total


def _centres(values: list[float]) -> tuple[float, float]:
    middle = (min(values) + max(values)) / 2
    upper = [value for value in values if value >= middle]
    lower = [value for value in values if value < middle]
    high = _mean(upper) if upper else middle + 1
    low = _mean(lower) if lower else middle - 1
    for _ in range(_ROUNDS):
        upper = [value for value in values if abs(value - high) <= abs(value - low)]
        lower = [value for value in values if not abs(value - high) <= abs(value - low)]
        new_high = _mean(upper) if upper else high
        new_low = _mean(lower) if lower else low
        if abs(new_high - high) < _FLAT and abs(new_low - low) < _FLAT:
            break
        high, low = new_high, new_low
    return high, low


def _spike_threshold(values: list[float]) -> float | None:
    ordered = sorted(values)
    last = len(ordered) - 1
    lower, median, upper = (ordered[_rounded(share * last)] for share in (0.25, 0.5, 0.75))
    spread = upper - lower
    if spread > 0.01 * _range(values):
        threshold = upper + 1.5 * spread
        return None if threshold <= median + 0.1 * _range(values) else threshold
    return median + 0.30 * _range(values)


def _runs(flags: list[bool]) -> tuple[list[int], list[int]]:
    """Return the lengths of the runs of true and of those of false."""
    lengths: tuple[list[int], list[int]] = ([], [])
    previous: bool | None = None
    for flag in flags:
        runs = lengths[not flag]
        if flag is previous:
            runs[-1] += 1
        else:
            runs.append(1)
        previous = flag
    return lengths


def _mean_length(runs: list[int]) -> int:
    return max(_rounded(_mean([float(run) for run in runs])), 1)


def _rounded(value: float) -> int:
    """Round half away from zero; for numbers >= 0."""
    whole = math.floor(value)
    return whole + (value - whole >= 0.5)


def _mean(values: list[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total / len(values) if values else 0.0


def _deviation(values: list[float], centre: float) -> float:
    total = 0.0
    for value in values:
        difference = value - centre
        total += difference * difference
    return math.sqrt(total / len(values))


def _range(values: list[float]) -> float:
    return max(values) - min(values)


def _half_range(values: list[float]) -> float:
    width = _range(values)
    return 0.0 if width < _FLAT else width / 2
