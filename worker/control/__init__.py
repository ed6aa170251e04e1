"""What a worker process waits for, is told, and tells.

Read first: `waiting.py` (the protocol that all else waits by), `control.py` (the process), `entry.py` (one entry).
"""
