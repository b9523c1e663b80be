"""Metrics of a process for Prometheus: declared in one module, served on the probe port only."""
