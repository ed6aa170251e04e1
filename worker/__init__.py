"""A worker: one operating-system process that runs one scenario, taken warm from the pool and gone afterwards.

Imports `common` and third-party clients, nothing else of ours. Read in this order: ``main.py`` (what the supervisor
starts), ``control.py`` (waiting and commands), ``runner.py`` (schedule, generate, encode, deliver), ``schedule.py``.
"""
