"""Engines that carry out runs; the only importers of prefect."""
