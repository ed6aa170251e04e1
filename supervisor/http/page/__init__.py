"""The page for browsers at `/ui/`: `files.py` serves what lies in `static/`, `root.py` leads there from `/`.

Runs in the control plane's process. The page itself is a client like any other: it uses nothing but this API.

Source: docs/page.md.
"""
