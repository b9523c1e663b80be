"""The sample company and the demo that runs its story."""
