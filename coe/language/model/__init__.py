"""The typed models of a definition, one class a task type."""
