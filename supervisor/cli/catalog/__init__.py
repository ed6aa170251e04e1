"""`list` and `show`: the entries of a catalog directory merged with the built-in packs. Read first: `listing.py`."""
