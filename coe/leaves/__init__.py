"""Leaves: one call of a run carried out, by HTTP, OpenAPI, a decision table or a channel."""
