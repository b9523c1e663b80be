"""The cases of decision tables in runs, and their replay on another version."""
