"""A body or a file on its way to the engine: read, compiled, checked, launched.

Runs in HTTP threads and in the thread that sweeps the catalog. Imports the compiler and the engine's protocols.
Read first: `intake.py`.
"""
