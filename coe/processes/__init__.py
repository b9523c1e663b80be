"""What the processes of an installation share: probes, background loops, an orderly end."""
