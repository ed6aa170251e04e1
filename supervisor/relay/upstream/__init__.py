"""Updates on their way to the parent relay: what waits, what is sent next, one request for each.

Read first: `forwarder.py` (pure), `spool.py` (pure), `sender.py`.
"""
