"""The process language: our profile of the Open Workflow DSL 1.0.3. No database, no network."""
