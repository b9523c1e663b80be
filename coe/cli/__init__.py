"""The command line `coe`: one module or folder a noun."""
