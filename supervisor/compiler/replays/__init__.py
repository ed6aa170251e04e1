"""Replays: files of recorded values or lines become entries, at the rate that their timestamps imply."""
