"""What becomes of runs when the daemon comes back. Imports nothing, so that arguments are read without the engine."""

from typing import Literal

OnRestart = Literal["hole", "fill", "end"]
"""A run goes on and its ticks in between are missing, or are made up for; or it ends."""
