"""`fleet`: one run over several hosts, as people start, see and stop it.

Read first: `run.py`; then `session.py` (what is known of the run, as a run on this machine tells it), `local.py` (a
fleet on this machine), `hosts.py` (`status` and `stop`), and `roles.py` (the scheduler and the worker).
"""
