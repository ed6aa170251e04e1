"""Compiled entries to plans: every bound checked, every duration a number. Read first: `plans.py`."""
