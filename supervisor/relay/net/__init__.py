"""Connections of the relay: listening sockets, who is at the other end, one request read, one answer written.

Knows nothing of checks. Read first: `listener.py`, `connection.py`.
"""
