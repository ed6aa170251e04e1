"""The flags of the control plane: their grammar, their values, and the file that may say the same.

Runs before anything else is imported. Read first: `parser.py`, then `file.py`.
"""
