"""jq expressions: their evaluation in confined processes, and the variables that they may use."""
