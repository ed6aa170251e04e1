"""`sondad check`: one report to the relay, from a shell, a cron job or a monitoring plugin.

Read first: `sending.py`, then `plugin.py` and `metrics.py` (pure).
"""
