"""Versions of entries of every kind: saved, sealed, resolved, moved through their lifecycle."""
