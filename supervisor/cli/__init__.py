"""Commands of `sondad`, one module each; the entry points import what a command needs only when it runs.

Runs in the process the user starts.
"""
