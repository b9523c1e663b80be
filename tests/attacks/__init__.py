"""Attacks that were tried on the platform, one module a kind; each test is one attempt."""
