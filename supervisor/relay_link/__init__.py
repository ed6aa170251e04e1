"""The control plane's side of the relay: starts it, asks its admin socket, answers for it over HTTP.

Runs in the control plane's process; the relay itself is `supervisor.relay`, a process of its own.
"""
