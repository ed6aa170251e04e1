"""What every process shares: frozen records and pure functions.

Runs in the supervisor, the workers and the relay. Imports nothing else of ours, and starts no thread, process or
connection. Read first: ``specs.py`` (what users write), ``plan.py`` (what workers run), ``messages.py`` (what crosses
the control pipe), ``board.py`` (what crosses shared memory).
"""
