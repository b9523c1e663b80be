"""`coe run`: list, read, follow, cancel and retry runs."""
