"""Schedules start flows without a request: by the clock, after a run, or on an event."""
