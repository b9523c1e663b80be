"""CloudEvents: received once, stored, and delivered to the runs that subscribe to them."""
