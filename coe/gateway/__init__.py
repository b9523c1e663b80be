"""The door through which teams' workers reach the engine, each with its own pool only."""
