"""The catalog: entries, versions, search and lifecycle."""
