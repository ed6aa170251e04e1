"""Text to nodes, nodes to Structs: YAML 1.2, JSON, and a decoder that follows the Structs' annotations.

Knows no field of any language; the compiler and the relay read their files with it. Imports `common` only.
Read first: `nodes.py`, `decode.py`.
"""
