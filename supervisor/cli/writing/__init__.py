"""`new`: scenario files from a template, a CSV file, a Prometheus range or questions.

Read first: `document.py` (how a file is written); then `scaffold.py` with `csv_series.py` and `patterns.py`,
`capture.py` with `capture_blocks.py`, and `questions.py`.
"""
