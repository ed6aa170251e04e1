"""The command line: `sonda`, `sondad` and `sonda-server`.

Runs in a process of its own. Arguments are read first, and only then is imported what the command needs. Read first:
`table.py` (which commands there are), `grammar.py` (what holds for all of them), then a file under `commands/`::

    __main__ ──► program.run ──► table ──► commands/VERB.py (its options) ──late import──► the room that does the work
"""
