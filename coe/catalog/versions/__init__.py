"""Versions of entries of every kind: saving, sealing, resolution and lifecycle."""
