"""One run over several hosts: who makes which segment, what is known of it, and what happens when something dies.

Dask.distributed places the run and carries words; the daemon of each host makes the load. So neither the scheduler, nor
a Dask worker, nor the command that started the run has to live for the load to go on. Read first: `members.py` (a host
and its segment), `course.py` (the run: check, start, follow, stop)::

    the command                 the scheduler, a Dask worker on each host      each host
    course.py ──► cluster.py ─── one pinned task, never twice ──► sondad.host ──► actions.py ── HTTP ──► its daemon
                  the only user of Dask                                                                 makes the load

Source: docs/more-than-one-machine.md, "How it works".
"""
