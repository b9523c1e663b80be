"""`coe team`: teams, their members, and who asks for access."""
