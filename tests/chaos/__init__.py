"""Runs under fire: real processes, killed at random, and what must be true afterwards."""
