"""`test`: a scenario runs, and the alerts that it expects are watched.

::

    preflight ─► run beside the firing poller ─► timelines ─► verdicts ─► resolution poller ─► timelines ─► report

Read first: `test.py` (the order), `verdicts.py` (the one place that compares with a deadline), `polling.py`, then the
two sources of observations, `prometheus.py` and `alertmanager.py`.
"""
