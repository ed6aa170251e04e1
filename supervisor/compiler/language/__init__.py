"""What users may write: the blocks of scenario and pack files, their kinds, and what one file must hold to.

Read first: `blocks.py`, `kinds.py`, `document.py`.
"""
