"""Verbs on access, tokens, teams and the audit log: who may do what, who did what, and why."""
