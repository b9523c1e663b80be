"""What callers' texts make us compute, in processes that can be killed, with a budget a request."""
