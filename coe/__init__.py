"""CoE: a process-orchestration centre of excellence."""

__version__ = "0.1.0"
