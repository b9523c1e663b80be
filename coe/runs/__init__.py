"""Process runs: the machine, its journal, human tasks and dispatch."""
