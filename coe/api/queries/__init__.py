"""The root fields that read, one module a noun."""
