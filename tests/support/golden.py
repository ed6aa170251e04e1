"""Lines that another server of the same API wrote, and the entries it wrote them for."""

import json
from pathlib import Path
from typing import Any

GOLDEN_FILE = Path(__file__).parents[1] / "golden" / "peer-1.29.jsonl"


def recorded_float(text: str) -> float:
    """Return the number that the recorded server took `text` for: its JSON reader rounds digits and power apart."""
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    power = int(exponent or 0) - len(fraction)
    digits = float(int(whole + fraction))
    return digits * 10.0**power if power >= 0 else digits / 10.0**-power


def recorded() -> list[dict[str, Any]]:
    """Return all records: `entry`, less its sink, and its first `lines`."""
    return [json.loads(line, parse_float=recorded_float) for line in GOLDEN_FILE.read_text().splitlines()]
