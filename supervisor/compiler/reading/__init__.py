"""Text to nodes, nodes to Structs: YAML 1.2, JSON, interpolation, and a decoder that follows the Structs' annotations.

Knows no field of the language. Read first: `nodes.py`, `decode.py`.
"""
