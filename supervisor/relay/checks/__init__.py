"""Check updates: what may be reported, by whom, and what is known of each check since.

Read first: `endpoint.py`, `report.py`, `state.py`.
"""
