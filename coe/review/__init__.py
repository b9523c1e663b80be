"""Versions before they are published: drafts, their tests, submissions, and who reviews what."""
