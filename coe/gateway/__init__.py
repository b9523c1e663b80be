"""The gateway through which teams' workers reach Prefect, each with the pool of its team only."""
