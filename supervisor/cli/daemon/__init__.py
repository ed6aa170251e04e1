"""Commands for a running daemon, over its HTTP API. Read first: `client.py`."""
