"""The control plane: one process that compiles scenarios, starts workers for them and answers HTTP.

May import `common`, and `worker` through ``spawn.py`` alone. Read in this order: ``service.py`` (what there is),
``loop.py`` (what happens when), ``fleet.py`` (the life of a worker), ``pool.py``, ``spawn.py``; then in the worker
``main.py``, ``control.py``, ``runner.py``. ``http/`` runs in threads of its own and comes in by ``control_plane.py``;
``relay/`` is a process of its own.
"""
