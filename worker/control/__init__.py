"""What a worker process waits for, is told, and tells.

Read first: `waiting.py` (the protocol that everything else waits by), `control.py`.
"""
