"""Places outside the database that keep checkpoints, beside the checkpoint file."""
