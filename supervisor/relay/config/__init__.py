"""The relay's configuration: from a file to frozen records, and the directories it names.

Read first: `records.py`.
"""
