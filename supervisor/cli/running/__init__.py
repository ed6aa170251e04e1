"""`run`: from a reference to a finished run.

Read first: `run.py`; then `source.py` (text to plan), `session.py` (the run on the engine), and what is printed:
`dry_run.py`, `verbose.py`, `banners.py`, `progress.py` in the words of `words.py`.
"""
