"""`coe audit`: export the audit log as a bundle; verify a bundle offline."""
