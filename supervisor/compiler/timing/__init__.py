"""When entries start, how long they run, and what waits for what."""
