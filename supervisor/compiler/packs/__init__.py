"""Packs: found under their names, folded onto their bases, expanded to entries."""
