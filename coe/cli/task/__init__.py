"""`coe task`: the human tasks that wait for you."""
