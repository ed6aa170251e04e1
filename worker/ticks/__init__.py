"""Which ticks are due, and their events: schedule, batches, measured rate. Pure but for the clock that is handed in.

Read first: `batch.py`, `schedule.py`, `production.py`.
"""
