"""The commands that are a process of an installation."""
