"""One file for each command: its options and arguments, and a late import of what does the work."""
