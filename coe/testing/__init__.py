"""Definitions run on a simulated clock and judged against their `tests.yaml`. No database."""
