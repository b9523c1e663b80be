"""The migrations, shipped in the wheel."""
