"""The root fields that write, one module a noun."""
