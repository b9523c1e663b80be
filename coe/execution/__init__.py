"""Carry runs on: dispatch, replay, turns, leaf tasks and the background loops."""
