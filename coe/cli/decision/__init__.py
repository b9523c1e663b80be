"""`coe decision`: the commands on decision tables."""
