"""The interpreter of a definition: a definition and a journal in, commands out. Pure."""
