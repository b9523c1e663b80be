"""The views and inputs of the schema, one module a noun; they may refer to one another lazily."""
