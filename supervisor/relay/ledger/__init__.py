"""What must be durable before it is answered: groups of changes, one transaction each, in one SQLite file.

Read first: `ledger.py`, then `group.py` (pure) and `store.py`.
"""
