"""The relay: a sibling process that takes check updates over Unix sockets and forwards them.

Runs in its own process (`python -m supervisor.relay`), alone or started by the control plane; imports `common`,
`supervisor.host` and `supervisor.reading` only. The control plane's side of it is `supervisor.relay_link`.

::

    agents ──Unix sockets──► main thread: epoll loop ──► checks (pure) ──► ledger ══group══► SQLite ──durable──► answers
    notify, admin ─────────►        │                                         │
                                    │                                         └──► committer thread: the same while the
                                    │                                              disk is slow, and checkpoints
                                    ├──► request threads: large bodies, admin listings (read only)
                                    └──► sender threads: one upstream request each; results come back to the loop

The main thread owns every piece of state; the other threads get values and give results, so nothing is locked.
Read first: `service.py` (wiring), `net/connection.py`, `checks/endpoint.py`, `ledger/ledger.py`,
`upstream/forwarder.py`.
"""
