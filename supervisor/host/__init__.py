"""What any process of ours may use of the machine: the event loop, the service manager, the allocator.

Imports `common` only. Read first: `loop.py`.
"""
