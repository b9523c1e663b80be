"""Pages served from our own files."""
