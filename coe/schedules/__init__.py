"""Flows that start by themselves: by the clock, after a run, or on an event."""
