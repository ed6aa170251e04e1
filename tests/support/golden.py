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
    digits, scale = float(int(whole + fraction)), float(f"1e{abs(power)}")
    return digits * scale if power >= 0 else digits / scale


def recorded() -> list[dict[str, Any]]:
    """Return all records: `entry`, less its sink, and its first `lines`."""
    return [json.loads(line, parse_float=recorded_float) for line in GOLDEN_FILE.read_text().splitlines()]
