"""The policy around sinks: what is tried again, what is counted, what ends the run."""
