"""Teams and their people: joining, moving, leaving, and asking for access."""
