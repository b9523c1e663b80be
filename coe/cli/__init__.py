"""The coe command line, one module a noun."""
