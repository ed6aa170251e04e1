"""What the relay tells of itself: the admin socket, its series, its counters."""
