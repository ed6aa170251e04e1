"""Gates: what an entry hears of its upstream, what it tells its downstreams, what it says when it closes.

Read first: `gate.py` (pure), `links.py`.
"""
