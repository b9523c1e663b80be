"""jq expressions: evaluated in confined processes, and which variables they may use where."""
