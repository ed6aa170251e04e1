"""The journal: which runs there are, on disk, so that they can go on after a crash, an upgrade or a reboot.

A state directory has one SQLite file with every run that was accepted and not deleted, and one file of checkpoints
(`common.checkpoints`) that workers write. Knows no process; `supervisor.engine` says what happens to runs, and starts
them again. Source: docs/operating.md, "Runs that outlive the daemon".
"""
