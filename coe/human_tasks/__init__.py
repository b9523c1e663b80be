"""Human tasks: open, claim, delegate, complete, escalate and remind."""
