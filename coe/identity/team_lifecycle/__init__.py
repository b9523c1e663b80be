"""How a team starts, in steps that several people do, and how it ends."""
