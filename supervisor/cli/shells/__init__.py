"""What is generated from the grammar: completion scripts and man pages. Read first: `surface.py`."""
