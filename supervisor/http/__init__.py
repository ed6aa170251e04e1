"""The control plane's HTTP side: resources, admission, errors and the server.

Runs in HTTP threads. Reads scenarios and asks the main loop through `supervisor.engine.control_plane`; never
touches a process. Read first: ``app.py`` (routes), ``admission.py`` (order of checks), ``errors.py`` (every status that
is not a success), ``server.py`` (threads and sockets).
"""
