"""CloudEvents: received once, kept, and delivered to the runs that want them."""
